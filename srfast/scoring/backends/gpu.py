"""SRCNN scores on a GPU: the degrade kernel, then the network by torch ("native") or by Triton ("triton").

Work goes to the current stream. Memory is bounded whatever the number and the size of the images: patches are scored in
chunks, images larger than a chunk in bands of rows with a halo, and host arrays are uploaded piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srfast.errors import InputError
from srfast.ops import cuda  # noqa: F401  (registers torch.ops.srfast.degrade)
from srfast.ops.precision import without_tf32
from srfast.scoring.backends.base import Scores
from srfast.scoring.backends.upload import uploaded
from srfast.scoring.network import Network

PRECISIONS = {
    "fp32": torch.float32,
    # float16 and not bfloat16: a plane in [0, 255] is rounded by 0.06 grey levels at most, against 0.5.
    "fast": torch.float16,
}
BACKENDS = ("native", "triton")
UPLOAD_PIXELS = 1 << 22
"""Pixels of one upload: 12 MiB of page-locked memory, twice."""
BAND_PIXELS = 1 << 22
"""Pixels of a band, the halo left out. Maps in float64 and the network's take up to 700 bytes a pixel: 3 GiB."""
HALO = 8
"""LR rows that a band reads beyond its own on each side. The cut spoils the 2 LR rows whose down-sampling reaches over
it, the 2 whose up-sampling does, and the 4 + 2 HR rows of conv1 and conv3: 7 LR rows at x2."""


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
        precision: "fp32", or "fast", which is float16 with float32 sums.
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
        return Columns(*self._scored(patches, True))

    @torch.inference_mode()
    def losses(self, patches: Tensor) -> Tensor:
        """The losses alone, float32 [N]: the bicubic and Sobel columns cost arithmetic."""
        return self._scored(patches, self._network is None)[0]

    @torch.inference_mode()
    def maps(self, image: Tensor) -> Tensor:
        """float32 [3, H, W] of one uint8 image [H, W, 3 or 1]: the squared error of the network and of plain bicubic
        up-sampling, and the Sobel map. Takes memory for the whole image: large ones come in bands."""
        with _on(self.device):
            y, up, _ = self._degrade(image[None], False)
            plain = (up.float() - y).square()
            loss = plain if self._network is None else (self._network.reconstruct(up, y) - y).square()
            return torch.stack([loss[0], plain[0], _sobel_map(y[0])])

    def _scored(self, patches: Tensor, with_columns: bool) -> Tensor:
        """[3, N], or [1, N] without the bicubic and Sobel columns."""
        n, h, w, _ = patches.shape
        rows = 3 if with_columns else 1
        if n == 0:
            return torch.zeros(rows, 0, device=patches.device)
        pixels = BAND_PIXELS if self._network is None else self._network.pixels
        if h * w > max(pixels, BAND_PIXELS):
            return torch.stack([self._large(patch)[:rows] for patch in patches], 1)
        step = max(1, pixels // (h * w))
        score = self._columns if with_columns else self._losses
        with _on(self.device):
            return torch.cat([score(patches[first : first + step]) for first in range(0, n, step)], 1)

    def _degrade(self, patches: Tensor, with_sums: bool) -> tuple[Tensor, Tensor, Tensor]:
        y, _, up, sums = torch.ops.srfast.degrade(patches, self.scale, self.boundary, self.dtype, False, with_sums)
        return y, up, sums

    def _columns(self, patches: Tensor) -> Tensor:
        y, up, sums = self._degrade(patches, True)
        bicubic, sobel = (sums.sum(1) / y[0].numel()).float().unbind(1)
        return torch.stack([bicubic if self._network is None else self._network.loss(up, y), bicubic, sobel])

    def _losses(self, patches: Tensor) -> Tensor:
        assert self._network is not None
        y, up, _ = self._degrade(patches, False)
        return self._network.loss(up, y)[None]

    def _large(self, image: Tensor) -> Tensor:
        total = torch.zeros(3, dtype=torch.float64, device=image.device)
        for band in bands(image.shape[0], image.shape[1], self.scale):
            total += self.maps(image[band.first : band.last])[:, band.own].sum((1, 2), dtype=torch.float64)
        return (total / (image.shape[0] * image.shape[1])).float()


@dataclass(frozen=True)
class Band:
    """Rows of an image that are scored at once."""

    begin: int
    end: int
    first: int
    """Where the halo above begins."""
    last: int

    @property
    def own(self) -> slice:
        """The band's rows among those with the halo."""
        return slice(self.begin - self.first, self.end - self.first)


def bands(height: int, width: int, scale: int) -> Iterator[Band]:
    """The rows of an image, multiples of the scale, in bands of BAND_PIXELS or one LR row."""
    step = max(1, BAND_PIXELS // (width * scale)) * scale
    for begin in range(0, height, step):
        end = min(begin + step, height)
        yield Band(begin, end, max(0, begin - HALO * scale), min(height, end + HALO * scale))


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
        self._device = self._scorer.device

    def batch_tensor(self, patches: Tensor) -> Tensor:
        """Losses float32 [N] of uint8 patches [N, H, W, 3 or 1], on the device of ``patches``."""
        if patches.device.type == "cpu" and self._device.type != "cpu":
            return torch.from_numpy(self.batch(patches.detach().numpy()))
        return self._scorer.losses(patches.to(self._device)).to(patches.device)

    def batch(self, patches: np.ndarray) -> np.ndarray:
        n, h, w, _ = patches.shape
        if n == 0:
            return np.zeros(0, np.float32)
        step = max(1, UPLOAD_PIXELS // (h * w))
        pieces = (patches[first : first + step] for first in range(0, n, step))
        with _on(self._device):
            return torch.cat([self._scorer.losses(piece) for piece in uploaded(pieces, self._device)]).cpu().numpy()

    def windows(self, image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int, threads: int = 1) -> Scores:
        with _on(self._device):
            [pixels] = (piece.clone() for piece in uploaded([image], self._device))
            views = pixels.unfold(0, size, 1).unfold(1, size, 1)  # [H', W', C, size, size]
            y, x = (p.flatten() for p in torch.meshgrid(self._index(ys), self._index(xs), indexing="ij"))
            step = max(1, UPLOAD_PIXELS // size**2)
            parts = []
            for first in range(0, len(y), step):
                chosen = views[y[first : first + step], x[first : first + step]]
                columns = self._scorer.columns(chosen.movedim(1, -1).contiguous())
                parts.append(torch.stack([columns.loss, columns.bicubic, columns.sobel]))
            return Scores(*torch.cat(parts, 1).cpu().numpy())

    def dense(self, image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int, threads: int = 1) -> Scores:
        height, width = (n // self.scale * self.scale for n in image.shape[:2])
        cut = list(bands(height, width, self.scale))
        with _on(self._device):
            sums = _WindowSums(xs, ys, size, self._device)
            pieces = uploaded((image[band.first : band.last, :width] for band in cut), self._device)
            for band, piece in zip(cut, pieces, strict=True):
                sums.add(self._scorer.maps(piece)[:, band.own], band)
            return Scores(*sums.means().cpu().numpy())

    def _index(self, positions: np.ndarray) -> Tensor:
        return torch.from_numpy(positions.astype(np.int64)).to(self._device)


class _WindowSums:
    """Sums of three maps over windows, the maps coming in bands from the top down; float64."""

    def __init__(self, xs: np.ndarray, ys: np.ndarray, size: int, device: torch.device) -> None:
        self._x = torch.from_numpy(xs.astype(np.int64)).to(device)
        self._ys, self._size = ys.astype(np.int64), size
        self._sums = torch.zeros(3, len(ys), len(xs), dtype=torch.float64, device=device)
        self._above = torch.zeros(3, 1, len(xs), dtype=torch.float64, device=device)

    def add(self, maps: Tensor, band: Band) -> None:
        for number, error in enumerate(maps):
            rows = F.pad(error.double().cumsum(1), (1, 0))
            rows = rows[:, self._x + self._size] - rows[:, self._x]
            # until[i]: what stands above row band.begin + i, in the columns of each window
            until = torch.cat([self._above[number], self._above[number] + rows.cumsum(0)])
            tops, bottoms = self._ys, self._ys + self._size
            for sign, edges, inside in (
                (-1, tops, (tops >= band.begin) & (tops < band.end)),
                (1, bottoms, (bottoms > band.begin) & (bottoms <= band.end)),
            ):
                windows = np.flatnonzero(inside)
                at, which = (torch.from_numpy(i).to(until.device) for i in (edges[windows] - band.begin, windows))
                self._sums[number].index_add_(0, which, until[at], alpha=sign)
            self._above[number] = until[-1:]

    def means(self) -> Tensor:
        """float32 [3, ny * nx]."""
        return (self._sums / self._size**2).clamp(min=0).float().flatten(1)


def _sobel_map(y: Tensor) -> Tensor:
    """``reference.sobel_map`` of one uint8 plane [H, W] in float32, which holds its values exactly."""
    y = F.pad(y[None, None].float(), (1, 1, 1, 1), mode="reflect")[0, 0]
    smooth, rough = y[:-2] + 2 * y[1:-1] + y[2:], y[2:] - y[:-2]
    gx, gy = smooth[:, 2:] - smooth[:, :-2], rough[:, :-2] + 2 * rough[:, 1:-1] + rough[:, 2:]
    return (gx.abs() + gy.abs()) / 2


class _TorchNetwork:
    """The network by torch's convolutions, channels last. Pixels stay in [0, 255], biases are multiplied by 255
    instead: the network is positively homogeneous, and a plane in half precision is not rounded twice."""

    pixels = 1 << 22
    """Scored at once: conv1's 64 channels, twice while ReLU and layout are at work, take 1 GiB (2 GiB in fp32)."""

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
        with without_tf32():
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

    pixels = 1 << 24
    """Scored at once: the 32-channel map takes 1 GiB (2 GiB in fp32)."""

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


def _on(device: torch.device) -> Any:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
