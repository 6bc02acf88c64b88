"""CUDA kernels and Triton: an image is uploaded once, cut, scored and reduced on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from srfast.engines.base import Scores
from srfast.engines.maps import MapEngine
from srfast.gpu import CHUNK_PIXELS, GpuScorer
from srfast.networks import Network


class GpuEngine(MapEngine):
    """Scores with srfast.gpu; ``precision`` "fast" is float16 with float32 sums."""

    def __init__(
        self, network: Network, boundary: str, backend: str, precision: str, device: torch.device | str = "cuda"
    ) -> None:
        super().__init__(network, boundary)
        self.name = backend
        self._arguments = (network.weights, network.scale, boundary, backend, precision)
        self._scorer = GpuScorer(*self._arguments, device)

    def batch(self, patches: np.ndarray) -> np.ndarray:
        n, h, w, _ = patches.shape
        step = max(1, CHUNK_PIXELS // (h * w))
        chunks = (patches[i : i + step] for i in range(0, n, step))
        losses = [self._scorer.columns(self._upload(chunk)).loss for chunk in chunks]
        return torch.cat(losses).cpu().numpy() if losses else np.zeros(0, np.float32)

    def batch_tensor(self, patches: Tensor) -> Tensor:
        """Losses float32 [N] of a tensor, on its device; a tensor on a GPU is scored there."""
        if patches.device == self._scorer.device or not patches.is_cuda:
            return self._scorer.columns(patches.to(self._scorer.device)).loss.to(patches.device)
        return GpuScorer(*self._arguments, patches.device).columns(patches).loss

    def windows(self, image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int, threads: int = 1) -> Scores:
        device = self._scorer.device
        view = self._upload(image).unfold(0, size, 1).unfold(1, size, 1)  # [H - size + 1, W - size + 1, C, size, size]
        columns = torch.from_numpy(xs).to(device, torch.int64)
        rows = torch.from_numpy(ys).to(device, torch.int64)
        step = max(1, CHUNK_PIXELS // (len(xs) * size**2))
        parts = []
        for i in range(0, len(ys), step):
            patches = view[rows[i : i + step, None], columns].flatten(0, 1).movedim(1, -1)
            parts.append(self._scorer.columns(patches.contiguous()))
        return Scores(*(torch.cat([getattr(p, c) for p in parts]).cpu().numpy() for c in ("loss", "bicubic", "sobel")))

    def errors(self, patches: np.ndarray) -> np.ndarray:
        return self._scorer.errors(self._upload(patches)).cpu().numpy()

    def _upload(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(array, order="C")).to(self._scorer.device)
