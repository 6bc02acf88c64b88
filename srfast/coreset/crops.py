"""Crops of a pool, degraded as its table was scored, from which the curvature of the loss is sketched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from srfast.data.shrink import WHOLE, read_shrunk, sizes_of
from srfast.data.workers import ordered_map
from srfast.scoring.rows import coded
from srfast.scoring.scored import ScoredImages, check_inside
from srfast.scoring.settings import Boundary, Scale
from srfast.scoring.table import ScoreTable

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 33
"""Side of a crop in pixels, that of SRCNN's own training crops."""
HELD_OUT = 5
"""Every image of this number is held out of the matrix, to choose the damping by."""
_SAMPLE = 128
"""Number of crops that determine this step."""


@dataclass(frozen=True)
class TableSettings:
    """The settings by which the table was scored."""

    scale: Scale
    patch: int
    stride: int
    dense: bool
    boundary: Boundary
    shrink: tuple[str, ...]

    @classmethod
    def of(cls, table: ScoreTable) -> TableSettings:
        meta = table.meta
        shrink = tuple(meta.get("shrink", WHOLE))
        return cls(meta["scale"], meta["patch"], meta["stride"], meta["mode"] == "dense", meta["boundary"], shrink)


def plane_of(rgb: np.ndarray) -> Tensor:
    import torch

    from srfast.ops.reference import luma

    return luma(torch.from_numpy(rgb))


def enlarged(y: Tensor, how: TableSettings) -> Tensor:
    """d(y) up-sampled again, in [0, 1], of whole images [N, H, W] uint8 whose sides are multiples of the scale."""
    import torch

    from srfast.ops.functional import imresize, upsample

    lr = torch.stack([imresize(plane, 1 / how.scale, boundary=how.boundary) for plane in y])
    return upsample(lr[:, None].float(), how.scale, boundary=how.boundary)[:, 0] / 255


class Crops:
    """Random crops of a pool's patches with their context; those of held-out images come last."""

    def __init__(
        self,
        table: ScoreTable,
        pool: ScoredImages,
        how: TableSettings,
        weights: Mapping[str, Tensor],
        number: int,
        seed: int,
        threads: int,
    ) -> None:
        from srfast.coreset.curvature import context

        self.how, self.reach, self.threads, self.pool = how, context(weights), threads, pool
        draw = np.random.default_rng(seed)
        self.names, of_image = coded(table.table.column("image"))
        self.sizes, of_size = sizes_of(table.table, table.meta)
        x, y, size = (table.column(c).astype(np.int64) for c in ("x", "y", "size"))
        self.side = min(SIDE, int(size.min()))
        rows = draw.integers(len(table), size=number)
        shift = draw.random((2, number))
        left = x[rows] + (shift[0] * (size[rows] - self.side + 1)).astype(np.int64)
        top = y[rows] + (shift[1] * (size[rows] - self.side + 1)).astype(np.int64)
        self.at = np.stack([x[rows], y[rows], size[rows], left, top], 1)
        images = draw.permutation(len(self.names))
        self.code = of_image[rows].astype(np.int64) * len(self.sizes) + of_size[rows]
        self.held = np.isin(of_image[rows], images[: max(1, len(images) // HELD_OUT)])
        if self.held.all() or not self.held.any():  # few images: every so many-th of their crops
            self.held = np.arange(number) % HELD_OUT == 0

    def pieces(self) -> Iterator[Tensor]:
        """Crops with context [n, side + 2 reach, side + 2 reach] in [0, 1], in pieces."""
        return (up for some in (~self.held, self.held) for up, _ in self._read(np.flatnonzero(some)))

    def sample(self) -> tuple[Tensor, Tensor]:
        """A few crops, and their Y [n, side, side] in [0, 255]."""
        import torch

        wanted = np.linspace(0, len(self.code) - 1, min(_SAMPLE, len(self.code))).astype(int)
        up, y = zip(*self._read(np.unique(wanted)), strict=True)
        return torch.cat(up), torch.cat(y)

    def _read(self, rows: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        rows = rows[np.argsort(self.code[rows], kind="stable")]
        groups = np.split(rows, np.flatnonzero(np.diff(self.code[rows])) + 1)
        with closing(ordered_map(self._of_image, groups, self.threads)) as crops:
            for _, pair in crops:
                yield pair

    def _of_image(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        import torch
        import torch.nn.functional as F

        image, size_of_image = divmod(int(self.code[rows[0]]), len(self.sizes))
        path = self.pool.check(self.names[image])
        y = plane_of(read_shrunk(path, float(self.sizes[size_of_image])))
        height, width = (s - s % self.how.scale for s in y.shape)
        y = y[:height, :width]
        at = self.at[rows]
        check_inside(path, at[:, 0], at[:, 1], at[:, 2], width, height)

        def padded(plane: Tensor) -> Tensor:
            return F.pad(plane[None], (self.reach,) * 4, mode="replicate")[0]

        side, whole = self.side, self.side + 2 * self.reach
        up, hr = torch.empty(len(rows), whole, whole), torch.empty(len(rows), side, side)
        whole_plane = padded(enlarged(y[None], self.how)[0]) if self.how.dense else None
        for i, (x0, y0, size, left, top) in enumerate(at.tolist()):
            if whole_plane is not None:
                up[i] = whole_plane[top : top + whole, left : left + whole]
            else:
                patch = padded(enlarged(y[None, y0 : y0 + size, x0 : x0 + size], self.how)[0])
                up[i] = patch[top - y0 : top - y0 + whole, left - x0 : left - x0 + whole]
            hr[i] = y[top : top + side, left : left + side]
        return up, hr
