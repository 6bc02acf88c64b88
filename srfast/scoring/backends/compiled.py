"""The compiled CPU engine: luma, down-sampling, up-sampling, SRCNN and squared error over a ring of rows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from srfast.data.grid import Grid
from srfast.errors import RunError
from srfast.ops.native import (
    SRCNN_SHAPES,
    SYMMETRIC,
    compiled,
    grid_at,
    image_at,
    integer_kernels,
    isa_index,
    packed_scorer,
    score_batch,
)
from srfast.runtime.threads import default_threads
from srfast.scoring.backends.protocol import Scores, check_finite
from srfast.scoring.network import Network

LARGEST_ERROR = 0.1
"""Largest error of a loss in reduced precision, in parts of max(loss, 1), on any pattern of ``_patterns``. Networks
that were trained, pruned to a tenth of their weights, or drawn at random stay within 0.06."""


class NativeEngine:
    """Scores through csrc/cpu. Any number of threads may use one instance."""

    name = "native"
    concurrent = True

    def __init__(self, network: Network, precision: str = "fp32", isa: str | None = None) -> None:
        arrays = network.arrays or {name: np.zeros(shape, np.float32) for name, shape in SRCNN_SHAPES.items()}
        self._scorer = packed_scorer(tuple(arrays[name].tobytes() for name in SRCNN_SHAPES), network.scale)
        self._network = network.kind == "srcnn"
        self._scale = network.scale
        self._isa = isa_index(isa)
        self._fast = precision == "fast"
        self.precision = "fast" if self._fast and integer_kernels(isa) else "fp32"
        if self.precision == "fast" and self._network:
            check_finite(_losses(self._scorer, self._isa, False), network.name)
            full, fast = (_losses(self._scorer, self._isa, integers) for integers in (False, True))
            error = float(np.max(np.abs(fast - full) / np.maximum(full, 1)))
            if not error <= LARGEST_ERROR:
                raise RunError(
                    f"precision: fast changes losses of {network.name} by up to {100 * error:.2g} %, more than "
                    f"{100 * LARGEST_ERROR:.0f} %",
                    hint="leave `precision` out",
                )

    def batch(self, patches: np.ndarray) -> np.ndarray:
        threads = default_threads()
        return score_batch(self._scorer, patches, self._isa, self._fast, threads, network=self._network)

    def windows(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        image = np.ascontiguousarray(image)
        _, w, c = image.shape
        offsets = (grid.ys.astype(np.int64)[:, None] * w + grid.xs).reshape(-1) * c
        scores, target = self._outputs(len(offsets))
        compiled().score_patches(
            self._scorer, image_at(image[: grid.size, : grid.size]), offsets.ctypes.data, len(offsets), SYMMETRIC,
            self._isa, self._fast, threads, *target,
        )  # fmt: skip
        return scores

    def dense(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        image = np.ascontiguousarray(image)
        h, w, _ = image.shape
        whole = image_at(image[: h - h % self._scale, : w - w % self._scale])
        xs, ys = np.ascontiguousarray(grid.xs, np.int32), np.ascontiguousarray(grid.ys, np.int32)
        scores, target = self._outputs(len(grid))
        compiled().score_dense(
            self._scorer, whole, grid_at(xs, ys, grid.size), SYMMETRIC, self._isa, self._fast, threads, *target
        )
        return scores

    def _outputs(self, n: int) -> tuple[Scores, tuple[int, int, int]]:
        bicubic, sobel = np.empty(n, np.float32), np.empty(n, np.float32)
        loss = np.empty(n, np.float32) if self._network else bicubic
        return Scores(loss, bicubic, sobel), (
            loss.ctypes.data if self._network else 0,
            bicubic.ctypes.data,
            sobel.ctypes.data,
        )


@lru_cache(maxsize=16)
def _losses(scorer: Any, isa: int, integers: bool) -> np.ndarray:
    return score_batch(scorer, _patterns(), isa, integers, 1)


@lru_cache(maxsize=1)
def _patterns() -> np.ndarray:
    """Y of flat areas, ramps, stripes, cells and noise, uint8 [N, 48, 48, 1]."""
    random, x = np.random.default_rng(0), np.arange(48)
    y = x[:, None]
    cells = np.kron(random.integers(0, 2, (12, 12)) * 255, np.ones((4, 4), int))
    planes = [
        *(np.full((48, 48), grey) for grey in (0, 16, 60, 128, 200, 235, 255)),
        40 + 2 * x, 40 + x + 2 * y, x % 2 * 255, x // 2 % 2 * 100 + 60, y // 3 % 2 * 255,
        (x // 4 + y // 4) % 2 * 200 + 20, random.integers(0, 256, (48, 48)), random.integers(100, 140, (48, 48)), cells,
    ]  # fmt: skip
    return np.stack([np.broadcast_to(p, (48, 48)) for p in planes]).astype(np.uint8)[..., None]
