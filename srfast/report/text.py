"""Formats of numbers and names in the report."""

from __future__ import annotations

import math


def psnr(loss: float) -> str:
    """PSNR in dB of a mean squared error in units of [0, 255]^2."""
    return f"{10 * math.log10(255**2 / loss):.1f}" if loss > 0 else "∞"


def number(value: float) -> str:
    """A loss or score with three or four significant digits."""
    forms = {1000: ",.0f", 100: ".1f", 10: ".2f", 0.001: ".3f"}
    return format(value, next((form for least, form in forms.items() if value >= least), ".1e")) if value else "0"


def percent(part: float, whole: float = 1.0) -> str:
    """A percentage, with one decimal below 10 % and near 100 %."""
    value = 100 * part / whole if whole else 0.0
    digits = 0 if 10 <= value <= 90 or abs(value - round(value)) < 0.05 else 1
    return f"{value:.{digits}f} %"


def count(n: int, noun: str) -> str:
    """``1 patch``, ``2 patches``, ``3 images``."""
    plural = noun + ("es" if noun.endswith(("ch", "s", "x")) else "s")
    return f"{n:,} {noun if n == 1 else plural}"
