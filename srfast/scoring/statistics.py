"""Statistics of a score table."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from srfast.data.shrink import COLUMN
from srfast.errors import InputError
from srfast.scoring.rows import Rows, descending, quantiles, summed, within
from srfast.scoring.stored import opened_rows
from srfast.scoring.table import numeric_columns

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
KEEPS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9)
_PIECE = 1 << 20
_PLACES = ("x", "y", "size", COLUMN, "rank")


def stats(
    scores: Rows | str | os.PathLike[str] | Iterable[Rows | str | os.PathLike[str]],
    *,
    allow_missing_shards: bool = False,
) -> dict[str, Any]:
    """Statistics of a score table or a core-set, as plain values.

    Args:
        scores: A score table or a core-set, its path or a DataFrame of it, or all the shards of a dataset.
        allow_missing_shards: Whether shards may be missing.

    Returns:
        A dict with ``patches`` and ``images``; ``sizes``, if images were scored at several: for each size its
        ``patches`` and their ``share``, and for a core-set ``of``, the number to choose from; ``columns``: for each
        numeric score its ``quantiles`` (by their fraction), ``mean`` and ``missing``; ``share_of_error``: for each
        fraction kept, hardest first, the share of the summed loss; ``agreement``: for each other score, Spearman's rank
        correlation with the loss and the share of the hardest half by loss that is also in the hardest half by that
        score; ``per_image``: for each image its patches, and their mean, median and largest loss.

    Raises:
        InputError: there are no rows, a loss is not finite, a file is not a score table, or shards do not belong
            together or are missing.
    """
    return summary(opened_rows(scores, allow_missing_shards=allow_missing_shards))


def summary(table: Rows) -> dict[str, Any]:
    """The statistics of one table, as for ``stats``."""
    if not len(table):
        raise InputError("scores: expected at least one patch, got an empty table")
    loss = table.column("loss")
    if not np.isfinite(loss).all():
        raise InputError("scores: column 'loss': expected finite values")
    names = [c for c in numeric_columns(table.schema) if c not in _PLACES]
    columns, agreeing = {}, {}
    for name in names:  # one column in memory at a time, beside the loss
        values = loss if name == "loss" else table.column(name)
        columns[name] = _figures(values)
        if name != "loss":
            agreeing[name] = agreement(loss, values)
    per_image = _per_image(table, loss)
    return {
        "patches": len(table),
        "images": len(per_image),
        **_sizes(table),
        "columns": columns,
        "share_of_error": _share_of_error(loss),
        "agreement": agreeing,
        "per_image": per_image,
    }


def _share_of_error(loss: np.ndarray) -> dict[str, float]:
    ordered = np.sort(loss)[::-1]
    kept = [max(1, int(k * len(loss) + 0.5)) for k in KEEPS]
    held = np.cumsum([part.sum(dtype=np.float64) for part in np.split(ordered, kept)])
    return {f"{k:g}": float(held[i] / (held[-1] or 1.0)) for i, k in enumerate(KEEPS)}


def agreement(loss: np.ndarray, values: np.ndarray) -> dict[str, float | None]:
    """How well another score [n] agrees with the loss [n] in its ranking, over the rows where both are finite.

    ``spearman``: ties get their mean rank; None if one side is constant. ``top_half``: the share of the higher half by
    loss that is also in the higher half by ``values``, with ties in an order that is drawn with a fixed seed: the rows
    of a core-set are in the order of the loss, with which a constant column would agree.
    """
    known = np.isfinite(loss) & np.isfinite(values)
    if not known.all():
        loss, values = loss[known], values[known]
    n = len(loss)
    if not n:
        return {"spearman": None, "top_half": None}
    drawn = np.random.default_rng(0).permutation(np.arange(n, dtype=np.uint32 if n < 1 << 32 else np.int64))
    half = max(1, int(n / 2 + 0.5))
    higher, ranks = [], []
    for each in (loss, values):
        each = each[drawn]
        order = descending(each, "des")
        inside = np.zeros(n, bool)
        inside[order[:half]] = True
        higher.append(inside)
        ranks.append(_mean_ranks(each, order))
    products = np.zeros(3)
    for i in range(0, n, _PIECE):
        a, b = (r[i : i + _PIECE].astype(np.float64) - (n - 1) for r in ranks)
        products += a @ b, a @ a, b @ b
    norm = math.sqrt(products[1] * products[2])
    shared = float((higher[0] & higher[1]).sum() / half)
    return {"spearman": float(products[0]) / norm if norm else None, "top_half": shared}


def _mean_ranks(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Twice the rank [n] from 0 in that order; ties get their mean rank."""
    n = len(values)
    ordered = values[order]
    kind = np.uint32 if n <= 1 << 31 else np.int64
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])).astype(kind)
    del ordered
    last = np.append(first[1:], kind(n)) - kind(1)
    ranks = np.empty(n, kind)
    ranks[order] = np.repeat(first + last, last - first + kind(1))
    return ranks


def _figures(values: np.ndarray) -> dict[str, Any]:
    known = np.isfinite(values)
    ordered = np.sort(values if known.all() else values[known])
    found = quantiles(ordered, QUANTILES) if len(ordered) else [None] * len(QUANTILES)
    return {
        "mean": float(ordered.mean(dtype=np.float64)) if len(ordered) else None,
        "missing": len(values) - len(ordered),
        "quantiles": {f"{q:g}": v for q, v in zip(QUANTILES, found, strict=True)},
    }


def _sizes(table: Rows) -> dict[str, Any]:
    if COLUMN not in table.columns:
        return {}
    sizes, at = table.sizes()
    counts = summed(at, len(sizes)).tolist()
    by_size: dict[str, dict[str, Any]] = {
        str(size): {"patches": n, "share": n / len(table)} for size, n in zip(sizes, counts, strict=True)
    }
    for size, known in ((table.meta.get("selection") or {}).get("by_size") or {}).items():
        if size in by_size:
            by_size[size]["of"] = known["patches"]
    return {"sizes": by_size}


def _per_image(table: Rows, loss: np.ndarray) -> dict[str, dict[str, float]]:
    names, code = table.coded()
    patches, total = summed(code, len(names)), summed(code, len(names), loss)
    by_image = within(code, loss)
    del code
    last = np.cumsum(patches)
    first = last - patches
    middle = (by_image[first + (patches - 1) // 2].astype(np.float64) + by_image[first + patches // 2]) / 2
    rows = zip(names, patches.tolist(), (total / patches).tolist(), middle.tolist(), by_image[last - 1].tolist(),
               strict=True)  # fmt: skip
    return {name: {"patches": n, "mean": a, "median": m, "largest": top} for name, n, a, m, top in rows}
