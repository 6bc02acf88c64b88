"""Positions of the patches of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from srfast.errors import InputError
from srfast.settings import PAIR_SCALE


def check_grid(scale: int, patch: int, stride: int) -> None:
    """Checks a grid. Raises InputError if the scale is not 1, 2, 3 or 4, or patch or stride is not a positive multiple
    of it."""
    PAIR_SCALE.check("scale", scale)
    for name, value in (("patch", patch), ("stride", stride)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise InputError(f"{name}: expected an integer, got {value!r}")
        if value < 1 or value % scale:
            raise InputError(f"{name}: expected a positive multiple of the scale {scale}, got {value}")


def cropped(image: np.ndarray, scale: int, path: object = "image") -> np.ndarray:
    """An image [H, W, C], cropped right and bottom to a multiple of the scale. Raises InputError if it is smaller."""
    h, w = (n - n % scale for n in image.shape[:2])
    if h == 0 or w == 0:
        raise InputError(f"{path}: expected at least {scale} x {scale} pixels, got {image.shape[1]} x {image.shape[0]}")
    return image[:h, :w]


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


@dataclass(frozen=True)
class Grid:
    """Windows of an image that have one size: all pairs of an x and a y, row by row."""

    xs: np.ndarray
    """Left sides of the windows in pixels, ascending."""
    ys: np.ndarray
    """Tops of the windows in pixels, ascending."""
    size: int
    """Side of every window in pixels."""

    @classmethod
    def over(cls, height: int, width: int, scale: int, patch: int, stride: int) -> Grid:
        """The grid of the patches of an image; it is empty if the image is smaller than a patch."""
        return cls(starts(width, scale, patch, stride), starts(height, scale, patch, stride), patch)

    def __len__(self) -> int:
        return len(self.xs) * len(self.ys)
