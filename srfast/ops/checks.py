"""Arguments that many functions share, checked in one way. Free of torch."""

from __future__ import annotations

from srfast.errors import InputError
from srfast.ops.native import BOUNDARIES


def check_scale(scale: int) -> int:
    """2, 3 or 4 as an int; a whole float is one too."""
    if isinstance(scale, (bool, str, bytes)) or scale not in (2, 3, 4):
        raise InputError(f"scale: expected 2, 3 or 4, got {scale!r}")
    return int(scale)


def check_factor(scale: float) -> float:
    """A factor of imresize: a filter has 4 / scale taps, and 2^16 times a pixel is more than memory holds."""
    try:
        factor = float(scale)
    except (TypeError, ValueError):
        factor = 0.0
    if not 2**-16 <= factor <= 2**16:
        raise InputError(f"scale: expected a number from 2^-16 to 2^16, got {scale!r}")
    return factor


def check_boundary(boundary: str) -> None:
    if boundary not in BOUNDARIES:
        raise InputError(f"boundary: expected 'symmetric' or 'replicate', got {boundary!r}")
