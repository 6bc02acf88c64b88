"""Methods to sort or draw by, with one small interface and a module for each family."""
