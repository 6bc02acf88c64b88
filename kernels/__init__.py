"""Triton kernels of the SRCNN forward pass; importing this package does not import Triton."""
