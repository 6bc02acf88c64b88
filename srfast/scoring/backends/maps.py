"""Base of engines that compute squared-error maps: batches, windows and dense means follow from ``errors``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srfast.data.grid import Grid
from srfast.ops import reference
from srfast.ops.device import without_tf32
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.backends.protocol import Scores, cut, window_means
from srfast.scoring.backends.upload import to_device
from srfast.scoring.network import Network


class MapEngine(ABC):
    """An engine of squared-error maps; ``bicubic`` and ``sobel`` come from the compiled engine."""

    precision = "fp32"
    concurrent = False
    pixels_per_batch = 1 << 20
    """HR pixels of a group of patches, approximately."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._plain = NativeEngine(Network("bicubic", "bicubic", "", network.scale))

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
        plain = self._plain.windows(image, grid, threads)
        if self.network.kind == "bicubic":
            return plain
        return Scores(self.batch(cut(image, grid)), plain.bicubic, plain.sobel)

    def dense(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        plain = self._plain.dense(image, grid, threads)
        if self.network.kind == "bicubic":
            return plain
        h, w = (side // self.network.scale * self.network.scale for side in image.shape[:2])
        return Scores(self.dense_losses(image[:h, :w], grid), plain.bicubic, plain.sobel)

    def dense_losses(self, image: np.ndarray, grid: Grid) -> np.ndarray:
        """Means of the windows of the squared-error map of an image [H, W, 3 or 1], sides multiples of the scale."""
        return window_means(self.errors(image[None])[0], grid)


BAND_PIXELS = 1 << 22
"""Pixels of a band without its halo; maps and float64 sums take some 200 bytes a pixel, and the network as much."""
WIDEST = 128
"""Pixels of the widest cell of a row; ``srfast.kernels.cells`` takes no fewer."""
HALO = 8
"""LR rows that a band reads beyond its own on each side. The cut spoils the 2 LR rows whose down-sampling crosses it,
the 2 whose up-sampling does, and the 4 + 2 HR rows of conv1 and conv3: 7 LR rows at x2."""


@dataclass(frozen=True)
class Band:
    """Rows of an image that are scored together."""

    begin: int
    end: int
    first: int
    """First row of the halo above."""
    last: int

    @property
    def own(self) -> slice:
        """The band's own rows among those with the halo."""
        return slice(self.begin - self.first, self.end - self.first)


def bands(height: int, width: int, scale: int, pixels: int | None = None) -> Iterator[Band]:
    """Cuts the rows of an image, multiples of the scale, into bands of BAND_PIXELS, or of one LR row."""
    step = max(1, (pixels or BAND_PIXELS) // (width * scale)) * scale
    for begin in range(0, height, step):
        end = min(begin + step, height)
        yield Band(begin, end, max(0, begin - HALO * scale), min(height, end + HALO * scale))


class WindowSums:
    """Sums of maps over windows in float64; the maps come in bands, from the top down.

    The grid is copied to the device once, and adding a band waits for nothing there.
    """

    def __init__(self, grid: Grid, device: torch.device, maps: int = 3) -> None:
        xs, ys = grid.xs.astype(np.int64), grid.ys.astype(np.int64)
        self._tops, self._size = ys, grid.size
        edges = np.concatenate([xs, xs + grid.size, np.arange(xs[0], xs[-1] + grid.size, WIDEST)])
        edges, place = np.unique(edges, return_inverse=True)
        self.widest = int(np.diff(edges).max())
        """Pixels of the widest cell."""
        parts = xs, ys, place[: 2 * len(xs)], edges
        on_device = to_device(np.concatenate(parts), device).split([len(part) for part in parts])
        self._x, self._y, self._cells, found = on_device
        self.edges = found.int()
        """The first pixel of each cell of a row and the end of the last, int32: a window is a run of whole cells."""
        self._sums = torch.zeros(maps, len(ys), len(xs), dtype=torch.float64, device=device)
        self._above = torch.zeros(maps, 1, len(xs), dtype=torch.float64, device=device)

    def add(self, maps: Tensor, band: Band) -> None:
        """Adds maps [maps, rows of the band, W]."""
        for number, error in enumerate(maps):
            until = F.pad(error.double().cumsum(1), (1, 0))
            self._add(slice(number, number + 1), (until[:, self._x + self._size] - until[:, self._x])[None], band)

    def add_cells(self, sums: Tensor, band: Band) -> None:
        """Adds maps that are summed over the cells of each row, [maps, rows of the band, cells]."""
        until = F.pad(sums.double().cumsum(2), (1, 0))
        begin, end = self._cells.view(2, -1)
        self._add(slice(None), until[:, :, end] - until[:, :, begin], band)

    def _add(self, maps: slice, rows: Tensor, band: Band) -> None:
        """Adds the sums of some maps in the columns of each window, [maps, rows of the band, windows]."""
        # until[:, i]: what stands above row band.begin + i
        until = torch.cat([self._above[maps], self._above[maps] + rows.cumsum(1)], 1)
        # The windows that begin and that end in the band: rows begin .. end - 1, begin + 1 .. end.
        for sign, edges, first in ((-1, self._y, band.begin), (1, self._y + self._size, band.begin + 1)):
            below = first if sign < 0 else first - self._size
            part = slice(*np.searchsorted(self._tops, (below, below + band.end - band.begin)))
            self._sums[maps, part] += sign * until[:, edges[part] - band.begin]
        self._above[maps] = until[:, -1:]

    def means(self) -> Tensor:
        """Means of the windows, float32 [maps, len(grid)]."""
        return (self._sums / self._size**2).clamp(min=0).float().flatten(1)


def sobel_map(y: Tensor) -> Tensor:
    """``reference.sobel_map`` of one uint8 plane [H, W] in float32, which holds its values exactly."""
    y = F.pad(y[None, None].float(), (1, 1, 1, 1), mode="reflect")[0, 0]
    smooth, rough = y[:-2] + 2 * y[1:-1] + y[2:], y[2:] - y[:-2]
    gx, gy = smooth[:, 2:] - smooth[:, :-2], rough[:, :-2] + 2 * rough[:, 1:-1] + rough[:, 2:]
    return (gx.abs() + gy.abs()) / 2


class EagerEngine(MapEngine):
    """Scores SRCNN and bicubic with torch; SRCNN's first layer takes 256 bytes a pixel."""

    name = "torch"

    def __init__(self, network: Network, device: str = "cpu") -> None:
        super().__init__(network)
        self.device = torch.device(device)

    @torch.inference_mode()
    def errors(self, patches: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(np.array(patches, order="C")).to(self.device)
        with without_tf32():
            error = reference.squared_error(x, self.network.weights, self.network.scale)
        return error.cpu().numpy()
