"""Functions that span stages: the work of commands, for Python."""
