"""The likeness of two patches, whatever their flip, turn and small shift."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from srfast.coreset.features import SIDE

REACH = 3
"""Largest shift in cells of the small copies: 9 pixels of a patch of 96."""
FLAT = 2.0
"""Standard deviation of a small copy, in units of [0, 255], below which it is too flat to be recognised."""
_BATCH = 256


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
    for i in range(0, len(copies), _BATCH):
        smooth = smoothed(copies[i : i + _BATCH])
        small[i : i + _BATCH] = smooth.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4))
        flat[i : i + _BATCH] = smooth[:, REACH:-REACH, REACH:-REACH].std(axis=(1, 2)) < FLAT
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
    parts = [function(slice(i, i + _BATCH)) for i in range(0, n, _BATCH)]
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
