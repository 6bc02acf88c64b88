"""From a score table to a core-set, and to training pairs."""
