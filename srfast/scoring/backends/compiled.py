"""The compiled CPU engine: luma, down-sampling, up-sampling, SRCNN and squared error over a ring of rows."""

from __future__ import annotations

import numpy as np

from srfast.data.grid import Grid
from srfast.ops.native import BOUNDARIES, SRCNN_SHAPES, compiled, integer_kernels, isa_index, packed_scorer, score_batch
from srfast.runtime.threads import default_threads
from srfast.scoring.backends.protocol import Scores
from srfast.scoring.network import Network


class NativeEngine:
    """Scores through csrc/cpu. Any number of threads may use one instance."""

    name = "native"
    concurrent = True

    def __init__(
        self, network: Network, boundary: str = "symmetric", precision: str = "fp32", isa: str | None = None
    ) -> None:
        arrays = network.arrays or {name: np.zeros(shape, np.float32) for name, shape in SRCNN_SHAPES.items()}
        self._scorer = packed_scorer(tuple(arrays[name].tobytes() for name in SRCNN_SHAPES), network.scale)
        self._network = network.kind == "srcnn"
        self._scale = network.scale
        self._boundary = BOUNDARIES[boundary]
        self._isa = isa_index(isa)
        self._fast = precision == "fast"
        self.precision = "fast" if self._fast and integer_kernels(isa) else "fp32"

    def batch(self, patches: np.ndarray) -> np.ndarray:
        threads = default_threads()
        return score_batch(self._scorer, patches, self._boundary, self._isa, self._fast, threads, network=self._network)

    def windows(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        image = np.ascontiguousarray(image)
        _, w, c = image.shape
        offsets = (grid.ys.astype(np.int64)[:, None] * w + grid.xs).reshape(-1) * c
        scores, target = self._outputs(len(offsets))
        compiled().score_patches(
            self._scorer, image.ctypes.data, offsets.ctypes.data, len(offsets), w * c, grid.size, grid.size, c,
            self._boundary, self._isa, self._fast, threads, *target,
        )  # fmt: skip
        return scores

    def dense(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        image = np.ascontiguousarray(image)
        h, w, c = image.shape
        xs, ys = np.ascontiguousarray(grid.xs, np.int32), np.ascontiguousarray(grid.ys, np.int32)
        scores, target = self._outputs(len(grid))
        compiled().score_dense(
            self._scorer, image.ctypes.data, h - h % self._scale, w - w % self._scale, w * c, c, self._boundary,
            self._isa, self._fast, threads, xs.ctypes.data, len(xs), ys.ctypes.data, len(ys), grid.size, *target,
        )  # fmt: skip
        return scores

    def _outputs(self, n: int) -> tuple[Scores, tuple[int, int, int]]:
        bicubic, sobel = np.empty(n, np.float32), np.empty(n, np.float32)
        loss = np.empty(n, np.float32) if self._network else bicubic
        return Scores(loss, bicubic, sobel), (
            loss.ctypes.data if self._network else 0,
            bicubic.ctypes.data,
            sobel.ctypes.data,
        )
