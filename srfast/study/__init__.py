"""Studies: a grid of selections, models, budgets and seeds, and what its results say."""
