"""Checks of arguments that many functions share, without torch."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex

import numpy as np

from srfast.errors import InputError
from srfast.ops.native import BOUNDARIES
from srfast.settings import SCALE

LARGEST = (1 << 24) - 1
"""Side of the largest window in pixels; the differences of one of its columns are summed in 32 bits."""


def check_scale(scale: int) -> int:
    """Returns a scale as an int: 2, 3 or 4, also if given as a float."""
    return int(SCALE.check("scale", scale))


def check_factor(scale: float) -> float:
    """Checks a factor of imresize: a filter has 4 / scale taps, and 2^16 times a pixel is more than memory holds."""
    try:
        factor = float(scale)
    except (TypeError, ValueError, OverflowError):
        factor = 0.0
    if not 2**-16 <= factor <= 2**16:
        raise InputError(f"scale: expected a number from 2^-16 to 2^16, got {scale!r}")
    return factor


def check_boundary(boundary: str) -> None:
    if not isinstance(boundary, str) or boundary not in BOUNDARIES:
        raise InputError(f"boundary: expected 'symmetric' or 'replicate', got {boundary!r}")


def check_integer(name: str, value: SupportsIndex, least: int | None = None) -> int:
    """Returns a whole number of any size as an int."""
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name}: expected an integer, got {value!r}") from None
    if least is not None and number < least:
        raise InputError(f"{name}: expected at least {least}, got {number}")
    return number


def check_int32(name: str, values: np.ndarray) -> np.ndarray:
    """Returns whole numbers from 0 to 2^31 - 1 [n], of any integer type, as contiguous int32."""
    values = np.asarray(values)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
        raise InputError(f"{name}: expected integers [n], got {values.dtype} {list(values.shape)}")
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < 1 << 31:
        raise InputError(f"{name}: expected 0 to 2^31 - 1, got {values.min()} to {values.max()}")
    return np.ascontiguousarray(values, np.int32)


def check_image(image: np.ndarray) -> None:
    """Checks an image uint8 [H, W, 3] or [H, W, 1] of at least one pixel."""
    if image.dtype != np.uint8:
        raise TypeError(f"image: expected uint8, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise InputError(f"image: expected [H, W, 3] or [H, W, 1] of at least one pixel, got {list(image.shape)}")


def check_windows(
    image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int, threads: int, least: int
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Returns the left sides and tops of windows of an image, ascending, as contiguous int32 [n], their size, which is
    at least ``least``, and the number of threads."""
    check_image(image)
    size, threads = check_integer("size", size), check_integer("threads", threads, 1)
    if not least <= size <= LARGEST:
        raise InputError(f"size: expected {least} to {LARGEST} pixels, got {size}")
    return _inside("xs", xs, size, image.shape[1]), _inside("ys", ys, size, image.shape[0]), size, threads


def _inside(name: str, starts: np.ndarray, size: int, side: int) -> np.ndarray:
    first = np.asarray(starts)
    inside = not first.size or first.dtype.kind not in "iu" or 0 <= int(first.min()) <= int(first.max()) <= side - size
    if not inside or (first.dtype.kind in "iu" and (first[1:] < first[:-1]).any()):
        raise InputError(f"{name}: expected ascending windows inside {side} pixels, got {first.tolist()[:8]}")
    return check_int32(name, first)


def check_patches(patches: Any, scale: int) -> None:
    """Checks patches uint8 [N, H, W, 3 or 1], an array or a tensor, whose sides are multiples of the scale."""
    if str(patches.dtype).removeprefix("torch.") != "uint8":
        raise TypeError(f"patches: expected uint8, got {patches.dtype}")
    if patches.ndim != 4 or patches.shape[3] not in (1, 3):
        raise InputError(f"patches: expected [N, H, W, 3] or [N, H, W, 1], got shape {list(patches.shape)}")
    h, w = patches.shape[1:3]
    if h % scale or w % scale or h == 0 or w == 0:
        raise InputError(f"patches: expected sides that are positive multiples of the scale {scale}, got {h} x {w}")
