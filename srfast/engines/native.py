"""The compiled CPU engine: luma, down-sampling, up-sampling, SRCNN and squared error over a ring of rows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch

from srfast._native import BOUNDARIES, ISAS, isas, native
from srfast.engines.base import Scores
from srfast.errors import InputError
from srfast.networks import SRCNN_SHAPES, Network

@lru_cache(maxsize=8)
def packed(weights: tuple[bytes, ...], scale: int) -> Any:
    """SRCNN's six tensors, as bytes in the order of SRCNN_SHAPES, packed for one scale."""
    arrays = [np.frombuffer(w, np.float32) for w in weights]
    return native().Scorer(*(a.ctypes.data for a in arrays), scale)


def pack(network: Network) -> Any:
    if network.weights is None:
        return packed(tuple(bytes(4 * int(np.prod(shape))) for shape in SRCNN_SHAPES.values()), network.scale)
    return packed(tuple(network.weights[k].numpy().tobytes() for k in SRCNN_SHAPES), network.scale)


def best_isa(isa: str | None = None) -> int:
    """Index of an instruction set of the engine: the named one, or the fastest this machine runs."""
    usable = isas()
    if isa is None:
        return ISAS.index(usable[-1])
    if isa not in usable:
        raise InputError(f"isa: expected one of {', '.join(usable)} on this machine, got {isa!r}")
    return ISAS.index(isa)


class NativeEngine:
    """Scores through csrc/cpu. Any number of threads may use one instance."""

    name = "native"
    concurrent = True

    def __init__(
        self, network: Network, boundary: str = "symmetric", precision: str = "fp32", isa: str | None = None
    ) -> None:
        self._scorer = pack(network)
        self._network = network.kind == "srcnn"
        self._scale = network.scale
        self._boundary = BOUNDARIES[boundary]
        self._isa = best_isa(isa)
        self._fast = precision == "fast"

    def batch(self, patches: np.ndarray) -> np.ndarray:
        patches = np.ascontiguousarray(patches)
        n, h, w, c = patches.shape
        offsets = np.arange(n, dtype=np.int64) * (h * w * c)
        out = np.empty(n, np.float32)
        target = (out.ctypes.data, 0, 0) if self._network else (0, out.ctypes.data, 0)
        self._patches(patches, offsets, w * c, h, w, c, torch.get_num_threads(), target)
        return out

    def windows(self, image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int, threads: int = 1) -> Scores:
        image = np.ascontiguousarray(image)
        _, w, c = image.shape
        offsets = (ys.astype(np.int64)[:, None] * w + xs).reshape(-1) * c
        scores, target = self._outputs(len(offsets))
        self._patches(image, offsets, w * c, size, size, c, threads, target)
        return scores

    def dense(self, image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int) -> Scores:
        image = np.ascontiguousarray(image)
        h, w, c = image.shape
        xs, ys = np.ascontiguousarray(xs, np.int32), np.ascontiguousarray(ys, np.int32)
        scores, target = self._outputs(len(xs) * len(ys))
        native().score_dense(
            self._scorer, image.ctypes.data, h - h % self._scale, w - w % self._scale, w * c, c, self._boundary,
            self._isa, self._fast, xs.ctypes.data, len(xs), ys.ctypes.data, len(ys), size, *target,
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

    def _patches(
        self, base: np.ndarray, offsets: np.ndarray, row: int, h: int, w: int, c: int, threads: int,
        target: tuple[int, int, int],
    ) -> None:  # fmt: skip
        native().score_patches(
            self._scorer, base.ctypes.data, offsets.ctypes.data, len(offsets), row, h, w, c, self._boundary,
            self._isa, self._fast, threads, *target,
        )  # fmt: skip
