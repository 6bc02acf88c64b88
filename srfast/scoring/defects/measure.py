"""The columns of defects for the patches of one image."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from srfast.data.encoding import encoding_of
from srfast.data.grid import Grid
from srfast.ops.blockiness import blockiness, window_sums
from srfast.ops.defects import COLUMNS, defects, jpeg_trace
from srfast.ops.defects_reference import luma
from srfast.scoring.defects.thresholds import names

Array = np.ndarray[Any, np.dtype[Any]]
REACH = 4
"""LR pixels within which the shift of the whole image is searched."""
FLAT = 1.0
"""Least mean square of the gradient along its weaker direction for which a shift can be known."""


def measure(
    hr: np.ndarray, path: str | os.PathLike[str] | None, grid: Grid, *, threads: int = 1,
    lr: np.ndarray | None = None, scale: int = 1,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The columns of ``score --defects`` for the windows of an image uint8 [H, W, 3], float32 [len(grid)] each; NaN
    stands for null. ``path`` is None if the image was shrunk after reading, and ``lr`` its given LR image, uint8 [H //
    scale, W // scale, 3]. Windows have at least 32 pixels a side."""
    xs, ys, size = grid.xs, grid.ys, grid.size
    columns = dict(zip(COLUMNS, defects(hr, xs, ys, size, threads).T, strict=True))
    columns["blockiness"] = blockiness(hr, xs, ys, size, threads)
    of_file = None if path is None else encoding_of(path).quality
    qualities = [q for q in (of_file, jpeg_trace(hr)) if q is not None]
    columns["jpeg"] = np.full(len(grid), min(qualities, default=np.nan), np.float32)
    if lr is not None:
        columns |= pair_columns(hr, lr, xs, ys, size, scale)
    return {name: columns[name] for name in names(lr is not None)}


def pair_columns(hr: Array, lr: Array, xs: Array, ys: Array, size: int, scale: int) -> dict[str, Array]:
    """The columns ``shift`` and ``colour``, float32 [len(ys) * len(xs)], of windows of a pair hr uint8 [H, W, 3], lr
    uint8 [H // scale, W // scale, 3].

    Both compare LR with d(HR), the HR image reduced by ``srfast.imresize``. ``shift`` is the length in LR pixels of the
    displacement with the least squared difference of the lumas in the window (Lucas, Kanade, "An iterative image
    registration technique", 1981, eq. 9, one step from the whole image's shift in whole pixels, which is found by
    trying all of up to 4); it is NaN where the window has no gradient in some direction. ``colour`` is the greatest of
    the three absolute differences of the channels' means. xs, ys and size are HR pixels, multiples of the scale.
    """
    from srfast.ops.functional import imresize

    h, w = lr.shape[:2]
    reduced = imresize(np.ascontiguousarray(hr[: h * scale, : w * scale]), 1 / scale)
    left, top, side = np.asarray(xs) // scale, np.asarray(ys) // scale, size // scale

    def means(plane: Array) -> Array:
        return window_sums(plane, left, top, side, side) / side**2

    difference = lr.astype(np.float64) - reduced
    colour = np.abs(np.stack([means(difference[..., c]) for c in range(3)])).max(0)
    a, b = luma(reduced).astype(np.float64), luma(lr).astype(np.float64)
    dy, dx = _whole_pixel_shift(a, b)
    a = np.roll(a, (dy, dx), (0, 1))
    mean = (a + b) / 2
    gradient: list[Array] = list(np.gradient(mean)) if min(mean.shape) > 1 else [np.zeros_like(mean)] * 2
    gy, gx = gradient
    change = b - a
    change -= change.mean()
    for line in (gx, gy):  # values that the roll moved to the other side are meaningless
        line[: max(dy, 0)] = line[h + min(dy, 0) :] = 0
        line[:, : max(dx, 0)] = line[:, w + min(dx, 0) :] = 0
    xx, xy, yy, xt, yt = (means(p) for p in (gx * gx, gx * gy, gy * gy, gx * change, gy * change))
    determinant = xx * yy - xy * xy
    weaker = (xx + yy - np.sqrt(np.square(xx - yy) + 4 * xy * xy)) / 2
    known = weaker >= FLAT
    safe = np.where(known, determinant, 1)
    sx, sy = -(yy * xt - xy * yt) / safe, -(xx * yt - xy * xt) / safe
    shift = np.where(known, np.hypot(sx + dx, sy + dy), np.nan)
    return {"shift": shift.astype(np.float32).ravel(), "colour": colour.astype(np.float32).ravel()}


def _whole_pixel_shift(a: Array, b: Array) -> tuple[int, int]:
    """Rows and columns, up to REACH, by which moving ``a`` fits ``b`` best; the smallest of equal ones."""
    h, w = a.shape
    m = min(REACH, (min(h, w) - 1) // 4)
    inner = b[m : h - m, m : w - m]
    inner = inner - inner.mean()
    best, move = np.inf, (0, 0)
    moves = sorted(
        ((dy, dx) for dy in range(-m, m + 1) for dx in range(-m, m + 1)), key=lambda d: abs(d[0]) + abs(d[1])
    )
    for dy, dx in moves:
        moved = a[m - dy : h - m - dy, m - dx : w - m - dx]
        error = float(np.square(moved - moved.mean() - inner).mean())
        if error < best:
            best, move = error, (dy, dx)
    return move
