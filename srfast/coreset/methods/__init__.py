"""What to sort or draw by: one small interface, a module for each family."""
