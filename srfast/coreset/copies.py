"""Copies of whole images that were compressed again, resized, mirrored or turned, found by one look at each image.

An image is read once and reduced to 64 x 64 means of its luma. Their 63 lowest frequencies (the first 8 x 8 of a
DCT-II, as in Zauner's pHash, 2010, but with magnitudes instead of signs) are compared for every pair, in all 8
orientations: a flip changes signs and a quarter turn transposes, so that one product of matrices serves each
orientation. Pairs that come near are compared pixel by pixel.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from srfast.coreset.pairs import turn
from srfast.data.encoding import Encoding, encoding_of
from srfast.data.images import ImageFile, find_images, header, read_rgb
from srfast.data.workers import ordered_map
from srfast.errors import InputError
from srfast.runtime.threads import cores

SIDE = 64
"""Cells at each side of the reduced image, which takes 4 KiB."""
NEAR = 0.85
"""Cosine of the low frequencies from which on two images are compared pixel by pixel."""
ALIKE = 0.80
"""Correlation of the cells from which on two images may be copies."""
DETAIL = 0.50
"""The same correlation for the details of the cells, without their coarse shapes.

Among the 252,000 pairs of 710 photographs (BSDS400, BSD100, Set5, Set14, Urban100, T91) only three, which are real
copies, exceeded 0.7, 0.65 and 0.2 at once. Synthetic copies of 40 images of BSDS400 (JPEG at 10, a quarter of the
size, mirrored,
turned, noise of 25, blur of 2 pixels) lay above 0.94, 0.97 and 0.92, crops of 2 % at a corner above 0.94, 0.80 and
0.63. Some crops of 2 % at every side, and some images with added borders, are missed.
"""
FLAT = 2.0
"""Standard deviation of the cells, in units of [0, 255], below which an image is too flat to be recognised."""
_SHAPE = 0.05
"""Largest difference of the logarithms of two aspect ratios; an image cropped by more is not a copy of the whole."""
_REACH = 2
"""Cells by which copies may be shifted, for a crop of 3 % at one side."""
_LOW = 8
_BLOCK = 1024


def find_copies(
    images: Sequence[ImageFile], against: Iterable[str | os.PathLike[str]] = ()
) -> tuple[dict[str, str], dict[str, str]]:
    """Finds the images that are copies of others, whatever the patches they will be cut into.

    Every copy is similar to the image that is kept, not only to another copy. Kept is the largest, then a lossless one,
    then that of the highest JPEG quality, then the first by path. Images that are unreadable or too flat to be
    recognised are never called copies. ``against`` are test images. Returns the image to keep in place of each copy,
    and the test image that each of the others shows. Raises InputError if a test image cannot be read.
    """
    with closing(ordered_map(lambda f: _seen(f.path), images, cores())) as looks:
        mine = {file.name: look for file, look in looks if look is not None}
    names = sorted(mine, key=lambda name: mine[name][1].preference(name))
    cells, shapes = _stacked([mine[name] for name in names])
    kept = np.flatnonzero(cells.std(axis=(1, 2)) >= FLAT)
    leaks: dict[str, str] = {}
    if against := list(against):
        tests = find_images(against)
        shown = _pairs(cells[kept], shapes[kept], *_stacked([_reduced(test.path) for test in tests]))
        leaks = {names[kept[a]]: str(Path(tests[b].root.name) / tests[b].name) for a, b in shown[::-1]}
    best: dict[str, str] = {}
    for a, b in _pairs(cells[kept], shapes[kept]):
        # The better one comes first, and pairs are in its order: whether it is itself a copy is known.
        if names[kept[a]] not in best:
            best.setdefault(names[kept[b]], names[kept[a]])
    return best, leaks


def _seen(path: Path) -> tuple[np.ndarray, Encoding] | None:
    """``_reduced``; None if the file cannot be read."""
    with suppress(InputError):
        return _reduced(path)
    return None


def _reduced(path: Path) -> tuple[np.ndarray, Encoding]:
    """Means of the luma [SIDE, SIDE] uint8. A JPEG file is decoded at an eighth to a half of its size, which takes a
    fifth of the time."""
    encoding = encoding_of(path)
    if encoding.format == "JPEG":
        with header(path) as image:
            image.draft("L", (2 * SIDE, 2 * SIDE))
            small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    else:
        small = Image.fromarray(read_rgb(path)).resize((SIDE, SIDE), Image.Resampling.BOX).convert("L")
    return np.asarray(small), encoding


def _stacked(looks: Sequence[tuple[np.ndarray, Encoding]]) -> tuple[np.ndarray, np.ndarray]:
    """Their cells [n, SIDE, SIDE], and the logarithms of their aspect ratios [n]."""
    cells = np.array([cells for cells, _ in looks], np.uint8).reshape(-1, SIDE, SIDE)
    return cells, np.array([np.log(about.width / about.height) for _, about in looks], np.float32)


def _frequencies(cells: np.ndarray) -> np.ndarray:
    """[n, 8, 8] float32: the lowest frequencies of cells without the mean, roots of their magnitudes, of length 1."""
    k, i = np.arange(_LOW)[:, None], np.arange(SIDE)[None, :]
    basis = np.cos(np.pi * k * (2 * i + 1) / (2 * SIDE)).astype(np.float32)
    low = basis @ cells.astype(np.float32) @ basis.T
    low[:, 0, 0] = 0
    low = np.sign(low) * np.sqrt(np.abs(low))
    return low / np.maximum(np.sqrt((low**2).sum(axis=(1, 2), keepdims=True)), 1e-6)


def _turned(low: np.ndarray, position: int) -> np.ndarray:
    """The frequencies [n, 8, 8] in one of 8 orientations: mirrored, upside down (bits 0 and 1), then transposed (2)."""
    sign = (-1.0) ** np.arange(_LOW)
    low = low * np.where(position & 1, sign, 1)[None, None, :] * np.where(position & 2, sign, 1)[None, :, None]
    return (low.transpose(0, 2, 1) if position & 4 else low).astype(np.float32)


def _pairs(
    a: np.ndarray, shape_a: np.ndarray, b: np.ndarray | None = None, shape_b: np.ndarray | None = None
) -> list[tuple[int, int]]:
    """Which cells of a are similar to which of b, or to which later ones of a: their numbers, in order."""
    others, shapes = (a, shape_a) if b is None or shape_b is None else (b, shape_b)
    low_a, low_b = _frequencies(a).reshape(len(a), _LOW * _LOW), _frequencies(others)
    similar: set[tuple[int, int]] = set()
    for position in range(8):
        turned = _turned(low_b, position).reshape(len(others), _LOW * _LOW)
        shape = -shapes if position & 4 else shapes
        for start in range(0, len(a), _BLOCK):
            near = low_a[start : start + _BLOCK] @ turned.T >= NEAR
            near &= np.abs(shape_a[start : start + _BLOCK, None] - shape[None, :]) <= _SHAPE
            if b is None:
                near = np.triu(near, start + 1)
            i, j = np.nonzero(near)
            i += start
            for part in (slice(k, k + _BLOCK) for k in range(0, len(i), _BLOCK)):
                alike = _alike(a[i[part]], turn(others[j[part]], position))
                similar.update(zip(i[part][alike].tolist(), j[part][alike].tolist(), strict=True))
    return sorted(similar)


def _alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which cells [n, SIDE, SIDE] are similar at their best shift, and so are their details."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    fine_a, fine_b = a - _blurred(a), b - _blurred(b)
    r, inner = _REACH, SIDE - 2 * _REACH
    best, detail = np.zeros(len(a), np.float32), np.zeros(len(a), np.float32)
    middle, fine = a[:, r : r + inner, r : r + inner], fine_a[:, r : r + inner, r : r + inner]
    for y in range(2 * r + 1):
        for x in range(2 * r + 1):
            best = np.maximum(best, _correlation(middle, b[:, y : y + inner, x : x + inner]))
            detail = np.maximum(detail, _correlation(fine, fine_b[:, y : y + inner, x : x + inner]))
    return (best >= ALIKE) & (detail >= DETAIL)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(axis=(1, 2), keepdims=True), b - b.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2)))
    return (a * b).sum(axis=(1, 2)) / np.maximum(norm, 1e-6)


def _blurred(cells: np.ndarray) -> np.ndarray:
    """Means over 7 x 7 cells, the border repeated."""
    padded = np.pad(cells, ((0, 0), (4, 3), (4, 3)), mode="edge").cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
    sums = padded[:, 7:, 7:] - padded[:, :-7, 7:] - padded[:, 7:, :-7] + padded[:, :-7, :-7]
    return (sums / 49).astype(np.float32)
