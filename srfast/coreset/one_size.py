"""The size of an image that is worth training on, and the numbers kept of each size."""

from __future__ import annotations

from typing import Any

import numpy as np

from srfast.data.shrink import COLUMN
from srfast.errors import InputError
from srfast.scoring.image_size import SOFT
from srfast.scoring.rows import Rows, at

LEFT = {2: 14.6, 3: 28.3, 4: 42.4}
"""Scale -> median loss of bicubic below which an image is soft. A tenth of the images of BSDS400, which their authors
made small, have less."""


def one_size(table: Rows, rows: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """From each image, the rows of the largest size at which it is not soft, or of its smallest size if it is soft at
    all.

    An image at a size is soft if the mean of its patches' ``blur`` or ``upscaled`` is beyond its threshold
    (``srfast.scoring.defects.thresholds``); in a table without these two columns, if the median of their ``bicubic`` is
    below ``LEFT``. Beside the rows that are left of those given [n], ascending, it returns the number of ``images``,
    and of those that were ``larger`` than their detail. Raises InputError if the table has only one size, or has
    neither the columns nor a scale that the rule knows.
    """
    sizes, size = table.sizes()
    if len(sizes) < 2:
        raise InputError("one_size: expected scores of several sizes, as `srfast score --shrink 1,1/2` makes them")
    group = table.coded()[1][rows].astype(np.int64) * len(sizes) + size[rows]
    pairs, member = np.unique(group, return_inverse=True)
    soft = _soft(table, rows, member, len(pairs))
    first = np.r_[True, pairs[1:] // len(sizes) != pairs[:-1] // len(sizes)]
    last = np.r_[first[1:], True]
    of = np.cumsum(first) - 1
    # Sizes of an image follow each other, the largest first.
    good = np.flatnonzero(~soft | last)
    chosen = good[np.r_[True, of[good][1:] != of[good][:-1]]]
    keep = np.zeros(len(pairs), bool)
    keep[chosen] = True
    return rows[keep[member]], {"images": len(chosen), "larger": int((~first[chosen]).sum())}


def _soft(table: Rows, rows: np.ndarray, member: np.ndarray, n: int) -> np.ndarray:
    if {t.column for t in SOFT} <= set(table.columns):
        return np.any([t.beyond(_means(table.column(t.column)[rows], member, n), t.image) for t in SOFT], axis=0)
    scale = table.meta.get("scale")
    if scale not in LEFT:
        raise InputError("one_size: expected the columns blur and upscaled, or a scale of 2, 3 or 4 in the metadata")
    return _medians(table.column("bicubic")[rows], member, n) < LEFT[scale]


def _means(values: np.ndarray, member: np.ndarray, n: int) -> np.ndarray:
    """The mean of each of n groups of values; missing ones do not count, and an empty group has the mean 0."""
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    return np.bincount(member[known], values[known], n) / np.maximum(np.bincount(member[known], minlength=n), 1)


def _medians(values: np.ndarray, member: np.ndarray, n: int) -> np.ndarray:
    """The median of each of n groups of values, none of which is empty; of two middle ones the lower."""
    counts = np.bincount(member, minlength=n)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return values[np.lexsort((values, member))][first + (counts - 1) // 2]


def about_sizes(table: Rows, rows: np.ndarray | None, chosen: np.ndarray) -> dict[str, Any]:
    """The number of rows and of kept rows by size, for the metadata; empty if the table has no column ``shrink``."""
    if COLUMN not in table.columns:
        return {}
    sizes, code = table.sizes()
    patches, kept = (np.bincount(at(code, some), minlength=len(sizes)) for some in (rows, chosen))
    counts = zip(sizes, patches.tolist(), kept.tolist(), strict=True)
    return {"by_size": {str(size): {"patches": n, "kept": k} for size, n, k in counts}}
