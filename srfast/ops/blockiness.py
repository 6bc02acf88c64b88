"""A no-reference score of JPEG block artefacts."""

from __future__ import annotations

import numpy as np

from srfast.ops import native
from srfast.ops.checks import check_windows

SMALLEST = 9
"""Side of the smallest window that contains a step of the grid wherever it lies."""


def blockiness(image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int, threads: int = 1) -> np.ndarray:
    """How much stronger the steps inside windows are on JPEG's grid than elsewhere, in percent.

    After Wang, Sheikh, Bovik, "No-reference perceptual quality assessment of JPEG compressed images" (ICIP 2002),
    Section 2. The blockiness B is the mean absolute difference of horizontal neighbours across the boundary of a block
    (eq. 2), averaged with that of vertical neighbours. The activity A is the same of differences inside blocks::

        blockiness = 100 max(B - A, 0) / (B + A + 1)

    0 means that the grid does not stand out, and values towards 100 that the window has no steps but those on the grid.
    The 1, a grey level, keeps steps that come from rounding to 8 bits small in flat windows.

    Deviations from the paper: it is computed on Y (BT.601, rounded, 16..235), and for a window, from the pairs of
    neighbours inside it; A is the mean of the differences off the grid, which eq. 3 computes from all differences;
    neither the rate of zero crossings nor the exponents fitted to opinion scores are used, and B is compared with A
    instead, so that the number has a zero.

    The grid starts at the top left corner of the image. Blocks that start elsewhere are not seen, as in images that
    were cropped or resized after compression, or that EXIF turns while their height or width is not a multiple of 8.
    Blocks of chroma alone are not seen either.

    Args:
        image: uint8 [H, W, 3] RGB, or [H, W, 1], which is Y itself; contiguous or not.
        xs: [nx] left sides of the windows of a row, ascending; every window lies inside the image.
        ys: [ny] tops of the rows of windows, ascending.
        size: Side of the windows in pixels, at least 9, so that each contains a step of the grid.
        threads: Number of threads of the compiled kernel. Sums are of integers, so that the result does not depend on
            it.

    Returns:
        float32 [len(ys) * len(xs)], 0..100, row by row.

    Raises:
        TypeError: the image is not uint8.
        InputError: a shape, size or window does not fit.
    """
    xs, ys, size, threads = check_windows(image, xs, ys, size, threads, SMALLEST)
    if not (len(xs) and len(ys)):
        return np.zeros(0, np.float32)
    image = native.contiguous_rows(image)
    out = np.empty(len(xs) * len(ys), np.float32)
    grid = native.grid_at(xs, ys, size)
    native.compiled().blockiness(native.image_at(image), grid, min(threads, len(ys)), out.ctypes.data)
    return out


def summed_area(values: np.ndarray, first: int) -> np.ndarray:
    """Table [H + 1, W + 1] of a map [H, W]: entry (i, j) is the sum of values[:i, :j], int64 of integers and truth
    values, otherwise float64, and then summed along the axis ``first`` at first."""
    kind = np.float64 if values.dtype.kind == "f" else np.int64
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1), kind)
    np.cumsum(values, axis=first, dtype=kind, out=table[1:, 1:])
    np.cumsum(table[1:, 1:], axis=1 - first, out=table[1:, 1:])
    return table


def window_sums(values: np.ndarray, xs: np.ndarray, ys: np.ndarray, w: int, h: int) -> np.ndarray:
    """Sums of the h x w windows of a map, [len(ys), len(xs)]: int64 of integers and truth values, otherwise float64."""
    table = summed_area(values, 0)
    top, bottom = table[ys], table[ys + h]
    return (bottom[:, xs + w] - top[:, xs + w]) - (bottom[:, xs] - top[:, xs])
