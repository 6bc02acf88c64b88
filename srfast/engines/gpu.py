"""A GPU: patches are cut on the device from images that are copied there once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from srfast import reference
from srfast.engines.base import Scores
from srfast.gpu import CHUNK_PIXELS, GpuScorer
from srfast.networks import Network


class GpuEngine:
    """Scores through ``srfast.gpu``: backend "native" (CUDA degrade, torch network) or "triton"."""

    concurrent = False

    def __init__(
        self, network: Network, boundary: str, backend: str, precision: str, device: torch.device | str = "cuda"
    ) -> None:
        self.name = backend
        self.scale = network.scale
        self._scorer = GpuScorer(network.weights, network.scale, boundary, backend, precision, device)

    def batch_tensor(self, patches: Tensor) -> Tensor:
        """Losses float32 [N] of uint8 patches [N, H, W, 3 or 1], on the device of ``patches``."""
        return self._scorer.losses(patches.to(self._scorer.device)).to(patches.device)

    def batch(self, patches: np.ndarray) -> np.ndarray:
        return self.batch_tensor(torch.from_numpy(np.array(patches, order="C"))).cpu().numpy()

    def windows(self, image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int, threads: int = 1) -> Scores:
        views = self._upload(image).unfold(0, size, 1).unfold(1, size, 1)  # [H', W', C, size, size]
        y, x = (p.flatten() for p in torch.meshgrid(self._index(ys), self._index(xs), indexing="ij"))
        step = max(1, CHUNK_PIXELS // size**2)
        parts = []
        for first in range(0, len(y), step):
            chosen = views[y[first : first + step], x[first : first + step]]
            columns = self._scorer.columns(chosen.movedim(1, -1).contiguous())
            parts.append(torch.stack([columns.loss, columns.bicubic, columns.sobel]))
        return Scores(*torch.cat(parts, 1).cpu().numpy())

    def dense(self, image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int) -> Scores:
        s = self.scale
        whole = self._upload(image)[None, : image.shape[0] // s * s, : image.shape[1] // s * s].contiguous()
        plain = self._scorer.plain_errors(whole)
        maps = (self._scorer.errors(whole), plain, reference.sobel_map(whole))
        return Scores(*torch.stack([self._window_means(m[0], xs, ys, size) for m in maps]).cpu().numpy())

    def _upload(self, image: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(image, order="C")).to(self._scorer.device, non_blocking=True)

    def _index(self, positions: np.ndarray) -> Tensor:
        return torch.from_numpy(positions.astype(np.int64)).to(self._scorer.device)

    def _window_means(self, error: Tensor, xs: np.ndarray, ys: np.ndarray, size: int) -> Tensor:
        """Means of the windows of a map [H, W] through a float64 summed-area table."""
        table = torch.nn.functional.pad(error.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
        x, y = self._index(xs), self._index(ys)
        top, bottom = table[y], table[y + size]
        sums = (bottom[:, x + size] - top[:, x + size]) - (bottom[:, x] - top[:, x])
        return (sums / size**2).clamp(min=0).float().flatten()
