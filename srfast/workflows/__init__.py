"""Functions that span stages: what a command does, for Python."""
