"""Core-set to files that trainers read: one module a format."""
