"""Triton's interpreter must be chosen before the kernels are imported, and ahead-of-time compilation does not work
beside it: tests/test_triton.py runs this folder in a process of its own."""

import os

import pytest
import torch

collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["test_*.py"]


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    """An SRCNN whose layers keep the scale of their input."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"conv1": (64, 1, 9, 9), "conv2": (32, 64, 1, 1), "conv3": (1, 32, 5, 5)}
    result = {}
    for name, shape in shapes.items():
        fan_in = shape[1] * shape[2] * shape[3]
        result[f"{name}.weight"] = torch.randn(shape, generator=generator) * fan_in**-0.5
        result[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
    return result
