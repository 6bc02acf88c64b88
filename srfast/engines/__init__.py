"""Implementations of scoring, one a module. ``srfast.backends`` is the only place that chooses among them."""
