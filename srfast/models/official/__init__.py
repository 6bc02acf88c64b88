"""Weights of the networks' authors and of widely used ports: read, recognised and put into the networks of srfast."""
