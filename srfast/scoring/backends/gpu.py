"""SRCNN scores on a GPU: the degrade kernel, then the network by torch ("native") or by Triton ("triton").

Work goes to the current stream. Memory is bounded for any number and size of images: patches are scored in chunks,
images larger than a chunk in bands of rows with a halo, and host arrays are uploaded piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srfast.data.grid import Grid
from srfast.errors import InputError
from srfast.ops import cuda  # noqa: F401  (registers torch.ops.srfast.degrade)
from srfast.ops.device import without_tf32
from srfast.scoring.backends import maps
from srfast.scoring.backends.maps import WindowSums, sobel_map
from srfast.scoring.backends.protocol import Scores
from srfast.scoring.backends.upload import fetched, to_device, uploaded
from srfast.scoring.network import Network

PRECISIONS = {
    "fp32": torch.float32,
    # float16 and not bfloat16: a plane in [0, 255] is rounded by 0.06 grey levels at most, against 0.5.
    "fast": torch.float16,
}
BACKENDS = ("native", "triton")
UPLOAD_PIXELS = 1 << 22
"""Pixels of one upload; two uploads of 12 MiB lie in page-locked memory."""


class Columns(NamedTuple):
    """Scores of a batch, float32 [N] each, on the batch's device."""

    loss: Tensor
    bicubic: Tensor
    sobel: Tensor


