"""Training: recipes, steps as the unit, checkpoints that resume bit for bit."""
