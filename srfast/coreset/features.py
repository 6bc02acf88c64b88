"""Cheap features of patches: small copies of Y, the spread of contrast over frequency and direction, and likeness."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from srfast.coreset.limits import by_value
from srfast.data.shrink import read_shrunk
from srfast.data.workers import ordered_map
from srfast.ops.blockiness import summed_area
from srfast.ops.color import WEIGHTS
from srfast.runtime.threads import cores
from srfast.scoring.rows import Rows
from srfast.scoring.scored import ScoredImages, check_inside

T = TypeVar("T")
SIDE = 32
"""Side of the small copy of a patch."""
RINGS, WEDGES = 4, 6
_BATCH = 2048


def describe(
    table: Rows, rows: np.ndarray, images: ScoredImages, describe_copies: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Features [n, d] of rows [n] of a table; each image is read once at each of its sizes, on all cores.

    ``describe_copies`` makes features [m, d] of small copies [m, SIDE, SIDE] float32. Raises InputError if an image
    cannot be read, has changed since it was scored, or is too small for its patches.
    """
    x, y, size = (table.column(c)[rows] for c in ("x", "y", "size"))

    def look(rgb: np.ndarray, group: np.ndarray) -> np.ndarray:
        sums = summed_area(luma(rgb), 1)
        parts = [group[i : i + _BATCH] for i in range(0, len(group), _BATCH)]
        return np.concatenate([describe_copies(copies(sums, x[p], y[p], size[p])) for p in parts])

    features = np.empty((0, 0), np.float32)
    for group, values in of_images(table, rows, images, look, cores()):
        if not len(features):
            features = np.empty((len(rows), *values.shape[1:]), values.dtype)
        features[group] = values
    return features


def of_images(
    table: Rows, rows: np.ndarray, images: ScoredImages, look: Callable[[np.ndarray, np.ndarray], T], threads: int
) -> Iterator[tuple[np.ndarray, T]]:
    """By image and size, the positions [m] among some rows [n] of those that lie there, and what ``look`` makes of its
    pixels and them. Raises InputError as ``describe`` does."""
    names, code = table.coded()
    sizes, at = table.sizes()
    code = code[rows].astype(np.int64) * len(sizes) + at[rows]
    x, y, size = (table.column(c)[rows] for c in ("x", "y", "size"))

    def of_image(group: np.ndarray) -> T:
        image, factor = divmod(int(code[group[0]]), len(sizes))
        path = images.check(names[image])
        rgb = read_shrunk(path, float(sizes[factor]))
        check_inside(path, x[group], y[group], size[group], rgb.shape[1], rgb.shape[0])
        return look(rgb, group)

    with closing(ordered_map(of_image, by_value(code), threads)) as results:
        yield from results


def luma(rgb: np.ndarray) -> np.ndarray:
    """Y of BT.601 [H, W] float32, 16 to 235, not rounded, of an RGB image [H, W, 3] uint8."""
    return (rgb.reshape(-1, 3).astype(np.float32) @ WEIGHTS + np.float32(16)).reshape(rgb.shape[:2])


