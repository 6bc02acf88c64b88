"""Training: recipes, optimiser updates as the unit of length, checkpoints that resume bit for bit."""
