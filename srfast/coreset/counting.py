"""How many patches are kept: counts in groups of rows, and exact sums of losses."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from srfast.coreset.settings import Selection, share
from srfast.errors import InputError

_PIECE = 1 << 24
"""Number of losses that are summed at once: 24 bits of each, so that a sum is exact in float64."""


def running_count(groups: np.ndarray) -> np.ndarray:
    """For each element [n], how many earlier elements have the same value."""
    order = np.argsort(groups, kind="stable")
    sorted_groups = groups[order]
    first = np.r_[True, sorted_groups[1:] != sorted_groups[:-1]]
    start = np.maximum.accumulate(np.where(first, np.arange(len(groups)), 0))
    count = np.empty(len(groups), np.int64)
    count[order] = np.arange(len(groups)) - start
    return count


def exact_sum(values: np.ndarray) -> int:
    """The sum of finite float32 in units of 2^-149, the smallest float32: exact, whatever their order."""
    total = 0
    for i in range(0, len(values), _PIECE):
        bits = values[i : i + _PIECE].view(np.uint32)
        exponent = (bits >> 23) & 0xFF
        mantissa = ((bits & 0x7FFFFF) | (np.uint32(1 << 23) * (exponent > 0))).astype(np.float64)
        np.negative(mantissa, where=bits >> 31 > 0, out=mantissa)
        sums = np.bincount(np.maximum(exponent, 1) - 1, mantissa)
        total += sum(int(s) << e for e, s in enumerate(sums.tolist()) if s)
    return total


def first_holding(values: np.ndarray, goal: Fraction) -> int:
    """The smallest number of the first values whose exact sum is at least ``goal`` > 0; all if none is."""
    low, high, before = 0, len(values), 0
    while high - low > 1:
        middle = (low + high) // 2
        more = before + exact_sum(values[low:middle])
        low, high, before = (low, middle, before) if more >= goal else (middle, high, more)
    return high


def counted(settings: Selection, n: int, left: int, dropped: int) -> int:
    """The number of patches to keep of ``n``, if ``left`` remain to choose from."""
    cuts = _cuts(settings)
    if not left:
        what = "drop_hardest" if settings.window is None else "window"
        raise InputError(f"{what}: nothing is left of {n} patch{'es' * (n != 1)} after {cuts}")
    if settings.keep_loss is not None or (settings.keep is None and settings.window is not None):
        return left
    keep = 0.5 if settings.keep is None else settings.keep
    count = max(1, share(keep, n))
    if count <= left:
        return count
    low, high = settings.window or (0.0, 1.0)
    if keep <= min(1 - settings.drop_hardest, high - low) + 1e-12:
        return left  # fractions that fit, of which both were rounded up
    raise InputError(
        f"keep: {keep:g} of {n} patches is {count}, but {cuts} leaves {left}",
        hint=f"expected at most keep={int(1000 * left / n) / 1000:g}",
    )


def goal_of(settings: Selection, total: int, left: int, least: float) -> Fraction:
    """The sum of losses that ``keep_loss`` asks for, whose decimals are taken as they are written.

    ``total`` and ``left`` are the sums, as from ``exact_sum``, of the patches that are eligible and of those that
    remain to choose from, and ``least`` their smallest loss. Raises InputError if a loss is negative, all are 0, or
    those that remain do not hold the share.
    """
    if least < 0:
        raise InputError(f"keep_loss: expected losses of at least 0, got {least:g}", hint="take keep in its place")
    if not total:
        raise InputError("keep_loss: all losses are 0, so that no patch holds a share", hint="take keep in its place")
    goal = Fraction(str(settings.keep_loss)) * total
    if left < goal:
        raise InputError(
            f"keep_loss: {settings.keep_loss:g} of the loss, but {_cuts(settings)} leaves patches that hold "
            f"{left / total:.4g} of it",
            hint=f"expected at most keep_loss={int(1000 * left / total) / 1000:g}",
        )
    return goal


def shares(kept: int, n: int, held: int, total: int) -> dict[str, Any]:
    """The core-set's share of the ``n`` patches, and of the sum of the losses of those that are eligible."""
    return {"shares": {"patches": kept / n, "loss": held / total if total else None}}


def short_of(
    settings: Selection, n: int, count: int, kept: int, apart: bool = False, held: float | None = None
) -> str | None:
    """Why fewer of ``n`` patches were kept than the ``count`` requested, or None. ``apart``: each place is kept at one
    size only; ``held``: with ``keep_loss``, the share of the loss that they hold, if it is smaller."""
    if held is None and (settings.keep_loss is not None or kept == count):
        return None
    limits = [
        f"{k}={v}" for k, v in (("max_per_image", settings.max_per_image), ("nms", settings.nms)) if v is not None
    ]
    limits += ["sizes=best"] if apart else []
    why = f"{' and '.join(limits)} allow{'s' if len(limits) == 1 else ''} no more"
    if held is not None:
        return (
            f"kept {kept} patch{'es' * (kept != 1)}, which hold {held:.3g} of the loss, not the {settings.keep_loss:g} "
            f"requested: {why}"
        )
    return f"kept {kept} of the {count} patches requested ({kept / n:.3g} of all): {why}"


def _cuts(settings: Selection) -> str:
    cuts: Iterable[tuple[str, Any]] = (("drop_hardest", settings.drop_hardest), ("window", settings.window))
    return " and ".join(f"{name}={value}" for name, value in cuts if value)
