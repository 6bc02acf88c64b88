"""Large images in bands of rows on the device: the rows that a band reads, and the sums of its maps over windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srfast.data.grid import Grid
from srfast.scoring.backends.upload import to_device

BAND_PIXELS = 1 << 22
"""Pixels of a band without its halo; maps and float64 sums take some 200 bytes a pixel, and the network as much."""
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
        xs, ys = grid.xs, grid.ys
        self._x, self._y = to_device(np.concatenate([xs, ys]).astype(np.int64), device).split([len(xs), len(ys)])
        self._tops, self._size = ys.astype(np.int64), grid.size
        self._sums = torch.zeros(maps, len(ys), len(xs), dtype=torch.float64, device=device)
        self._above = torch.zeros(maps, 1, len(xs), dtype=torch.float64, device=device)

    def add(self, maps: Tensor, band: Band) -> None:
        for number, error in enumerate(maps):
            rows = F.pad(error.double().cumsum(1), (1, 0))
            rows = rows[:, self._x + self._size] - rows[:, self._x]
            # until[i]: what stands above row band.begin + i, in the columns of each window
            until = torch.cat([self._above[number], self._above[number] + rows.cumsum(0)])
            # The windows that begin and that end in the band: rows begin .. end - 1, begin + 1 .. end.
            for sign, edges, first in ((-1, self._y, band.begin), (1, self._y + self._size, band.begin + 1)):
                below = first if sign < 0 else first - self._size
                part = slice(*np.searchsorted(self._tops, (below, below + band.end - band.begin)))
                self._sums[number, part] += sign * until[edges[part] - band.begin]
            self._above[number] = until[-1:]

    def means(self) -> Tensor:
        """Means of the windows, float32 [maps, len(grid)]."""
        return (self._sums / self._size**2).clamp(min=0).float().flatten(1)


def sobel_map(y: Tensor) -> Tensor:
    """``reference.sobel_map`` of one uint8 plane [H, W] in float32, which holds its values exactly."""
    y = F.pad(y[None, None].float(), (1, 1, 1, 1), mode="reflect")[0, 0]
    smooth, rough = y[:-2] + 2 * y[1:-1] + y[2:], y[2:] - y[:-2]
    gx, gy = smooth[:, 2:] - smooth[:, :-2], rough[:, :-2] + 2 * rough[:, 1:-1] + rough[:, 2:]
    return (gx.abs() + gy.abs()) / 2
