"""Plain PyTorch, on any device, for any network: the reference's arithmetic in batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from srfast import reference
from srfast.engines.base import Scores, cut, window_means
from srfast.engines.native import NativeEngine
from srfast.networks import Network

PIXELS_PER_BATCH = 1 << 20
"""Patches are grouped to about this many HR pixels: SRCNN's first layer then takes 256 MiB."""


class EagerEngine:
    """Scores with torch. ``bicubic`` and ``sobel``, which need no network, come from the compiled engine."""

    name = "torch"
    concurrent = False

    def __init__(self, network: Network, boundary: str = "symmetric", device: str = "cpu") -> None:
        self.network = network
        self.boundary = boundary
        self.device = torch.device(device)
        self._plain = NativeEngine(Network("bicubic", "bicubic", "", network.scale), boundary)
        self._module = network.module.to(self.device) if network.module is not None else None

    def batch(self, patches: np.ndarray) -> np.ndarray:
        n, h, w, _ = patches.shape
        step = max(1, PIXELS_PER_BATCH // (h * w))
        out = np.empty(n, np.float32)
        for i in range(0, n, step):
            out[i : i + step] = self.errors(patches[i : i + step]).mean((1, 2), dtype=torch.float64).cpu().numpy()
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
        loss = window_means(self.errors(whole)[0].cpu().numpy(), xs, ys, size)
        return Scores(loss, scores.bicubic, scores.sobel)

    @torch.inference_mode()
    def errors(self, patches: np.ndarray) -> Tensor:
        """Squared-error maps float32 [N, H, W] in units of [0, 255]^2."""
        x = torch.from_numpy(np.require(patches, requirements=("C", "W"))).to(self.device)
        if self._module is None:
            return reference.squared_error(x, self.network.weights, self.network.scale, torch.float32, self.boundary)
        return module_errors(x, self._module, self.network.color, self.network.scale, self.boundary)


def module_errors(
    patches: Tensor, module: Callable[[Tensor], Tensor], color: str, scale: int, boundary: str
) -> Tensor:
    """Squared-error maps on Y of an SR module that takes the 8-bit LR in [0, 1].

    A model of Y takes imresize(Y), one of RGB takes imresize(RGB) and its output is turned to Y without rounding; the
    target is the rounded Y either way.
    """
    y = reference.luma(patches) if patches.shape[-1] == 3 else patches[..., 0]
    if color == "y":
        planes = y[:, None]
    else:
        planes = patches.movedim(-1, 1).expand(-1, 3, -1, -1)
    lr = reference.resample_uint8(planes, 1 / scale, boundary).float() / 255
    sr = module(lr) * 255
    if color == "rgb":
        r, g, b = sr.unbind(1)
        sr = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    else:
        sr = sr[:, 0]
    return (sr - y.float()).square()
