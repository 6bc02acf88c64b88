"""From a core-set to files that trainers read, with one module for each format."""
