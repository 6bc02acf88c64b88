"""What is wrong with a patch: columns of a score table, and the thresholds from which they count against it."""
