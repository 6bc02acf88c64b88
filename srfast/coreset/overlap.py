"""Patches that overlap."""

from __future__ import annotations

import numpy as np

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
    columns = [np.ascontiguousarray(c, np.int32) for c in (image, x, y, size)]
    keep = np.zeros(len(image), np.uint8)
    compiled().suppress(*(c.ctypes.data for c in columns), len(image), iou, keep.ctypes.data)
    return keep.astype(bool)
