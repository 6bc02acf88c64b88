"""Patches to score table."""
