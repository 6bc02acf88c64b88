"""Base of engines that compute squared-error maps: batches, windows and dense means follow from ``errors``."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

from srfast.data.grid import Grid
from srfast.ops import native, reference
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.backends.protocol import Scores, cut, window_means
from srfast.scoring.network import Network


class MapEngine(ABC):
    """An engine of squared-error maps; ``bicubic`` and ``sobel`` come from the compiled engine if it is there."""

    precision = "fp32"
    concurrent = False
    pixels_per_batch = 1 << 20
    """HR pixels of a group of patches, approximately."""

    def __init__(self, network: Network, boundary: str) -> None:
        self.network = network
        self.boundary = boundary
        bicubic = Network("bicubic", "bicubic", "", network.scale)
        self._plain = NativeEngine(bicubic, boundary) if native.available() else None

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

    def windows(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        if self._plain is not None:
            plain = self._plain.windows(image, grid, threads)
        else:
            plain = self._reference_windows(image, grid)
        if self.network.kind == "bicubic":
            return plain
        return Scores(self.batch(cut(image, grid)), plain.bicubic, plain.sobel)

    def dense(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        s = self.network.scale
        whole = image[None, : image.shape[0] // s * s, : image.shape[1] // s * s]
        if self._plain is not None:
            plain = self._plain.dense(image, grid, threads)
        else:
            maps = self._reference_maps(whole)
            bicubic, sobel = (window_means(m[0].numpy(), grid) for m in maps)
            plain = Scores(bicubic, bicubic, sobel)
        if self.network.kind == "bicubic":
            return plain
        return Scores(self.dense_losses(whole[0], grid), plain.bicubic, plain.sobel)

    def dense_losses(self, image: np.ndarray, grid: Grid) -> np.ndarray:
        """Means of the windows of the squared-error map of an image [H, W, 3 or 1], sides multiples of the scale."""
        return window_means(self.errors(image[None])[0], grid)

    def _reference_windows(self, image: np.ndarray, grid: Grid) -> Scores:
        patches = cut(image, grid)
        step = max(1, self.pixels_per_batch // grid.size**2)
        bicubic, sobel = np.empty(len(patches), np.float32), np.empty(len(patches), np.float32)
        for i in range(0, len(patches), step):
            for column, m in zip((bicubic, sobel), self._reference_maps(patches[i : i + step]), strict=True):
                column[i : i + step] = m.mean((1, 2), dtype=torch.float64).numpy()
        return Scores(bicubic, bicubic, sobel)

    def _reference_maps(self, patches: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Squared error of bicubic up-sampling, and Sobel's map, [N, H, W]."""
        x = torch.from_numpy(np.ascontiguousarray(patches))
        error = reference.squared_error(x, None, self.network.scale, torch.float32, self.boundary)
        return error, reference.sobel_map(x)
