"""From scores to a core-set: Moser, Raue, Dengel (2024), Section 3.2."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from srfast.errors import InputError
from srfast.scoring.table import (
    SCHEMA,
    Rows,
    ScoreTable,
    check_columns,
    check_paths,
    check_replaceable,
    join,
    read_parquet,
    write_parquet,
)

METHODS = ("loss", "sobel", "random", "stratified")
ORDERS = ("des", "asc")
STRATA = 20
"""Loss quantiles that the stratified method draws from equally."""

CORESET_SCHEMA = SCHEMA.append(pa.field("rank", pa.int32(), nullable=False))


class CoreSet(Rows):
    """Selected patches: the columns of a score table plus ``rank`` (int32, 0 = hardest of the core-set by loss).

    Rows are in the order of ``rank``. ``meta`` is the score table's, plus ``selection`` with the arguments.
    """

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> CoreSet:
        """Reads coreset.parquet; raises InputError as ``ScoreTable.read`` does, and for a score table without ranks."""
        table, meta = read_parquet(path)
        if "rank" not in table.schema.names:
            raise InputError(f"{path}: expected a core-set, got a score table; make one with `srfast select`")
        check_columns(path, table, CORESET_SCHEMA)
        check_paths(path, table)
        return cls(table.select(CORESET_SCHEMA.names), meta)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes coreset.parquet, whole or not at all; refuses to replace a file srfast did not write."""
        check_replaceable(path)
        write_parquet(Path(path), [self.table], CORESET_SCHEMA, self.meta)


def select(
    scores: ScoreTable | str | os.PathLike[str] | Sequence[ScoreTable | str | os.PathLike[str]],
    keep: float = 0.5,
    order: str = "des",
    drop_hardest: float = 0.0,
    method: str = "loss",
    max_per_image: int | None = None,
    seed: int = 0,
) -> CoreSet:
    """Picks a core-set.

    Args:
        scores: A score table or its path, or several (the shards of one dataset).
        keep: Fraction r of all N patches to keep, 0 < r <= 1: round(r * N) patches, half up, at least one.
        order: "des" keeps the highest scores, "asc" the lowest (the paper's DES and ASC).
        drop_hardest: Fraction of all N patches that is dropped first, the hardest by loss; the paper's refined core-set
            is keep=0.5, drop_hardest=0.05. What is kept is then the hardest round(r * N) of what is left.
        method: "loss" and "sobel" sort by that column. "random" draws uniformly. "stratified" draws the same number
            from each of 20 loss quantiles, so that the core-set has the loss distribution of the dataset.
        max_per_image: At most this many patches of one image, in the method's order.
        seed: Of "random" and "stratified".

    Returns:
        The core-set. Ties break by row order; the same input and seed give the same rows.

    Raises:
        InputError: an argument outside its range, tables that do not belong together, or nothing left to keep.
    """
    table = _joined(scores)
    n = len(table)
    check_selection(keep, order, drop_hardest, method, max_per_image, seed)
    keep, drop_hardest, seed = float(keep), float(drop_hardest), int(seed)
    max_per_image = None if max_per_image is None else int(max_per_image)
    loss = table.column("loss")
    hardest = np.argsort(-loss, kind="stable")
    dropped = int(drop_hardest * n + 0.5)
    candidates = np.sort(hardest[dropped:])
    count = max(1, int(keep * n + 0.5))
    ordered = candidates[_order(method, order, table, candidates, np.random.default_rng(seed))]
    if max_per_image is not None:
        ordered = ordered[_position_in_image(table, ordered) < max_per_image]
    chosen = ordered[:count]
    if not len(chosen):
        raise InputError(f"drop_hardest: nothing is left of {n} patches after dropping {dropped}")
    place = np.empty(n, np.int64)
    place[hardest] = np.arange(n)
    chosen = chosen[np.argsort(place[chosen])]
    rows = table.table.take(pa.array(chosen))
    rows = rows.append_column("rank", pa.array(np.arange(len(chosen), dtype=np.int32)))
    selection = {
        "method": method,
        "order": order,
        "keep": keep,
        "drop_hardest": drop_hardest,
        "max_per_image": max_per_image,
        "seed": seed,
        "patches": n,
        "kept": len(chosen),
        "dropped_hardest": dropped,
    }
    return CoreSet(rows.cast(CORESET_SCHEMA), {**table.meta, "selection": selection})


