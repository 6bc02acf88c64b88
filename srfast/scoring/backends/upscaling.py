"""Networks from LR to SR as scorers, run in tiles on large images, and pairs whose LR image is given."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from srfast.data.grid import Grid
from srfast.models import tiling
from srfast.models.tiling import Descriptor
from srfast.ops import reference
from srfast.ops.color import luma
from srfast.ops.device import without_tf32
from srfast.ops.functional import imresize
from srfast.scoring.backends.maps import Band, MapEngine, WindowSums, bands
from srfast.scoring.backends.protocol import Scores, cut
from srfast.scoring.network import Network

log = logging.getLogger(__name__)

SEAMS = 1e-3
"""Mean change of a tile's error map at twice the overlap, relative to its mean, from which on a warning is logged."""


class Upscaler:
    """A network, and how it runs on 8-bit LR images of any size, [N, h, w, 3 or 1]; a single plane is Y.

    A network of Y gets the rounded Y, a network of RGB the colours (or Y three times). An image of more than
    ``tiling.WHOLE_PIXELS`` LR pixels runs in tiles of ``tiling.TILE``, so that memory does not grow with it.
    ``overlap`` are the LR pixels around a tile if the receptive field is not known; the scores are then approximate.
    One tile of the first such image also runs with twice the overlap, and a warning says how much its errors change,
    from ``SEAMS`` on.
    """

    def __init__(self, network: Descriptor, device: torch.device, overlap: int = tiling.OVERLAP) -> None:
        self.network, self.device = network, device
        self.overlap = -(-overlap // tiling.ALIGN) * tiling.ALIGN
        network.model.to(device)
        self._looked_at = network.receptive is not None

    def errors(self, hr: Tensor, lr: Tensor) -> Tensor:
        """Squared errors on Y, float32 [N, H, W] in units of [0, 255]^2, of HR [N, H, W, 3 or 1] uint8 and its LR."""
        with self._running():
            planes = self._planes(lr)
            if len(planes) == 1:
                rows = [torch.cat([self._error(t, planes, hr[0]) for t in row], 1) for row in self._rows(planes)]
                return torch.cat(rows)[None]
            sr = tiling.run(self.network, planes, "scorer")
            return (self._luma(sr) - reference.luma(hr.to(self.device)).float()).square()

    def dense(self, hr: Tensor, lr: Tensor, grid: Grid) -> np.ndarray:
        """Means float32 [len(grid)] of the windows of the squared-error map of HR [H, W, 3 or 1] and LR [h, w, ...].

        H and W are ``scale`` times h and w.
        """
        with self._running():
            planes = self._planes(lr[None])
            sums = WindowSums(grid, self.device, 1)
            for row in self._rows(planes):
                error = torch.cat([self._error(tile, planes, hr) for tile in row], 1)
                begin, end = (self.network.scale * n for n in (row[0].rows.start, row[0].rows.stop))
                sums.add(error[None], Band(begin, end, begin, end))
            return sums.means()[0].cpu().numpy()

    def upscale(self, lr: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """SR of an LR image uint8 [h, w, 3 or 1]: its Y float32 [H, W] of 16..235, not rounded, and RGB float32 [H, W,
        3] in [0, 255] from a network of colours, otherwise None."""
        with self._running():
            planes = self._planes(torch.from_numpy(lr)[None])
            rows = [torch.cat([tile.run(self.network, planes) for tile in row], 3) for row in self._rows(planes)]
            sr = torch.cat(rows, 2)
            colours = 255 * sr[0].movedim(0, -1).cpu().numpy() if self.network.color == "rgb" else None
            return self._luma(sr)[0].cpu().numpy(), colours

    @contextmanager
    def _running(self) -> Iterator[None]:
        """The network in evaluation mode, without gradients and in full float32."""
        with torch.inference_mode(), self.network.evaluating(), without_tf32():
            yield

    def _rows(self, planes: Tensor) -> list[list[tiling.Tile]]:
        """The tiles of an image, row by row."""
        h, w = planes.shape[2:]
        side = tiling.TILE if h * w > tiling.WHOLE_PIXELS else 0
        rows: dict[int, list[tiling.Tile]] = {}
        for tile in tiling.tiles(self.network, h, w, side, self.overlap):
            rows.setdefault(tile.rows.start, []).append(tile)
        return list(rows.values())

    def _error(self, tile: tiling.Tile, planes: Tensor, hr: Tensor) -> Tensor:
        """The squared-error map of the area of a tile."""
        s = self.network.scale
        whole = hr[s * tile.rows.start : s * tile.rows.stop, s * tile.columns.start : s * tile.columns.stop]
        target = reference.luma(whole.to(self.device)).float()
        error = (self._luma(tile.run(self.network, planes))[0] - target).square()
        if not self._looked_at:
            self._look(tile, planes, error, target)
        return error

    def _look(self, tile: tiling.Tile, planes: Tensor, error: Tensor, target: Tensor) -> None:
        """Warns if the overlap is too small for the network, on the tile in the middle of an image of several tiles."""
        h, w = planes.shape[2:]
        middle = tile.rows.start <= h // 2 < tile.rows.stop and tile.columns.start <= w // 2 < tile.columns.stop
        if h * w <= tiling.WHOLE_PIXELS or not middle:
            return
        self._looked_at = True
        twice = max(2 * self.overlap, tiling.ALIGN)
        wider = next(
            t
            for t in tiling.tiles(self.network, h, w, tiling.TILE, twice)
            if (t.rows, t.columns) == (tile.rows, tile.columns)
        )
        other = (self._luma(wider.run(self.network, planes))[0] - target).square()
        change = float((other - error).abs().mean() / other.mean().clamp(min=1e-12))
        if change > SEAMS:
            log.warning(
                "%s: tiles of a large image with an overlap of %d LR pixels change its errors by %.2g %% against %d; "
                "`tile_overlap` %d is nearer to the whole image, and slower",
                self.network.name, self.overlap, 100 * change, twice, twice,
            )  # fmt: skip

    def _planes(self, lr: Tensor) -> Tensor:
        """The input of the network, float32 [N, C, h, w] in [0, 1]."""
        lr = lr.to(self.device)
        if self.network.color == "y":
            return reference.luma(lr)[:, None].float() / 255
        return lr.movedim(-1, 1).expand(-1, 3, -1, -1).float() / 255

    def _luma(self, sr: Tensor) -> Tensor:
        """Y [N, H, W] of 16..235, not rounded, of SR [N, C, H, W]."""
        sr = sr * 255
        return luma(*sr.unbind(1)) if self.network.color == "rgb" else sr[:, 0]


class UpscalerEngine(MapEngine):
    """Scores with such a network on LR images that are made here."""

    def __init__(self, network: Network, upscaler: Upscaler, name: str) -> None:
        super().__init__(network)
        self.name = name
        self._upscaler = upscaler

    def errors(self, patches: np.ndarray) -> np.ndarray:
        hr = torch.from_numpy(np.array(patches, order="C")).to(self._upscaler.device)
        source = reference.luma(hr)[..., None] if self._upscaler.network.color == "y" else hr
        lr = reference.resample_uint8(source.movedim(-1, 1), 1 / self.network.scale).movedim(1, -1)
        return self._upscaler.errors(hr, lr).cpu().numpy()

    def dense_losses(self, image: np.ndarray, grid: Grid) -> np.ndarray:
        hr = torch.from_numpy(np.array(image, copy=None, order="C"))
        return self._upscaler.dense(hr, self._made(hr), grid)

    def _made(self, hr: Tensor) -> Tensor:
        """The LR image, uint8 [h, w, 3 or 1], of a whole image."""
        if self._upscaler.network.color == "y":
            step = max(1, self.pixels_per_batch // hr.shape[1])
            hr = torch.cat([reference.luma(hr[i : i + step]) for i in range(0, len(hr), step)])[..., None]
        return imresize(hr, 1 / self.network.scale)


class Function(nn.Module):
    """A function of the caller's own as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, lr: Tensor) -> Tensor:
        return self._function(lr)


def make_upscaler(network: Network, device: str, overlap: int, threads: int = 1) -> Upscaler:
    """The upscaler of a network of kind "module" or "onnx". ``threads`` are ONNX Runtime's. Raises InputError if an
    .onnx file is not such a network, and RunError if onnxruntime is missing."""
    if network.kind == "onnx":
        from srfast.scoring.backends.onnx.runtime import OnnxNetwork

        assert network.path is not None
        model = OnnxNetwork(network.path, network.scale, threads, device)
        return Upscaler(Descriptor(model, network.name, network.scale, model.color), torch.device("cpu"), overlap)
    color: Literal["y", "rgb"] = "y" if network.color == "y" else "rgb"
    module = network.module
    assert module is not None
    if not isinstance(module, nn.Module):
        module = Function(module)
    return Upscaler(Descriptor.of(module, network.scale, network.name, color), torch.device(device), overlap)


_PIXELS = 1 << 20
"""HR pixels that are computed at once."""


class PairEngine:
    """Scores pairs in batches and in bands of rows, so that memory does not grow with the image.

    ``loss`` is the loss of the network on the given LR image, ``bicubic`` that of up-sampling it. A model of Y gets the
    rounded Y of the LR image, a model of RGB its colours, and the error is that of Y, as for LR images that are made.
    """

    precision = "fp32"
    concurrent = False

    def __init__(self, network: Network, device: str, upscaler: Upscaler | None, name: str) -> None:
        self.network, self.name = network, name
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
            up = low.float() if s == 1 else reference.resample(low.float(), s)
            sr = up
            if self.network.weights is not None:
                sr = 255 * reference.srcnn(up[:, None] / 255, self.network.weights)[:, 0]
        return [(sr - target).square(), (up - target).square(), reference.sobel_map(hr).float()]