def copies(sums: np.ndarray, x: np.ndarray, y: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Patches [n] of an image, each as means over SIDE x SIDE cells, [n, SIDE, SIDE] float32. If a patch is smaller
    than ``SIDE``, its cells share pixels."""
    first = np.arange(SIDE) * size[:, None] // SIDE
    last = np.maximum((np.arange(SIDE) + 1) * size[:, None] // SIDE, first + 1)
    x0, x1, y0, y1 = x[:, None] + first, x[:, None] + last, y[:, None] + first, y[:, None] + last
    flat, width = sums.reshape(-1), sums.shape[1]
    top, below = y0[:, :, None] * width, y1[:, :, None] * width
    left, right = x0[:, None, :], x1[:, None, :]
    total = flat[below + right] - flat[below + left] - flat[top + right] + flat[top + left]
    area = ((y1 - y0)[:, :, None] * (x1 - x0)[:, None, :]).astype(np.float64)
    return (total / area).astype(np.float32)


def _sectors(folded: bool) -> np.ndarray:
    """Which of the flattened frequencies of rfft2 belong to which ring and wedge, [SIDE * (SIDE // 2 + 1), bins].

    Rings are octaves of the distance from zero. ``folded`` wedges divide the eighth of the circle onto which flips and
    quarter turns map every direction, others the half circle. Frequencies whose mirror rfft2 leaves out count twice.
    """
    v, u = np.fft.fftfreq(SIDE, 1 / SIDE)[:, None], np.fft.rfftfreq(SIDE, 1 / SIDE)[None, :]
    radius, angle = np.hypot(u, v), np.arctan2(v, u)  # -pi/2 .. pi/2
    if folded:
        angle = np.arctan2(np.minimum(abs(u), abs(v)), np.maximum(abs(u), abs(v)))
        wedge = np.minimum((angle / (np.pi / 4) * WEDGES).astype(int), WEDGES - 1)
    else:
        # The first wedge is centred on the horizontal, and the two ends of the half circle are one direction.
        wedge = np.floor((angle + np.pi / 2) / np.pi * WEDGES + 0.5).astype(int) % WEDGES
    ring = np.floor(np.log2(np.maximum(radius, 0.5))).astype(int)
    inside = (radius > 0) & (ring < RINGS)
    bins = np.zeros((SIDE, SIDE // 2 + 1, RINGS * WEDGES), np.float32)
    twice = np.where((u > 0) & (u < SIDE // 2), 2.0, 1.0) * np.ones_like(radius)
    i, j = np.nonzero(inside)
    bins[i, j, ring[inside] * WEDGES + wedge[inside]] = twice[inside]
    return bins.reshape(-1, RINGS * WEDGES)


_WINDOW = np.outer(np.hanning(SIDE + 2)[1:-1], np.hanning(SIDE + 2)[1:-1]).astype(np.float32)
_DIRECTED, _FOLDED = _sectors(folded=False), _sectors(folded=True)
FLOOR = 1e-2
"""Mean square of a band, in units of [0, 255]^2, that counts as nothing; the logarithm of less would be noise."""


def spectrum(small: np.ndarray, folded: bool = False, floor: float = FLOOR) -> np.ndarray:
    """Texture features [n, RINGS * WEDGES + 1] float32 of small copies [n, SIDE, SIDE].

    They are the logarithms of the energy in each ring and wedge of the spectrum (Gonzalez and Woods, Digital Image
    Processing, spectral texture measures) under a Hann window, and of the variance. They hardly change when the patch
    moves by a few pixels or its brightness changes; ``folded`` ones do not change at all under flips and turns.
    """
    flat = small - small.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    power = np.abs(np.fft.rfft2(flat * _WINDOW)).astype(np.float32).reshape(len(small), len(_DIRECTED))
    power *= power
    energy = power @ (_FOLDED if folded else _DIRECTED) / np.float32(SIDE**4)
    variance = (flat * flat).mean(axis=(1, 2))
    return np.log(np.concatenate([energy, variance[:, None]], axis=1) + np.float32(floor))


def standardised(features: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
    """Features [n, d] float32 in units of the deviation ``of`` these features (None: of themselves), less their mean;
    constant features become zero."""
    of = features if of is None else of
    spread = of.std(axis=0, dtype=np.float64)
    centred = features - of.mean(axis=0, dtype=np.float64)
    return np.ascontiguousarray(centred / np.where(spread > 0, spread, 1), np.float32)


REACH = 3
"""Largest shift in cells of the small copies: 9 pixels of a patch of 96."""
FLAT = 2.0
"""Standard deviation of a small copy, in units of [0, 255], below which it is too flat to be recognised."""
_TOGETHER = 256


def turns(copies: np.ndarray) -> Iterator[np.ndarray]:
    """The 8 flips and quarter turns of square copies [n, s, s], as views."""
    for flipped in (copies, copies[:, :, ::-1]):
        for k in range(4):
            yield np.rot90(flipped, k, axes=(1, 2))


def smoothed(copies: np.ndarray) -> np.ndarray:
    """Copies [n, SIDE, SIDE] under a 3 x 3 binomial filter, float32, so that a shift by half a cell changes little."""
    padded = np.pad(copies.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    lines = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return (lines[:, :, :-2] + 2 * lines[:, :, 1:-1] + lines[:, :, 2:]) / 4


def halved(copies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Copies [n, SIDE, SIDE] at half the size [n, SIDE / 2, SIDE / 2] float32, and which of them are too flat to be
    recognised [n], since their smoothed inner part hardly varies."""
    small, flat = np.empty((len(copies), SIDE // 2, SIDE // 2), np.float32), np.empty(len(copies), bool)
    for i in range(0, len(copies), _TOGETHER):
        smooth = smoothed(copies[i : i + _TOGETHER])
        small[i : i + _TOGETHER] = smooth.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4))
        flat[i : i + _TOGETHER] = smooth[:, REACH:-REACH, REACH:-REACH].std(axis=(1, 2)) < FLAT
    return small, flat


def likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The largest concordance, float32 [n] of at most 1, of copies [n, SIDE, SIDE], uint8 or float32, over flips,
    quarter turns and shifts.

    It is Lin's concordance correlation (Biometrics 1989), 2 cov(a, b) / (var a + var b + (mean a - mean b)^2), of the
    inner part of the first copy, in its 8 orientations, with every part of that size of the second: 1 for the same
    pixels, less if brightness or contrast differ.
    """
    return _batched(lambda i: _concordance(smoothed(a[i]), smoothed(b[i]), REACH), len(a))


def detail_likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The ``likeness`` of the details of the copies, without their coarse shapes: two straight edges or two ramps are
    alike, but the details on them are not."""
    return _batched(lambda i: _concordance(_details(a[i]), _details(b[i]), REACH), len(a))


def _details(copies: np.ndarray) -> np.ndarray:
    """The smoothed copies less themselves under eight more filters, which is a blur with a deviation of 2 cells."""
    smooth = smoothed(copies)
    coarse = smooth
    for _ in range(8):
        coarse = smoothed(coarse)
    return smooth - coarse


def rough_likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The ``likeness`` of copies at half the size [n, SIDE / 2, SIDE / 2]: a tenth of the work, within 0.1 of it."""
    return _batched(lambda i: _concordance(a[i], b[i], (REACH + 1) // 2), len(a))


def _batched(function: Callable[[slice], np.ndarray], n: int) -> np.ndarray:
    parts = [function(slice(i, i + _TOGETHER)) for i in range(0, n, _TOGETHER)]
    return np.concatenate([np.empty(0, np.float32), *parts]).astype(np.float32)


def _concordance(a: np.ndarray, b: np.ndarray, reach: int) -> np.ndarray:
    """``likeness`` [n] of float32 copies [n, s, s] for shifts up to ``reach`` cells, at one size."""
    n, inner = len(a), a.shape[1] - 2 * reach
    size = inner * inner
    middle = a[:, reach : reach + inner, reach : reach + inner]
    mean_a = middle.mean(axis=(1, 2))
    templates = np.stack([t.reshape(n, size) for t in turns(middle - mean_a[:, None, None])], axis=1)
    parts = sliding_window_view(b, (inner, inner), axis=(1, 2)).reshape(n, (2 * reach + 1) ** 2, size)
    covariance = (templates @ parts.transpose(0, 2, 1)).max(axis=1) / size
    window = np.zeros((b.shape[1], 2 * reach + 1), np.float32)
    for shift in range(2 * reach + 1):
        window[shift : shift + inner, shift] = 1 / inner
    offset = b.mean(axis=(1, 2), keepdims=True)  # squares of small numbers lose less
    mean_b = (window.T @ (b - offset) @ window).reshape(n, (2 * reach + 1) ** 2)
    var_b = (window.T @ (b - offset) ** 2 @ window).reshape(n, (2 * reach + 1) ** 2) - mean_b**2
    var_a = (middle - mean_a[:, None, None]).var(axis=(1, 2))
    apart = (mean_a - offset[:, 0, 0])[:, None] - mean_b
    return (2 * covariance / (var_a[:, None] + np.maximum(var_b, 0) + apart**2 + 1e-6)).max(axis=1, initial=-1.0)
