"""The single ops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import srfast
from srfast.ops import reference


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_imresize(beside: Any, photographs: np.ndarray, scale: int) -> None:
    image = np.concatenate(np.concatenate(photographs[:24].reshape(4, 6, 96, 96, 3), axis=1), axis=1)
    planes = torch.from_numpy(image).movedim(-1, 0)

    def check() -> None:
        expected = reference.resample_uint8(planes, 1 / scale).movedim(0, -1).numpy()
        np.testing.assert_array_equal(srfast.imresize(image, 1 / scale), expected)

    beside(
        lambda: srfast.imresize(image, 1 / scale), {"torch": lambda: reference.resample_uint8(planes, 1 / scale)}, check
    )


@pytest.mark.parametrize("op", ["downsample", "upsample"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_resample(beside: Any, op: str, scale: int) -> None:
    x = torch.rand(32, 1, 96, 96)
    factor = 1 / scale if op == "downsample" else float(scale)
    run = getattr(srfast, op)
    beside(
        lambda: run(x, scale),
        {"torch": lambda: reference.resample(x, factor)},
        lambda: torch.testing.assert_close(run(x, scale), reference.resample(x, factor), rtol=0, atol=1e-6),
    )


def test_per_sample_mse(beside: Any) -> None:
    a, b = torch.rand(128, 96, 96), torch.rand(128, 96, 96)
    beside(
        lambda: srfast.per_sample_mse(a, b),
        {"torch": lambda: (a - b).square().flatten(1).mean(1)},
        lambda: torch.testing.assert_close(srfast.per_sample_mse(a, b), reference.per_sample_mse(a, b).float()),
    )
