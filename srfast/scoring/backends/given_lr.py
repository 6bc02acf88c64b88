"""Scores of existing pairs, whose LR image is given instead of made by d."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from srfast.data.grid import Grid
from srfast.ops import reference
from srfast.ops.precision import without_tf32
from srfast.scoring.backends.maps import WindowSums, bands
from srfast.scoring.backends.protocol import Scores, cut
from srfast.scoring.backends.upscaling import Upscaler
from srfast.scoring.network import Network

_PIXELS = 1 << 20
"""HR pixels that are computed at once."""


class PairEngine:
    """Scores pairs in batches and in bands of rows, so that memory does not grow with the image.

    ``loss`` is the loss of the network on the given LR image, ``bicubic`` that of up-sampling it. A model of Y gets the
    rounded Y of the LR image, a model of RGB its colours, and the error is that of Y, as for LR images that are made.
    """

    precision = "fp32"
    concurrent = False

    def __init__(self, network: Network, boundary: str, device: str, upscaler: Upscaler | None, name: str) -> None:
        self.network, self.boundary, self.name = network, boundary, name
        self.device = torch.device(device)
        self._upscaler = upscaler

    def windows(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        """Patch mode: each window of HR [H, W, C] and of LR [h, w, C] is an image of its own."""
        assert lr is not None
        s = self.network.scale
        columns: list[list[np.ndarray]] = [[], [], []]
        rows = max(1, _PIXELS // (grid.size**2 * len(grid.xs)))
        for i in range(0, len(grid.ys), rows):
            some = replace(grid, ys=grid.ys[i : i + rows])
            below = Grid(some.xs // s, some.ys // s, some.size // s)
            high, low = self._tensor(cut(image, some)), self._tensor(cut(lr, below))
            maps = self._maps(high, low)
            if self._upscaler is not None:
                maps[0] = self._upscaler.errors(high, low)
            for column, values in zip(columns, maps, strict=True):
                column.append(values.mean((1, 2), dtype=torch.float64).float().cpu().numpy())
        return Scores(*(np.concatenate(c) for c in columns))

    def dense(self, image: np.ndarray, grid: Grid, threads: int = 1, lr: np.ndarray | None = None) -> Scores:
        """Dense mode: the image is run once as a whole, and each window gets the mean of its part of the maps."""
        assert lr is not None
        s = self.network.scale
        h, w = (n * s for n in lr.shape[:2])
        sums = WindowSums(grid, self.device)
        for band in bands(h, w, s, _PIXELS):
            high = self._tensor(image[None, band.first : band.last, :w])
            maps = self._maps(high, self._tensor(lr[None, band.first // s : band.last // s]))
            sums.add(torch.cat([m[:, band.own] for m in maps]), band)
        scores = Scores(*sums.means().cpu().numpy())
        if self._upscaler is not None:
            whole, low = (torch.from_numpy(np.array(a, copy=None, order="C")) for a in (image[:h, :w], lr))
            scores.loss = self._upscaler.dense(whole, low, grid)
        return scores

    def _tensor(self, image: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(image, order="C")).to(self.device)

    @torch.inference_mode()
    def _maps(self, hr: Tensor, lr: Tensor) -> list[Tensor]:
        """Squared errors of SRCNN (of bicubic for another network) and of bicubic, and Sobel's map.

        All are [N, H, W] float32, of HR [N, H, W, C] and LR.
        """
        s = self.network.scale
        target, low = reference.luma(hr).float(), reference.luma(lr)
        with without_tf32():
            up = low.float() if s == 1 else reference.resample(low.float(), s, self.boundary)
            sr = up
            if self.network.weights is not None:
                sr = 255 * reference.srcnn(up[:, None] / 255, self.network.weights)[:, 0]
        return [(sr - target).square(), (up - target).square(), reference.sobel_map(hr).float()]
