"""Studies: a grid of selections, models, budgets and seeds, and the evaluation of its results."""
