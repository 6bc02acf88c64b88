"""SRCNN scores on a GPU: the degrade kernel, then the network by torch ("native") or by Triton ("triton").

Nothing leaves the device and nothing waits for it; work goes to the current stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srfast.errors import InputError
from srfast.ops import (
    cuda,  # noqa: F401  (registers torch.ops.srfast.degrade)
    reference,
)
from srfast.scoring.backends.base import Scores
from srfast.scoring.network import Network

PRECISIONS = {
    "fp32": torch.float32,
    # float16 and not bfloat16: a plane in [0, 255] is rounded by 0.06 grey levels at most, against 0.5.
    "fast": torch.float16,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
BACKENDS = ("native", "triton")
CHUNK_PIXELS = 1 << 24
"""Pixels scored at once. The 32-channel map takes 64 bytes a pixel (128 in fp32): 1 GiB (2 GiB) of device memory."""


@dataclass(frozen=True)
class Columns:
    """Scores of a batch, float32 [N] each, on the batch's device."""

    loss: Tensor
    bicubic: Tensor
    sobel: Tensor


class GpuScorer:
    """One SRCNN 9-1-5 (or plain bicubic), scale and boundary rule, ready on one device.

    Args:
        weights: conv1.weight [64, 1, 9, 9], conv1.bias and so on to conv3; None scores plain bicubic up-sampling.
        scale: 2, 3 or 4.
        boundary: "symmetric" or "replicate", of the resampling.
        backend: "native" (torch's convolutions) or "triton".
        precision: "fp32", "fp16", "bf16" or "fast", which is fp16; sums are float32 at least in every one.
        device: Where patches are and scores will be.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor] | None,
        scale: int = 2,
        boundary: str = "symmetric",
        backend: str = "triton",
        precision: str = "fp32",
        device: torch.device | str = "cuda",
    ) -> None:
        if backend not in BACKENDS:
            raise InputError(f"backend: expected 'native' or 'triton', got {backend!r}")
        if precision not in PRECISIONS:
            raise InputError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
        self.scale = scale
        self.boundary = boundary
        self.dtype = PRECISIONS[precision]
        self.device = torch.device(device)
        self._network = None if weights is None else _NETWORKS[backend](weights, self.dtype, self.device)

    @torch.inference_mode()
    def columns(self, patches: Tensor) -> Columns:
        """Scores of uint8 patches [N, H, W, 3 or 1] on the scorer's device; H and W are multiples of the scale."""
        parts = [self._columns(chunk) for chunk in self._chunks(patches)]
        if not parts:
            empty = torch.zeros(len(patches), device=patches.device)
            return Columns(empty, empty, empty)
        return Columns(*(torch.cat(column) for column in zip(*parts, strict=True)))

    @torch.inference_mode()
    def losses(self, patches: Tensor) -> Tensor:
        """The losses alone, float32 [N]: the bicubic and Sobel columns cost arithmetic."""
        if self._network is None:
            return self.columns(patches).loss
        parts = []
        for chunk in self._chunks(patches):
            y, up, _ = self._degrade(chunk, False)
            parts.append(self._network.loss(up, y))
        return torch.cat(parts) if parts else torch.zeros(len(patches), device=patches.device)

    @torch.inference_mode()
    def errors(self, patches: Tensor) -> Tensor:
        """Squared-error maps float32 [N, H, W] in units of [0, 255]^2."""
        parts = [self._errors(chunk) for chunk in self._chunks(patches)]
        return torch.cat(parts) if parts else torch.zeros(patches.shape[:3], device=patches.device)

    @torch.inference_mode()
    def plain_errors(self, patches: Tensor) -> Tensor:
        """The same maps of plain bicubic up-sampling."""
        parts = []
        for chunk in self._chunks(patches):
            y, up, _ = self._degrade(chunk, False)
            parts.append((up.float() - y).square())
        return torch.cat(parts) if parts else torch.zeros(patches.shape[:3], device=patches.device)

    def _chunks(self, patches: Tensor) -> Iterator[Tensor]:
        n, h, w, _ = patches.shape
        if 3 * h * w >= 2**31:
            raise InputError(f"patches: expected fewer than 2^31 bytes an image, got {h} x {w} x 3")
        step = max(1, CHUNK_PIXELS // max(1, h * w))
        with _on(patches.device):
            for first in range(0, n, step):
                yield patches[first : first + step]

    def _degrade(self, patches: Tensor, with_sums: bool) -> tuple[Tensor, Tensor, Tensor]:
        y, _, up, sums = torch.ops.srfast.degrade(patches, self.scale, self.boundary, self.dtype, False, with_sums)
        return y, up, sums

    def _columns(self, patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, up, sums = self._degrade(patches, True)
        bicubic, sobel = (sums.sum(1) / y[0].numel()).float().unbind(1)
        loss = bicubic if self._network is None else self._network.loss(up, y)
        return loss, bicubic, sobel

    def _errors(self, patches: Tensor) -> Tensor:
        y, up, _ = self._degrade(patches, False)
        sr = up.float() if self._network is None else self._network.reconstruct(up, y)
        return (sr - y).square()


class GpuEngine:
    """Scores through the GPU: backend "native" (CUDA degrade, torch network) or "triton"."""

    concurrent = False

    def __init__(
        self, network: Network, boundary: str, backend: str, precision: str, device: torch.device | str = "cuda"
    ) -> None:
        self.name = backend
        self.precision = precision
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

    def dense(self, image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int, threads: int = 1) -> Scores:
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


class _TorchNetwork:
    """The network by torch's convolutions, channels last. Pixels stay in [0, 255], biases are multiplied by 255
    instead: the network is positively homogeneous, and a plane in half precision is not rounded twice."""

    def __init__(self, weights: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device) -> None:
        self._layers = [
            (
                weights[f"conv{i}.weight"].to(device, dtype, memory_format=torch.channels_last),
                (255 * weights[f"conv{i}.bias"].float()).to(device, dtype),
            )
            for i in (1, 2, 3)
        ]

    def _forward(self, up: Tensor) -> Tensor:
        (w1, b1), (w2, b2), (w3, b3) = self._layers
        with full_precision():
            x = F.pad(up[:, None], (4, 4, 4, 4), mode="replicate").contiguous(memory_format=torch.channels_last)
            x = F.relu_(F.conv2d(x, w1, b1))
            x = F.relu_(F.conv2d(x, w2, b2))
            return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), w3, b3)[:, 0]

    def loss(self, up: Tensor, y: Tensor) -> Tensor:
        sr = self._forward(up)
        # The CPU op takes float32 pairs only.
        return torch.ops.srfast.per_sample_mse(*((sr, y) if sr.is_cuda else (sr.float(), y.float())))

    def reconstruct(self, up: Tensor, y: Tensor) -> Tensor:
        return self._forward(up).float()


class _TritonNetwork:
    """The network by srfast.kernels.srcnn; the reconstruction is written only when asked for."""

    def __init__(self, weights: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device) -> None:
        from srfast.kernels import srcnn

        self._kernels: Any = srcnn
        self._packed = srcnn.pack(weights, dtype, device)

    def loss(self, up: Tensor, y: Tensor) -> Tensor:
        return self._kernels.launch_error(self._kernels.launch_features(up, self._packed), y, self._packed)

    def reconstruct(self, up: Tensor, y: Tensor) -> Tensor:
        sr = torch.empty(up.shape, dtype=torch.float32, device=up.device)
        self._kernels.launch_error(self._kernels.launch_features(up, self._packed), y, self._packed, sr)
        return sr


_NETWORKS: dict[str, Any] = {"native": _TorchNetwork, "triton": _TritonNetwork}


@contextmanager
def full_precision() -> Iterator[None]:
    """float32 convolutions without TF32, which cuDNN uses by default and which costs three decimal digits."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _on(device: torch.device) -> Any:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
