"""From scores to a core-set: Moser, Raue, Dengel (2024), Section 3.2."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from srfast.coreset.condition import check_coreset, passing
from srfast.coreset.limits import (
    Limits,
    about_sizes,
    counted,
    exact_sum,
    first_holding,
    goal_of,
    one_size,
    short_of,
)
from srfast.coreset.methods.base import Pool, check_finite, find, targeted
from srfast.coreset.rejects import rejected
from srfast.coreset.settings import METHODS, POSITIONAL, TARGETED, SelectArguments, share
from srfast.data.files import check_output
from srfast.errors import InputError
from srfast.runtime.progress import Progress, shown
from srfast.scoring.defect_columns import condition
from srfast.scoring.rows import Rows, at, descending
from srfast.scoring.stored import Stored, large, opened_rows
from srfast.scoring.table import (
    SCHEMA,
    ScoreTable,
    arrow,
    checked,
    names_of,
    numeric_columns,
    read_parquet,
    sources,
    with_extras,
    write_parquet,
)
from srfast.settings import documented, positional

CORESET_SCHEMA = SCHEMA.append(pa.field("rank", pa.int32(), nullable=False))


class CoreSet(Rows):
    """Selected patches: the columns of a score table plus ``rank`` (int32, 0 = hardest of the core-set by loss).

    Rows are in the order of ``rank``. ``meta`` is the score table's, plus ``selection`` with the arguments.
    """

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> CoreSet:
        """Reads coreset.parquet.

        Raises:
            InputError: ``ScoreTable.read`` would refuse the file, or it is a score table without ranks.
        """
        table, meta = read_parquet(path)
        check_coreset(path, meta)
        return cls(checked(path, table, meta, CORESET_SCHEMA), meta)

    @classmethod
    def opened(cls, path: str | os.PathLike[str]) -> Rows:
        """``read`` of a file that may be large: its columns are then read when they are needed, without ``rank``."""
        return Stored([path], selecting=False) if large([path]) else cls.read(path)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes coreset.parquet, whole or not at all. It replaces only another core-set."""
        write_parquet(path, [self.table], with_extras(CORESET_SCHEMA, self.table.schema), self.meta)


Scores = ScoreTable | str | os.PathLike[str] | Sequence[ScoreTable | str | os.PathLike[str]]


@documented(SelectArguments)
def select(scores: Scores, *given: Any, **options: Any) -> CoreSet:
    """Selects a core-set from scores.

    Args:
        scores: A score table or its path, or several (the shards of one dataset); a folder of parts is one table. A
            pandas DataFrame made by ``to_pandas`` is a table too; ``ScoreTable.with_rows`` makes one of any other.
        **options: settings

    Returns:
        The core-set. Ties break by row order, and the same input and seed give the same rows. If ``max_per_image``,
        ``nms`` or ``sizes`` leave fewer patches than ``keep`` asks for, it holds those, and
        ``meta["selection"]["short"]`` says why. Patches that ``clean`` or ``reject`` leave out do not count among the N
        of the fractions; ``meta["selection"]`` gives their number for each reason under ``rejected``, and the condition
        that is equivalent to ``clean`` under ``cleaned``.

    Raises:
        InputError: an argument is out of range, tables do not belong together, shards are missing, no patch is left to
            keep, or ``drop_hardest`` and ``window`` leave fewer than ``keep``.
        RunError: ``where`` is given and duckdb is not installed.
    """
    settings = SelectArguments.of(positional(given, POSITIONAL, options))
    table = source(scores, settings)
    chosen, about = choose(table, settings)
    schema = with_extras(CORESET_SCHEMA, table.schema)
    with shown(settings.progress, "selecting", "rows", "patches") as progress:
        kept = pa.concat_tables(_ranked(table.taken(chosen), schema, len(chosen), progress))
    return CoreSet(kept, {**table.meta, "selection": about})


def write_selection(
    scores: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str], settings: SelectArguments
) -> tuple[dict[str, Any], float, float]:
    """``select`` for core-sets that need not fit into memory: writes ``output``, beside which it lays what does not,
    and returns the selection as in its metadata, and its lowest and highest loss."""
    folder = check_output(output, "core-set", scores).parent
    table = source(scores, settings)
    chosen, about = choose(table, settings)
    loss = table.column("loss")
    schema = with_extras(CORESET_SCHEMA, table.schema)
    with shown(settings.progress, "selecting", "rows", "patches") as progress:
        tables = _ranked(table.taken(chosen, Path(folder)), schema, len(chosen), progress)
        write_parquet(output, tables, schema, {**table.meta, "selection": about}, inputs=scores)
    return about, float(loss[chosen[-1]]), float(loss[chosen[0]])


