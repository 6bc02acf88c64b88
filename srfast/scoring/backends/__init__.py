"""Implementations of scoring, one a module; ``registry`` is the only place that chooses among them."""
