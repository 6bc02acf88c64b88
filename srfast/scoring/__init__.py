"""From patches to a score table."""
