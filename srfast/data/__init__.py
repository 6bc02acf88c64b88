"""Image files, patch grids and pairs."""
