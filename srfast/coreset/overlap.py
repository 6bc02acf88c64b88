"""Patches that overlap each other."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from srfast.errors import InputError
from srfast.ops.checks import check_int32
from srfast.ops.native import compiled

_LARGEST = 1 << 30
NEVER = float(np.nextafter(1, 0))
"""An ``iou`` that no two different squares exceed."""


def separate(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, size: np.ndarray, iou: float, level: np.ndarray | None = None
) -> np.ndarray:
    """Greedy non-maximum suppression: which patches, bool [n], overlap no earlier kept patch of their image by more
    than ``iou``.

    ``image`` is the index of each patch's image, not negative, x, y and size are in pixels, and 0 <= iou < 1. Patches
    of two levels also must not overlap by more than half of the smaller one.
    """
    if len(image) and np.max(image) >= len(image):  # the kernel counts up to the largest
        image = np.unique(image, return_inverse=True)[1]
    named = {"image": image, "x": x, "y": y, "size": size, **({} if level is None else {"level": level})}
    columns = [check_int32(n, c) for n, c in named.items()]
    if len({len(c) for c in columns}) > 1:
        raise InputError(f"x: expected columns of one length, got {[len(c) for c in columns]}")
    if not 0 <= iou < 1:
        raise InputError(f"iou: expected 0 <= iou < 1, got {iou!r}")
    keep = np.zeros(len(image), np.uint8)
    pointers = [c.ctypes.data for c in columns]
    compiled().suppress(*pointers[:4], len(image), iou, keep.ctypes.data, *pointers[4:])
    return keep.astype(bool)


def in_one_grid(
    x: np.ndarray, y: np.ndarray, size: np.ndarray, sizes: list[Fraction], at: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of patches of shrunk images in one common grid.

    x, y and size [n], in pixels of the shrunk images, are divided by the size of their image, number ``at`` of
    ``sizes``, in units so small that all are whole numbers, or rounded to pixels of the whole image if these would not
    fit into 32 bits.
    """
    unit = math.lcm(*(f.numerator for f in sizes))
    times: np.ndarray = np.array([f.denominator * (unit // f.numerator) for f in sizes])
    columns = [c.astype(np.int64) for c in (x, y, size)]
    if len(at) and int((columns[0] + columns[1] + columns[2]).max()) * int(times.max()) > _LARGEST:
        times = np.array([1 / float(f) for f in sizes])
    x, y, size = (np.rint(c * times[at]).astype(np.int64) for c in columns)
    return x, y, size
