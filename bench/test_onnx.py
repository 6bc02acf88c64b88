"""Patch mode on the backends native, torch and onnx side by side: 96 x 96 patches of a photograph in memory.

Each figure stands beside eager PyTorch and the machine's sgemm, timed in the same test on the same threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import srfast
from srfast import reference
from srfast.backends import unusable
from srfast.networks import load_network

data = pytest.importorskip("skimage.data", reason="needs the demo extra")

SIZE = 96
# Multiplications and additions of SRCNN 9-1-5 for one pixel.
FLOP = 2 * (81 * 64 + 64 * 32 + 25 * 32)


def patches(n: int) -> np.ndarray:
    """uint8 [n, 96, 96, 3]."""
    image = data.astronaut()
    corners = np.random.default_rng(0).integers(0, 512 - SIZE + 1, (n, 2))
    return np.stack([image[y : y + SIZE, x : x + SIZE] for y, x in corners])


def best(run: Callable[[], Any], rounds: int = 3) -> float:
    """Seconds of the fastest of ``rounds`` runs after one that does not count."""
    run()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def sgemm() -> float:
    """FLOP/s of a 1024 x 1024 float32 matrix product."""
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    return 2 * 1024**3 / best(lambda: a @ b)


@pytest.mark.parametrize("backend", ["native", "torch", "onnx"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_score_patches(benchmark: Any, backend: str, scale: int) -> None:
    network = load_network("srcnn", scale)
    reason = unusable(backend, "cpu", network)
    if reason:
        pytest.skip(f"{backend}: {reason}")
    x = patches(32)

    def score(name: str) -> np.ndarray:
        return srfast.score_patches(x, scale, backend=name, device="cpu")

    want = reference.score_patches(torch.from_numpy(x[:4]), network.weights, scale, torch.float64).numpy()
    np.testing.assert_allclose(score(backend)[:4], want, rtol=1e-4)

    benchmark.pedantic(score, (backend,), rounds=5, warmup_rounds=1)
    seconds = benchmark.stats.stats.min if benchmark.stats else best(lambda: score(backend))
    pixels = x.shape[0] * SIZE * SIZE
    benchmark.extra_info.update(
        threads=torch.get_num_threads(),
        mpix_per_s=pixels / seconds / 1e6,
        times_torch=best(lambda: score("torch")) / seconds,
        of_sgemm=FLOP * pixels / seconds / sgemm(),
    )
