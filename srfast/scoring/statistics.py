"""Statistics of a score table."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from srfast.data.shrink import COLUMN, sizes_of
from srfast.errors import InputError
from srfast.scoring.rows import Rows, coded
from srfast.scoring.table import numeric_columns, one_table

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
KEEPS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9)
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
    return summary(one_table(scores, coresets=True, allow_missing_shards=allow_missing_shards))


def summary(table: Rows) -> dict[str, Any]:
    """The statistics of one table in memory, as for ``stats``."""
    if not len(table):
        raise InputError("scores: expected at least one patch, got an empty table")
    if not np.isfinite(table.column("loss")).all():
        raise InputError("scores: column 'loss': expected finite values")
    names = [c for c in numeric_columns(table.table.schema) if c not in _PLACES]
    columns = {name: table.column(name).astype(np.float64) for name in names}
    loss = columns["loss"]
    ordered = np.sort(loss)[::-1]
    total = np.concatenate([[0.0], np.cumsum(ordered)])
    n = len(loss)
    return {
        "patches": n,
        "images": len(table.table.column("image").unique()),
        **_sizes(table),
        "columns": {name: _figures(values) for name, values in columns.items()},
        "share_of_error": {f"{k:g}": float(total[max(1, int(k * n + 0.5))] / (total[-1] or 1.0)) for k in KEEPS},
        "agreement": {name: agreement(loss, values) for name, values in columns.items() if name != "loss"},
        "per_image": _per_image(table, loss),
    }


def agreement(loss: np.ndarray, values: np.ndarray) -> dict[str, float | None]:
    """How well another score [n] agrees with the loss [n] in its ranking, over the rows where both are finite.

    Returns:
        ``spearman`` (ties get their mean rank; None if one side is constant) and ``top_half``: the share of the higher
        half by loss that is also in the higher half by ``values``, with ties in an order that is drawn with a fixed
        seed: the rows of a core-set are in the order of the loss, with which a constant column would agree.
    """
    known = np.isfinite(loss) & np.isfinite(values)
    loss, values = loss[known], values[known]
    if not len(loss):
        return {"spearman": None, "top_half": None}
    drawn = np.random.default_rng(0).permutation(len(loss))
    loss, values = loss[drawn], values[drawn]
    by_loss, by_values = (np.argsort(-v, kind="stable") for v in (loss, values))
    a, b = _mean_ranks(loss, by_loss), _mean_ranks(values, by_values)
    a, b = a - a.mean(), b - b.mean()
    norm = math.sqrt(float(a @ a) * float(b @ b))
    half = max(1, int(len(loss) / 2 + 0.5))
    inside = np.zeros(len(loss), bool)
    inside[by_loss[:half]] = True
    shared = float(inside[by_values[:half]].mean())
    return {"spearman": float(a @ b) / norm if norm else None, "top_half": shared}


def _mean_ranks(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Ranks [n] from 0 in that order; ties get their mean rank."""
    ordered = values[order]
    group = np.cumsum(np.concatenate([[False], ordered[1:] != ordered[:-1]]))
    counts = np.bincount(group)
    ranks = np.empty(len(values))
    ranks[order] = (np.cumsum(counts) - (counts + 1) / 2)[group]
    return ranks


def _figures(values: np.ndarray) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    quantiles = np.quantile(known, QUANTILES) if len(known) else np.full(len(QUANTILES), np.nan)
    return {
        "mean": float(known.mean()) if len(known) else None,
        "missing": len(values) - len(known),
        "quantiles": {
            f"{q:g}": float(v) if np.isfinite(v) else None for q, v in zip(QUANTILES, quantiles, strict=True)
        },
    }


def _sizes(table: Rows) -> dict[str, Any]:
    if COLUMN not in table.columns:
        return {}
    sizes, at = sizes_of(table.table, table.meta)
    counts = np.bincount(at, minlength=len(sizes)).tolist()
    by_size: dict[str, dict[str, Any]] = {
        str(size): {"patches": n, "share": n / len(table)} for size, n in zip(sizes, counts, strict=True)
    }
    for size, known in ((table.meta.get("selection") or {}).get("by_size") or {}).items():
        if size in by_size:
            by_size[size]["of"] = known["patches"]
    return {"sizes": by_size}


def _per_image(table: Rows, loss: np.ndarray) -> dict[str, dict[str, float]]:
    names, code = coded(table.table.column("image"))
    ordered = np.lexsort((loss, code))
    patches = np.bincount(code, minlength=len(names))
    first = np.concatenate([[0], np.cumsum(patches)[:-1]])
    by_image = loss[ordered]
    middle = (by_image[first + (patches - 1) // 2] + by_image[first + patches // 2]) / 2
    mean = np.bincount(code, weights=loss, minlength=len(names)) / patches
    largest = by_image[first + patches - 1]
    rows = zip(names, patches.tolist(), mean.tolist(), middle.tolist(), largest.tolist(), strict=True)
    return {name: {"patches": n, "mean": a, "median": m, "largest": top} for name, n, a, m, top in rows}