def source(scores: Any, settings: SelectArguments) -> Rows:
    """The rows to select from, with the column of a target: those of large files are read by column. Raises InputError
    if there are none, they do not belong together, a score is not finite, or the method is not known."""
    table = opened_rows(scores, selecting=True, allow_missing_shards=settings.allow_missing_shards)
    if not len(table):
        names = ", ".join(names_of(sources(scores)))
        raise InputError(f"{names}: expected at least one patch, got an empty table")
    settings.checked(numeric_columns(table.schema))
    if settings.target is None:
        return table
    return cast(ScoreTable, targeted(ScoreTable(table.table, table.meta), settings))


def choose(table: Rows, settings: SelectArguments) -> tuple[np.ndarray, dict[str, Any]]:
    """Makes a selection: the numbers of the rows to keep, in the order of the core-set, and the selection as its
    metadata describe it. Raises InputError if ``select`` would."""
    columns = numeric_columns(table.schema)
    how = find(settings.method, tuple(columns))
    if how.counts and settings.keep_loss is not None:
        raise InputError(
            f"keep_loss: the order of method {settings.method!r} depends on how many are kept", hint="take keep"
        )
    loss = table.column("loss")
    rows = np.arange(len(table), dtype=np.int32 if len(table) < 1 << 31 else np.int64)
    if settings.where is not None:
        rows = passing(table, settings.where).astype(rows.dtype)
        if not len(rows):
            raise InputError(f"where: none of the {len(table)} patches meets {settings.where!r}")
    left_out, reasons = rejected(table, settings.clean, settings.reject)
    if reasons:
        rows = rows[~at(left_out, rows)]
    del left_out
    larger, passed = None, rows
    if len(rows) and settings.one_size:
        rows, larger = one_size(table, rows)
    n = len(rows)
    if not n:
        counts = ", ".join(f"{reason} {n:,}" for reason, n in reasons.items()) or "none"
        raise InputError(f"clean, reject: none of the {len(table)} patches is left ({counts})")
    if settings.method in (*TARGETED, *(c for c in columns if c not in METHODS)):
        check_finite(str(settings.method), table, rows)

    def pool(rows: np.ndarray, count: int) -> Pool:
        return Pool(table, rows, settings.order, count, np.random.default_rng(settings.seed), settings.root)

    dropped = share(settings.drop_hardest, n)
    eligible = candidates = rows
    if dropped or settings.window is not None:
        inside = np.ones(n, bool)
        inside[descending(pool(rows, n).of(loss), "des")[:dropped]] = False
        eligible = candidates = rows[inside]
        if settings.window is not None:
            low, high = (share(w, n) for w in settings.window)
            ranked = descending(pool(rows, n).of(how.key(table)), settings.order)
            inside[ranked[:low]] = inside[ranked[high:]] = False
            candidates = rows[inside]
    count = counted(settings, n, len(candidates))
    of_eligible = pool(eligible, 0).of(loss)
    total, goal = exact_sum(of_eligible), None
    if settings.keep_loss is not None:
        goal = goal_of(settings, total, exact_sum(pool(candidates, 0).of(loss)), float(of_eligible.min()))
    del of_eligible

    limits = Limits(table, settings)
    order = how.ordering(pool(candidates, count))
    if limits.none and goal is None and not settings.flat_floor:
        order = order[:count]
    ordered = at(candidates, order)
    del order
    floor = share(settings.flat_floor, count)
    if floor:
        easiest = limits.allowed(candidates[descending(loss[candidates], "asc")])[:floor]
        ordered = np.concatenate([easiest, ordered[~np.isin(ordered, easiest)]])
    ordered = limits.allowed(ordered)
    if settings.per_image is not None:
        ordered = np.concatenate([ordered[:floor], limits.spread(ordered[floor:], rows)])
    if goal is not None:
        count = first_holding(at(loss, ordered), goal)
    chosen = np.sort(ordered[:count])
    of_chosen = at(loss, chosen)
    held = exact_sum(of_chosen)
    chosen = at(chosen, descending(of_chosen, "des"))
    return chosen, {
        **settings.as_dict(),
        "patches": len(table),
        "passing": n,
        "kept": len(chosen),
        "dropped_hardest": dropped,
        "shares": {"patches": len(chosen) / n, "loss": held / total if total else None},
        "short": short_of(
            settings, n, count, len(chosen), limits.apart, None if goal is None or held >= goal else held / total
        ),
        **about_sizes(table, passed, chosen),
        **({} if larger is None else {"larger": larger}),
        **({"rejected": reasons} if settings.clean or settings.reject is not None else {}),
        **({"cleaned": condition(table.columns)} if settings.clean else {}),
    }


def _ranked(tables: Iterable[pa.Table], schema: pa.Schema, total: int, progress: Progress) -> Iterator[pa.Table]:
    """The rows of a core-set in its schema, with their ranks."""
    done = 0
    for table in tables:
        rank = arrow(np.arange(done, done + len(table)), np.int32)
        done += len(table)
        yield table.append_column("rank", rank).select(schema.names).cast(schema)
        progress(done, total, done)