@dataclass(frozen=True)
class Windows:
    """Patches of one size in one buffer on the device, read where they lie."""

    pixels: Tensor
    """The buffer, uint8 of any shape; without offsets, [N, H, W, C]."""
    height: int
    width: int
    channels: int
    offsets: Tensor | None = None
    """int64 [N]: first byte of each patch."""
    row_strides: Tensor | None = None
    """int64 [N]: bytes from one row of each patch to the next."""

    @staticmethod
    def of(patches: Tensor) -> Windows:
        return Windows(patches, *patches.shape[1:])

    def __len__(self) -> int:
        return len(self.pixels) if self.offsets is None else len(self.offsets)

    def __getitem__(self, part: slice) -> Windows:
        if self.offsets is None or self.row_strides is None:
            return replace(self, pixels=self.pixels[part])
        return replace(self, offsets=self.offsets[part], row_strides=self.row_strides[part])

    def image(self, number: int) -> Tensor:
        """An image [H, W, C] as a view of the buffer."""
        if self.offsets is None or self.row_strides is None:
            return self.pixels[number]
        strides = (int(self.row_strides[number]), self.channels, 1)
        return self.pixels.as_strided((self.height, self.width, self.channels), strides, int(self.offsets[number]))

    def degraded(self, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The result of torch.ops.srfast.degrade for these patches."""
        ops: Any = torch.ops.srfast
        if self.offsets is None:
            return ops.degrade(self.pixels, *arguments)
        size = (self.height, self.width, self.channels)
        return ops.degrade_windows(self.pixels, self.offsets, self.row_strides, *size, *arguments)


class GpuScorer:
    """One SRCNN 9-1-5 (or plain bicubic) with a scale, ready on one device.

    ``weights`` are conv1.weight [64, 1, 9, 9], conv1.bias and so on to conv3; None scores plain bicubic up-sampling.
    The backend is "native" (torch's convolutions) or "triton", and the precision "fp32", or "fast", which is float16
    with float32 sums.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor] | None,
        scale: int = 2,
        backend: str = "triton",
        precision: str = "fp32",
        device: torch.device | str = "cuda",
    ) -> None:
        if backend not in BACKENDS:
            raise InputError(f"backend: expected 'native' or 'triton', got {backend!r}")
        if precision not in PRECISIONS:
            raise InputError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
        self.scale = scale
        self.dtype = PRECISIONS[precision]
        self.device = torch.device(device)
        self.sums_cells = backend == "triton"
        """Whether ``cells`` sums the maps of dense mode as they are made."""
        self._network = None if weights is None else _NETWORKS[backend](weights, scale, self.dtype, self.device)

    @torch.inference_mode()
    def columns(self, patches: Tensor | Windows) -> Columns:
        """Scores of patches uint8 [N, H, W, 3 or 1] on the scorer's device, with H and W multiples of the scale."""
        return Columns(*self._scored(patches, True))

    @torch.inference_mode()
    def losses(self, patches: Tensor | Windows) -> Tensor:
        """Only the losses, float32 [N], which saves the arithmetic of the bicubic and Sobel columns."""
        return self._scored(patches, self._network is None)[0]

    @torch.inference_mode()
    def maps(self, image: Tensor) -> Tensor:
        """float32 [3, H, W] of one uint8 image [H, W, 3 or 1]: squared errors of network and bicubic, and the Sobel
        map."""
        with _on(self.device):
            y, lr, up, _ = torch.ops.srfast.degrade(image[None], self.scale, torch.float32, True, False)
            plain = loss = (up - y).square()
            if self._network is not None:
                loss = (self._network.reconstruct(y, lr, up) - y).square()
            return torch.stack([loss[0], plain[0], sobel_map(y[0])])

    @torch.inference_mode()
    def cells(self, image: Tensor, sums: WindowSums, own: slice) -> Tensor:
        """``maps`` summed over the cells of some rows, float32 [3, rows, cells], by one kernel that writes no map."""
        from srfast.kernels.cells import launch_cells

        with _on(self.device):
            y, lr, up, _ = torch.ops.srfast.degrade(image[None], self.scale, torch.float32, True, False)
            sr = up if self._network is None else self._network.reconstruct(y, lr, up)
            return launch_cells(y[0], sr[0], up[0], sums.edges, sums.widest, own)

    def _scored(self, patches: Tensor | Windows, with_columns: bool) -> Tensor:
        """[3, N], or [1, N] without the bicubic and Sobel columns."""
        windows = patches if isinstance(patches, Windows) else Windows.of(patches)
        n, pixels = len(windows), windows.height * windows.width
        rows = 3 if with_columns else 1
        if n == 0:
            return torch.zeros(rows, 0, device=self.device)
        most = maps.BAND_PIXELS if self._network is None else self._network.pixels
        with _on(self.device):
            if pixels > max(most, maps.BAND_PIXELS):
                return torch.stack([self._large(windows.image(i))[:rows] for i in range(n)], 1)
            step = max(1, most // pixels)
            return torch.cat([self._chunk(windows[first : first + step], rows == 3) for first in range(0, n, step)], 1)

    def _chunk(self, windows: Windows, with_columns: bool) -> Tensor:
        needs_up = self._network is not None and self._network.needs_up
        dtype = self.dtype if needs_up else torch.float32
        arguments = (self.scale, dtype, needs_up, with_columns)
        y, lr, up, sums = windows.degraded(*arguments)
        loss = self._network.loss(y, lr, up)[None] if self._network is not None else None
        if not with_columns and loss is not None:
            return loss
        columns = (sums.sum(1) / y[0].numel()).float().T
        return torch.cat([columns[:1] if loss is None else loss, columns])

    def _large(self, image: Tensor) -> Tensor:
        total = torch.zeros(3, dtype=torch.float64, device=image.device)
        for band in maps.bands(image.shape[0], image.shape[1], self.scale):
            total += self.maps(image[band.first : band.last])[:, band.own].sum((1, 2), dtype=torch.float64)
        return (total / (image.shape[0] * image.shape[1])).float()


class GpuEngine:
    """Scores through the GPU: backend "native" (CUDA degrade, torch network) or "triton"."""

    concurrent = False

    def __init__(self, network: Network, backend: str, precision: str, device: torch.device | str = "cuda") -> None:
        self.name = backend
        self.precision = precision
        self.scale = network.scale
        self._scorer = GpuScorer(network.weights, network.scale, backend, precision, device)
        self.device = self._scorer.device

    def batch_tensor(self, patches: Tensor) -> Tensor:
        """Losses float32 [N] of uint8 patches [N, H, W, 3 or 1], on the device of ``patches``."""
        if patches.device.type == "cpu" and self.device.type != "cpu":
            return torch.from_numpy(self.batch(patches.detach().numpy()))
        return self._scorer.losses(patches.to(self.device)).to(patches.device)

    def batch(self, patches: np.ndarray) -> np.ndarray:
        n, h, w, c = patches.shape
        if n == 0:
            return np.zeros(0, np.float32)
        step = max(1, UPLOAD_PIXELS // (h * w))
        pieces = ([patches[first : first + step]] for first in range(0, n, step))
        with _on(self.device):
            parts = [self._scorer.losses(p.view(-1, h, w, c)) for p in uploaded(pieces, self.device)]
            return torch.cat(parts).cpu().numpy()

    def windows(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        return self.submit([image], [grid], False)()[0]

    def dense(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        return self.submit([image], [grid], True)()[0]

    def submit(
        self, images: Sequence[np.ndarray] | Sequence[Tensor], grids: Sequence[Grid], dense: bool
    ) -> Callable[[], list[Scores]]:
        """Starts ``windows`` or ``dense`` for images on the host or the device; they share uploads, and windows
        launches."""
        with _on(self.device):
            scores = (self._maps_of if dense else self._windows_of)(images, grids)
            wait = fetched(torch.cat(scores, 1))
        ends = np.cumsum([len(grid) for grid in grids])
        return lambda: [Scores(*part) for part in np.split(wait(), ends[:-1], 1)]

    def _windows_of(self, images: Any, grids: Sequence[Grid]) -> list[Tensor]:
        scores: list[list[Tensor]] = [[] for _ in images]
        size = grids[0].size
        cut = list(_pieces(images, grids))
        buffers = self._on_device([_places(piece), *(band for _, band, *_ in piece)] for piece in cut)
        for piece, buffer in zip(cut, buffers, strict=True):
            counts = [len(xs) * len(ys) for *_, xs, ys in piece]
            n = sum(counts)
            offsets, strides = buffer[: 16 * n].view(torch.int64).view(2, n)
            windows = Windows(buffer, size, size, piece[0][1].shape[2], offsets, strides)
            columns = torch.stack(self._scorer.columns(windows))
            for (number, *_), part in zip(piece, columns.split(counts, 1), strict=True):
                scores[number].append(part)
        return [part for parts in scores for part in parts]

    def _maps_of(self, images: Any, grids: Sequence[Grid]) -> list[Tensor]:
        sums = [WindowSums(grid, self.device) for grid in grids]
        cut = []
        for number, image in enumerate(images):
            height, width = (side // self.scale * self.scale for side in image.shape[:2])
            for band in maps.bands(height, width, self.scale):
                cut.append((number, band, image[band.first : band.last, :width]))
        buffers = self._on_device([pixels] for _, _, pixels in cut)
        for (number, band, pixels), buffer in zip(cut, buffers, strict=True):
            image = buffer.view(pixels.shape)
            if self._scorer.sums_cells:
                sums[number].add_cells(self._scorer.cells(image, sums[number], band.own), band)
            else:
                sums[number].add(self._scorer.maps(image)[:, band.own], band)
        return [s.means() for s in sums]

    def _on_device(self, pieces: Iterable[Sequence[Any]]) -> Iterator[Tensor]:
        """The bytes of each piece's arrays, and of its tensors on the device, as tensors on the device."""
        pieces = list(pieces)
        if not isinstance(pieces[0][-1], Tensor):
            yield from uploaded(pieces, self.device)
            return
        for piece in pieces:
            parts = [p if isinstance(p, Tensor) else to_device(p.view(np.uint8), self.device) for p in piece]
            yield torch.cat([part.flatten() for part in parts])


Rows = tuple[int, Any, np.ndarray, np.ndarray]
"""The number of an image, some of its rows (an array, or a tensor on the device), and the corners of windows there."""


def _pieces(images: Sequence[Any], grids: Sequence[Grid]) -> Iterator[list[Rows]]:
    """Groups images, or rows of windows of a large image, to UPLOAD_PIXELS."""
    piece: list[Rows] = []
    pixels = 0
    for number, (image, grid) in enumerate(zip(images, grids, strict=True)):
        rows = max(grid.size, UPLOAD_PIXELS // image.shape[1])
        ys, first = grid.ys, 0
        while first < len(ys):
            last = int(np.searchsorted(ys, ys[first] + rows - grid.size, "right"))
            band = image[ys[first] : ys[last - 1] + grid.size]
            more = band.shape[0] * band.shape[1]
            if piece and (pixels + more > UPLOAD_PIXELS or band.shape[2] != piece[0][1].shape[2]):
                yield piece
                piece, pixels = [], 0
            piece.append((number, band, grid.xs, ys[first:last] - ys[first]))
            pixels += more
            first = last
    if piece:
        yield piece


def _places(piece: list[Rows]) -> np.ndarray:
    """Offsets and row strides of a piece's windows, int64 [2, N]; they stand before the images, and offsets count from
    their own beginning."""
    places, begin = [], 0
    for _, band, xs, ys in piece:
        height, width, channels = band.shape
        offsets = begin + (ys[:, None].astype(np.int64) * width + xs).ravel() * channels
        places.append(np.stack([offsets, np.full(offsets.size, width * channels)]))
        begin += height * width * channels
    offsets, strides = np.concatenate(places, 1)
    return np.stack([offsets + 16 * len(offsets), strides])


class _TorchNetwork:
    """The network by torch's convolutions, channels last, with pixels in [0, 255] and biases times 255.

    The network is positively homogeneous, and a plane in half precision is not rounded twice.
    """

    needs_up = True
    pixels = 1 << 22
    """Pixels scored at once; conv1's 64 channels, held twice, take 1 GiB (2 GiB in fp32)."""

    def __init__(self, weights: Mapping[str, Tensor], scale: int, dtype: torch.dtype, device: torch.device) -> None:
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

    def loss(self, y: Tensor, lr: Tensor, up: Tensor) -> Tensor:
        sr = self._forward(up)
        # The CPU op takes float32 pairs only.
        return torch.ops.srfast.per_sample_mse(*((sr, y) if sr.is_cuda else (sr.float(), y.float())))

    def reconstruct(self, y: Tensor, lr: Tensor, up: Tensor) -> Tensor:
        return self._forward(up.to(self._layers[0][0].dtype)).float()


class _TritonNetwork:
    """The network by srfast.kernels.srcnn; the reconstruction is written only if requested."""

    needs_up = False
    pixels = 1 << 24
    """Pixels that are scored at once; 25 products a pixel take 800 MiB (1.6 GiB in fp32)."""

    def __init__(self, weights: Mapping[str, Tensor], scale: int, dtype: torch.dtype, device: torch.device) -> None:
        from srfast.kernels import srcnn
        from srfast.scoring.backends.fold import pack

        self._kernels: Any = srcnn
        self._dtype = dtype
        self._packed = pack(weights, scale, dtype, device)

    def loss(self, y: Tensor, lr: Tensor, up: Tensor, sr: Tensor | None = None) -> Tensor:
        products = self._kernels.launch_features(lr.to(self._dtype), self._packed)
        return self._kernels.launch_error(products, y, self._packed, sr)

    def reconstruct(self, y: Tensor, lr: Tensor, up: Tensor) -> Tensor:
        sr = torch.empty(y.shape, dtype=torch.float32, device=y.device)
        self.loss(y, lr, up, sr)
        return sr


_NETWORKS: dict[str, Any] = {"native": _TorchNetwork, "triton": _TritonNetwork}


def _on(device: torch.device) -> Any:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
