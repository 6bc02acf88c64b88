"""Patch mode on the backends native, torch and onnx side by side: the public call on 96 x 96 patches in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import srfast
from bench.measure import network_rates, sgemm
from srfast.ops import reference
from srfast.scoring.backends.choice import unusable
from srfast.scoring.network import load_network
from srfast.scoring.settings import Backend, Scale

BACKENDS: tuple[Backend, ...] = ("native", "torch", "onnx")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_backends(
    beside: Any, benchmark: Any, photographs: np.ndarray, backend: Backend, scale: Scale, threads: int
) -> None:
    network = load_network("srcnn", scale)
    usable = [name for name in BACKENDS if unusable(name, "cpu", network) is None]
    if backend not in usable:
        pytest.skip(f"{backend}: {unusable(backend, 'cpu', network)}")
    x = photographs[::4]

    def score(name: Backend) -> np.ndarray:
        return srfast.score_patches(x, scale, backend=name, device="cpu")

    def agrees() -> None:
        want = reference.score_patches(torch.from_numpy(x[:8]), network.weights, scale, torch.float64).numpy()
        np.testing.assert_allclose(score(backend)[:8], want, rtol=1e-4)

    others: dict[str, Callable[[], Any]] = {name: partial(score, name) for name in usable if name != backend}
    seconds = beside(lambda: score(backend), {**others, "sgemm": sgemm()}, agrees)
    benchmark.extra_info.update(network_rates(seconds, x.size // 3))
