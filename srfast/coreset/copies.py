"""Copies of whole images that were compressed again, resized, mirrored or turned, found by one look at each image.

An image is read once and reduced to 64 x 64 means of its luma. Their 63 lowest frequencies (the first 8 x 8 of a
DCT-II, as in Zauner's pHash, 2010, but with magnitudes instead of signs) are compared for every pair, in all 8
orientations: a flip changes signs and a quarter turn transposes, so that one product of matrices serves each
orientation. Pairs that come near are compared pixel by pixel.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

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


@dataclass(frozen=True)
class Fingerprint:
    """The features by which copies of an image are recognised."""

    cells: np.ndarray
    """[SIDE, SIDE] uint8, means of the luma."""
    encoding: Encoding


@dataclass(frozen=True)
class Copy:
    """An image that shows the same as a better one."""

    image: str
    likeness: float
    """Correlation of the cells."""
    reason: str
    """Why the other image is kept."""


@dataclass(frozen=True)
class CopyGroup:
    """An image and its copies."""

    keep: str
    """The image to keep: the largest, then a lossless one, then of the highest JPEG quality, then the first by path."""
    copies: list[Copy]


@dataclass(frozen=True)
class Copies:
    """The copies that were found."""

    groups: list[CopyGroup]
    leaks: dict[str, str] = field(default_factory=dict)
    """Image -> the test image that it shows."""
    flat: list[str] = field(default_factory=list)
    """Images that are too flat to be recognised, and are never called copies."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Image -> why it could not be read."""

    @property
    def keep_instead(self) -> dict[str, str]:
        """Copy -> the image to keep instead."""
        return {copy.image: group.keep for group in self.groups for copy in group.copies}


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """Reduces an image. A JPEG file is decoded at an eighth to a half of its size, which takes a fifth of the time.
    Raises InputError if the file cannot be read."""
    encoding = encoding_of(path)
    if encoding.format == "JPEG":
        with header(path) as image:
            image.draft("L", (2 * SIDE, 2 * SIDE))
            small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
        return Fingerprint(np.asarray(small), encoding)
    small = Image.fromarray(read_rgb(path)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return Fingerprint(np.asarray(small.convert("L")), encoding)


def find_copies(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | list[ImageFile],
    against: Iterable[str | os.PathLike[str]] = (),
) -> Copies:
    """Finds the images that are copies of others, whatever the patches they will be cut into.

    Every copy is similar to the image that is kept, not only to another copy. ``images`` may be the result of
    ``find_images``; ``against`` are test images. Raises InputError if there are no images, or a test image cannot be
    read.
    """
    listed = isinstance(images, list) and images and all(isinstance(i, ImageFile) for i in images)
    files: Any = images if listed else find_images(cast(Any, images))
    mine: dict[str, Fingerprint] = {}
    unreadable = {}
    with closing(ordered_map(lambda f: _fingerprint(f.path), files, cores())) as seen:
        for file, got in seen:
            if isinstance(got, Fingerprint):
                mine[file.name] = got
            else:
                unreadable[file.name] = got
    names = [n for n, _ in sorted(mine.items(), key=lambda item: item[1].encoding.preference(item[0]))]
    cells = _stack([mine[n] for n in names])
    flat = cells.std(axis=(1, 2)) < FLAT
    shapes = _shapes([mine[n].encoding for n in names])
    kept = np.flatnonzero(~flat)
    pairs, likeness = _pairs(cells[kept], shapes[kept], cells[kept], shapes[kept])
    leaks: dict[str, str] = {}
    if against := list(against):
        tests = find_images(against)
        others = [fingerprint(t.path) for t in tests]
        shown, _ = _pairs(cells[kept], shapes[kept], _stack(others), _shapes([o.encoding for o in others]))
        leaks = {names[kept[a]]: str(Path(tests[b].root.name) / tests[b].name) for a, b in shown[::-1].tolist()}
    groups: dict[int, list[tuple[int, float]]] = {}
    copy_of: dict[int, int] = {}
    for (a, b), value in zip(kept[pairs].tolist(), likeness.tolist(), strict=True):
        # The better one comes first, and pairs are in its order: whether it is itself a copy is known.
        if a < b and a not in copy_of and b not in copy_of:
            copy_of[b] = a
            groups.setdefault(a, []).append((b, value))
    return Copies(
        [
            CopyGroup(
                names[a],
                [Copy(names[b], v, mine[names[a]].encoding.better_than(mine[names[b]].encoding)) for b, v in copies],
            )
            for a, copies in groups.items()
        ],
        leaks,
        [n for n, f in zip(names, flat.tolist(), strict=True) if f],
        unreadable,
    )


def _fingerprint(path: Path) -> Fingerprint | str:
    try:
        return fingerprint(path)
    except InputError as error:
        return str(error)


def _stack(looks: list[Fingerprint]) -> np.ndarray:
    return np.stack([s.cells for s in looks]) if looks else np.zeros((0, SIDE, SIDE), np.uint8)


def _shapes(encodings: list[Encoding]) -> np.ndarray:
    """Logarithms of the aspect ratios [n]."""
    return np.array([np.log(e.width / e.height) for e in encodings], np.float32)


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


def _pairs(a: np.ndarray, shape_a: np.ndarray, b: np.ndarray, shape_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which cells of a are similar to which of b: row numbers [n, 2] in their order, and their likeness [n]."""
    low_a, low_b = _frequencies(a).reshape(len(a), _LOW * _LOW), _frequencies(b)
    best: dict[tuple[int, int], float] = {}
    same = a is b
    for position in range(8):
        turned = _turned(low_b, position).reshape(len(b), _LOW * _LOW)
        shape = -shape_b if position & 4 else shape_b
        for start in range(0, len(a), _BLOCK):
            near = low_a[start : start + _BLOCK] @ turned.T >= NEAR
            near &= np.abs(shape_a[start : start + _BLOCK, None] - shape[None, :]) <= _SHAPE
            i, j = np.nonzero(near)
            i += start
            i, j = (i[i < j], j[i < j]) if same else (i, j)
            for part in range(0, len(i), _BLOCK):
                a_part, b_part = i[part : part + _BLOCK], j[part : part + _BLOCK]
                values = _likeness(a[a_part], turn(b[b_part], position))
                for x, y, value in zip(a_part.tolist(), b_part.tolist(), values.tolist(), strict=True):
                    if value > best.get((x, y), 0.0):
                        best[x, y] = value
    pairs = sorted(best)
    return np.array(pairs, np.int64).reshape(-1, 2), np.array([best[pair] for pair in pairs], np.float32)


def _likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The correlation [n] of cells [n, SIDE, SIDE] at their best shift; 0 if they or their details are not similar."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    fine_a, fine_b = a - _blurred(a), b - _blurred(b)
    r, inner = _REACH, SIDE - 2 * _REACH
    best, detail = np.zeros(len(a), np.float32), np.zeros(len(a), np.float32)
    middle, fine = a[:, r : r + inner, r : r + inner], fine_a[:, r : r + inner, r : r + inner]
    for y in range(2 * r + 1):
        for x in range(2 * r + 1):
            value = _correlation(middle, b[:, y : y + inner, x : x + inner])
            best = np.maximum(best, value)
            detail = np.maximum(detail, _correlation(fine, fine_b[:, y : y + inner, x : x + inner]))
    return np.where((best >= ALIKE) & (detail >= DETAIL), best, 0)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(axis=(1, 2), keepdims=True), b - b.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2)))
    return (a * b).sum(axis=(1, 2)) / np.maximum(norm, 1e-6)


def _blurred(cells: np.ndarray) -> np.ndarray:
    """Means over 7 x 7 cells, the border repeated."""
    padded = np.pad(cells, ((0, 0), (4, 3), (4, 3)), mode="edge").cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
    sums = padded[:, 7:, 7:] - padded[:, :-7, 7:] - padded[:, 7:, :-7] + padded[:, :-7, :-7]
    return (sums / 49).astype(np.float32)
