"""Checks of arguments that many functions share, without torch."""

from __future__ import annotations

import operator
from typing import SupportsIndex

import numpy as np

from srfast.errors import InputError
from srfast.ops.native import BOUNDARIES
from srfast.settings import SCALE


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


def check_windows(name: str, starts: np.ndarray, size: int, side: int) -> np.ndarray:
    """Returns the first pixels [n] of windows of ``size`` pixels inside ``side``, ascending, as contiguous int32."""
    first = np.asarray(starts)
    inside = not first.size or first.dtype.kind not in "iu" or 0 <= int(first.min()) <= int(first.max()) <= side - size
    if not inside or (first.dtype.kind in "iu" and (first[1:] < first[:-1]).any()):
        raise InputError(f"{name}: expected ascending windows inside {side} pixels, got {first.tolist()[:8]}")
    return check_int32(name, first)
