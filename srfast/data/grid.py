"""Positions of the patches of an image."""

from __future__ import annotations

import numpy as np

from srfast.errors import InputError


def check_grid(scale: int, patch: int, stride: int) -> None:
    """Checks a grid.

    Raises:
        InputError: the scale is not 2, 3 or 4, or patch or stride is not a positive multiple of it.
    """
    if isinstance(scale, bool) or scale not in (2, 3, 4):
        raise InputError(f"scale: expected 2, 3 or 4, got {scale!r}")
    for name, value in (("patch", patch), ("stride", stride)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise InputError(f"{name}: expected an integer, got {value!r}")
        if value < 1 or value % scale:
            raise InputError(f"{name}: expected a positive multiple of the scale {scale}, got {value}")


def starts(length: int, scale: int, patch: int, stride: int) -> np.ndarray:
    """First pixels of the windows along one side, int32, ascending.

    The side is cropped to a multiple of the scale. The last window is flush with the border if the stride does not
    divide evenly (BasicSR's sub-image rule with thresh_size 0). The result is empty if the side is shorter than a
    patch.
    """
    length -= length % scale
    if length < patch:
        return np.zeros(0, np.int32)
    first = np.arange(0, length - patch + 1, stride, dtype=np.int32)
    if first[-1] != length - patch:
        first = np.append(first, np.int32(length - patch))
    return first


def grid(height: int, width: int, scale: int, patch: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """(xs, ys) of the windows of an image; the patches are all pairs of these, row by row."""
    return starts(width, scale, patch, stride), starts(height, scale, patch, stride)
