"""What engines share that compute whole squared-error maps: batches, windows and dense means on top of ``errors``."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from srfast.scoring.backends.base import Scores, cut, window_means
from srfast.scoring.backends.native import NativeEngine
from srfast.scoring.network import Network


class MapEngine(ABC):
    """``bicubic`` and ``sobel``, which need no network, come from the compiled engine."""

    concurrent = False
    pixels_per_batch = 1 << 20
    """Patches are grouped to about this many HR pixels."""

    def __init__(self, network: Network, boundary: str) -> None:
        self.network = network
        self.boundary = boundary
        self._plain = NativeEngine(Network("bicubic", "bicubic", "", network.scale), boundary)

    @abstractmethod
    def errors(self, patches: np.ndarray) -> np.ndarray:
        """Squared-error maps float32 [N, H, W] in units of [0, 255]^2 of uint8 patches [N, H, W, 3 or 1]."""

    def batch(self, patches: np.ndarray) -> np.ndarray:
        n, h, w, _ = patches.shape
        step = max(1, self.pixels_per_batch // (h * w))
        out = np.empty(n, np.float32)
        for i in range(0, n, step):
            out[i : i + step] = self.errors(patches[i : i + step]).mean((1, 2), dtype=np.float64)
        return out

    def windows(self, image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int, threads: int = 1) -> Scores:
        scores = self._plain.windows(image, xs, ys, size, threads)
        if self.network.kind == "bicubic":
            return scores
        return Scores(self.batch(cut(image, xs, ys, size)), scores.bicubic, scores.sobel)

    def dense(self, image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int) -> Scores:
        scores = self._plain.dense(image, xs, ys, size)
        if self.network.kind == "bicubic":
            return scores
        s = self.network.scale
        whole = image[None, : image.shape[0] // s * s, : image.shape[1] // s * s]
        return Scores(window_means(self.errors(whole)[0], xs, ys, size), scores.bicubic, scores.sobel)
