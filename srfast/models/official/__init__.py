"""Weights of the networks' authors and of ports in use: read, recognised and put into the networks here."""
