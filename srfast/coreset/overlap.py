"""Patches that overlap."""

from __future__ import annotations

import numpy as np

from srfast.errors import InputError
from srfast.ops.checks import check_int32
from srfast.ops.native import compiled


def separate(image: np.ndarray, x: np.ndarray, y: np.ndarray, size: np.ndarray, iou: float) -> np.ndarray:
    """Greedy non-maximum suppression: which patches overlap no earlier kept one of their image by more than ``iou``.

    Args:
        image: Number of the image of each patch [n], not negative.
        x, y, size: Corner and side of each patch [n] in pixels.
        iou: Intersection over union, 0 <= iou < 1.

    Returns:
        bool [n].
    """
    if len(image) and np.max(image) >= len(image):  # the kernel counts up to the largest
        image = np.unique(image, return_inverse=True)[1]
    columns = [check_int32(n, c) for n, c in (("image", image), ("x", x), ("y", y), ("size", size))]
    if len({len(c) for c in columns}) > 1:
        raise InputError(f"x: expected columns of one length, got {[len(c) for c in columns]}")
    if not 0 <= iou < 1:
        raise InputError(f"iou: expected 0 <= iou < 1, got {iou!r}")
    keep = np.zeros(len(image), np.uint8)
    compiled().suppress(*(c.ctypes.data for c in columns), len(image), iou, keep.ctypes.data)
    return keep.astype(bool)
