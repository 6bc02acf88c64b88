"""Defects of patches: columns of a score table, and the thresholds beyond which they count against a patch."""