def _joined(scores: Any) -> ScoreTable:
    if isinstance(scores, (ScoreTable, str, os.PathLike)):
        scores = [scores]
    tables = [s if isinstance(s, ScoreTable) else ScoreTable.read(s) for s in scores]
    names = [f"table {i}" if isinstance(s, ScoreTable) else str(s) for i, s in enumerate(scores)]
    table = join(tables, names)
    if not len(table):
        raise InputError(f"{', '.join(names)}: expected at least one patch, got an empty table")
    for column in ("loss", "bicubic", "sobel"):
        if not np.isfinite(table.column(column)).all():
            raise InputError(f"{', '.join(names)}: column {column!r}: expected finite values")
    return table


def check_selection(
    keep: float = 0.5,
    order: str = "des",
    drop_hardest: float = 0.0,
    method: str = "loss",
    max_per_image: int | None = None,
    seed: int = 0,
) -> None:
    """Raises InputError unless these are arguments of ``select``."""
    if not _is(keep, Real) or not 0 < keep <= 1:
        raise InputError(f"keep: expected a fraction with 0 < keep <= 1, got {keep!r}")
    if order not in ORDERS:
        raise InputError(f"order: expected one of {', '.join(ORDERS)}, got {order!r}")
    if not _is(drop_hardest, Real) or not 0 <= drop_hardest < 1:
        raise InputError(f"drop_hardest: expected a fraction with 0 <= drop_hardest < 1, got {drop_hardest!r}")
    if method not in METHODS:
        raise InputError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if max_per_image is not None and (not _is(max_per_image, Integral) or max_per_image < 1):
        raise InputError(f"max_per_image: expected an integer of at least 1, got {max_per_image!r}")
    if not _is(seed, Integral) or seed < 0:
        raise InputError(f"seed: expected a non-negative integer, got {seed!r}")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _order(method: str, order: str, table: ScoreTable, candidates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions in ``candidates``, the first to keep first."""
    if method == "random":
        return rng.permutation(len(candidates))
    if method == "stratified":
        return _stratified(table.column("loss")[candidates], rng)
    key = table.column(method)[candidates]
    return np.argsort(-key if order == "des" else key, kind="stable")


def _stratified(loss: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rounds over the quantiles of loss: each round takes one random patch of every quantile that has one left."""
    n = len(loss)
    shuffled = rng.permutation(n)
    rank = np.empty(n, np.int64)
    rank[np.argsort(loss, kind="stable")] = np.arange(n)
    stratum = rank[shuffled] * STRATA // n
    turn = _running_count(stratum)
    return shuffled[np.lexsort((stratum, turn))]


def _position_in_image(table: ScoreTable, ordered: np.ndarray) -> np.ndarray:
    """How many earlier rows of ``ordered`` lie in the same image."""
    codes = pc.dictionary_encode(table.table.column("image").combine_chunks()).indices.to_numpy()
    return _running_count(codes[ordered])


def _running_count(groups: np.ndarray) -> np.ndarray:
    """For each element, how many earlier elements have the same value."""
    order = np.argsort(groups, kind="stable")
    sorted_groups = groups[order]
    first = np.r_[True, sorted_groups[1:] != sorted_groups[:-1]]
    start = np.maximum.accumulate(np.where(first, np.arange(len(groups)), 0))
    count = np.empty(len(groups), np.int64)
    count[order] = np.arange(len(groups)) - start
    return count
