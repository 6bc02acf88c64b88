"""Score table to core-set to training pairs."""
