"""How many patches a selection keeps, and its limits: one size of an image, a number per image, spread, overlap."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from srfast.coreset.settings import Selection, share
from srfast.data.shrink import COLUMN
from srfast.errors import InputError
from srfast.ops.checks import check_int32
from srfast.ops.native import compiled
from srfast.scoring.defect_columns import SOFT, image_means
from srfast.scoring.rows import Rows, at, groups

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


def by_value(code: np.ndarray) -> list[np.ndarray]:
    """The positions of each value of an array [n], in order, the lowest value first."""
    order = np.argsort(code, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if len(code) else []


def by_image(table: Rows) -> dict[str, np.ndarray]:
    """The rows of each image of a table, by its name."""
    names, code = table.coded()
    return {names[code[rows[0]]]: rows for rows in by_value(code)}


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


def counted(settings: Selection, n: int, left: int) -> int:
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


def short_of(
    settings: Selection, n: int, count: int, kept: int, apart: bool = False, held: float | None = None
) -> str | None:
    """Why fewer of ``n`` patches were kept than the ``count`` requested, or None. ``apart``: each place is kept at one
    size only; ``held``: with ``keep_loss``, the share of the loss that they hold, if it is smaller."""
    if held is None and (settings.keep_loss is not None or kept == count):
        return None
    given = {"max_per_image": settings.max_per_image, "nms": settings.nms, "sizes": "best" if apart else None}
    limits = [f"{name}={value}" for name, value in given.items() if value is not None]
    why = f"{' and '.join(limits)} allow{'s' if len(limits) == 1 else ''} no more"
    if held is not None:
        return (
            f"kept {kept} patch{'es' * (kept != 1)}, which hold {held:.3g} of the loss, not the {settings.keep_loss:g} "
            f"requested: {why}"
        )
    return f"kept {kept} of the {count} patches requested ({kept / n:.3g} of all): {why}"


def _cuts(settings: Selection) -> str:
    cuts = {"drop_hardest": settings.drop_hardest, "window": settings.window}
    return " and ".join(f"{name}={value}" for name, value in cuts.items() if value)


_STRETCH = 1 << 20
_LARGEST = 1 << 30
NEVER = float(np.nextafter(1, 0))
"""An ``iou`` that no two different squares exceed."""


class Limits:
    """Filters and reorders rows that stand in the order in which they are to be kept, by the settings of a selection.

    With ``sizes`` "best", of rows at two sizes of an image that overlap by more than half of the smaller one only the
    first is kept; with "all" all may be.
    """

    def __init__(self, table: Rows, settings: Selection) -> None:
        self.max_per_image, self.per_image, self.nms = settings.max_per_image, settings.per_image, settings.nms
        self._table = table
        self._sizes, self._at = table.sizes()
        self.apart = settings.sizes == "best" and not settings.one_size and len(self._sizes) > 1
        """Whether each place is kept at one size only."""
        self.none = (self.max_per_image, self.per_image, self.nms, self.apart) == (None, None, None, False)
        """Whether they let all rows pass in their order."""
        self._image = np.empty(0, np.int32) if self.none else table.coded()[1]

    def allowed(self, rows: np.ndarray) -> np.ndarray:
        """The rows that may be kept, given that those before them are, in the same order."""
        if self.nms is None and not self.apart and self.max_per_image is None:
            return rows
        _, stretches = groups(self._image)
        if len(stretches) == 1:
            return self._allowed(rows)
        place = np.full(len(self._table), -1, np.int32)
        for i in range(0, len(rows), _STRETCH):
            place[rows[i : i + _STRETCH]] = np.arange(i, min(i + _STRETCH, len(rows)))
        for a, b in stretches:  # images limit only themselves
            part = place[a:b]
            known = np.flatnonzero(part >= 0)
            kept = self._allowed(a + known[np.argsort(part[known])])
            ranks = part[kept - a]
            part[:] = -1
            part[kept - a] = ranks
        return rows[at(place, rows) >= 0]

    def _allowed(self, rows: np.ndarray) -> np.ndarray:
        if self.nms is not None or self.apart:
            x, y, size = (self._table.column(c)[rows] for c in ("x", "y", "size"))
            level = self._at[rows]
            if len(self._sizes) > 1:
                x, y, size = in_one_grid(x, y, size, self._sizes, level)
            iou = NEVER if self.nms is None else self.nms
            rows = rows[separate(self._image[rows], x, y, size, iou, level if self.apart else None)]
        if self.max_per_image is not None:
            rows = rows[running_count(self._image[rows]) < self.max_per_image]
        return rows

    def spread(self, rows: np.ndarray, size: np.ndarray) -> np.ndarray:
        """The rows in an order of which every beginning is spread over the images as ``per_image`` says.

        "even" takes one row of every image, then a second of every image that has one, and so on. "share" sorts by (i +
        1/2) / n, where a row is number i (from 0) of an image that has n rows in ``size``: the first r * N rows hold r
        * n of every image, to within one.
        """
        place = running_count(self._image[rows])
        if self.per_image == "even":
            return rows[np.argsort(place, kind="stable")]
        n = np.bincount(self._image[size], minlength=int(self._image.max()) + 1)
        return rows[np.argsort((place + 0.5) / n[self._image[rows]], kind="stable")]


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


LEFT = {2: 14.6, 3: 28.3, 4: 42.4}
"""Scale -> median loss of bicubic below which an image is soft. A tenth of the images of BSDS400, which their authors
made small, have less."""


def one_size(table: Rows, rows: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """From each image, the rows of the largest size at which it is not soft, or of its smallest size if it is soft at
    all.

    An image at a size is soft if the mean of its patches' ``blur`` or ``upscaled`` is beyond its threshold
    (``srfast.scoring.defect_columns``); in a table without these two columns, if the median of their ``bicubic`` is
    below ``LEFT``. Beside the rows that are left of those given [n], ascending, it returns the number of ``images``,
    and of those that were ``larger`` than their detail. Raises InputError if the table has only one size, or has
    neither the columns nor a scale that the rule knows.
    """
    sizes, size = table.sizes()
    if len(sizes) < 2:
        raise InputError("one_size: expected scores of several sizes, as `srfast score --shrink 1,1/2` makes them")
    group = table.coded()[1][rows].astype(np.int64) * len(sizes) + size[rows]
    pairs, member = np.unique(group, return_inverse=True)
    if (soft := soft_groups(table, rows, member)) is None:
        if (scale := table.meta.get("scale")) not in LEFT:
            raise InputError(
                "one_size: expected the columns blur and upscaled, or a scale of 2, 3 or 4 in the metadata"
            )
        values, counts = table.column("bicubic")[rows], np.bincount(member)
        middle = np.cumsum(counts) - counts + (counts - 1) // 2  # of two middle ones the lower
        soft = values[np.lexsort((values, member))][middle] < LEFT[scale]
    first = np.r_[True, pairs[1:] // len(sizes) != pairs[:-1] // len(sizes)]
    last = np.r_[first[1:], True]
    of = np.cumsum(first) - 1
    # Sizes of an image follow each other, the largest first.
    good = np.flatnonzero(~soft | last)
    chosen = good[np.r_[True, of[good][1:] != of[good][:-1]]]
    return rows[np.isin(member, chosen)], {"images": len(chosen), "larger": int((~first[chosen]).sum())}


def soft_groups(table: Rows, rows: np.ndarray, member: np.ndarray) -> np.ndarray | None:
    """Which groups of rows, of the same image and size, are soft; None without the columns to know it."""
    if not {t.column for t in SOFT} <= set(table.columns):
        return None
    return np.any([t.beyond(image_means(table.column(t.column)[rows], member), t.image) for t in SOFT], axis=0)


def about_sizes(table: Rows, rows: np.ndarray | None, chosen: np.ndarray) -> dict[str, Any]:
    """The number of rows and of kept rows by size, for the metadata; empty if the table has no column ``shrink``."""
    if COLUMN not in table.columns:
        return {}
    sizes, code = table.sizes()
    patches, kept = (np.bincount(at(code, some), minlength=len(sizes)) for some in (rows, chosen))
    counts = zip(sizes, patches.tolist(), kept.tolist(), strict=True)
    return {"by_size": {str(size): {"patches": n, "kept": k} for size, n, k in counts}}
