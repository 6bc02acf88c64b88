"""From scores to a core-set: Moser, Raue, Dengel (2024), Section 3.2."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ParamSpec, Protocol, cast

import numpy as np
import pyarrow as pa

from srfast.coreset.condition import passing
from srfast.coreset.counting import counted, exact_sum, first_holding, goal_of, shares, short_of
from srfast.coreset.described import check_selection
from srfast.coreset.duckdb_selection import Files, Large, takes
from srfast.coreset.limits import Limits, with_floor
from srfast.coreset.methods.base import Pool
from srfast.coreset.methods.catalogue import find
from srfast.coreset.methods.sorting import check_finite, descending
from srfast.coreset.one_size import about_sizes, one_size
from srfast.coreset.rejects import about_rejected, rejected
from srfast.coreset.settings import METHODS, POSITIONAL, TARGETED, SelectArguments, share
from srfast.errors import InputError
from srfast.runtime.progress import shown
from srfast.scoring.rows import Rows
from srfast.scoring.table import (
    SCHEMA,
    ScoreTable,
    arrow,
    check_columns,
    check_paths,
    names_of,
    numeric_columns,
    one_table,
    read_parquet,
    sources,
    with_extras,
    write_parquet,
)
from srfast.settings import documented, positional

SMALL = 1 << 27
"""Size of the files in bytes below which "auto" does not check whether a table is too large for memory."""
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
        if "rank" not in table.schema.names:
            raise InputError(f"{path}: expected a core-set, got a score table; make one with `srfast select`")
        check_columns(path, table, CORESET_SCHEMA)
        check_selection(path, meta.get("selection"))
        check_paths(path, table)
        return cls(table.select(with_extras(CORESET_SCHEMA, table.schema).names), meta)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes coreset.parquet, whole or not at all. It replaces only another core-set."""
        write_parquet(path, [self.table], with_extras(CORESET_SCHEMA, self.table.schema), self.meta)


Scores = ScoreTable | str | os.PathLike[str] | Sequence[ScoreTable | str | os.PathLike[str]]
P = ParamSpec("P")


class _Select(Protocol[P]):
    """``select`` as type checkers see it."""

    def __call__(self, scores: Scores, *args: P.args, **kwargs: P.kwargs) -> CoreSet: ...


def _typed(settings: Callable[P, SelectArguments]) -> Callable[[Callable[..., CoreSet]], _Select[P]]:
    return cast(Any, documented(cast(Any, settings)))


@_typed(SelectArguments)
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
    asked = SelectArguments.of(positional(given, POSITIONAL, options))
    given_scores = sources(scores)
    large = on_disk(given_scores, asked)
    if large is not None:
        with large, shown(asked.progress, "selecting", "rows", "patches") as progress:
            tables = list(large.kept(progress))
            schema = with_extras(CORESET_SCHEMA, tables[0].schema)
            return CoreSet(pa.concat_tables(numbered(tables, schema)), {**large.files.meta, "selection": large.about})
    table = _joined(given_scores, asked.allow_missing_shards)
    columns = numeric_columns(table.table.schema)
    asked.checked(columns)
    if asked.target is not None:
        from srfast.coreset.methods.nearest import targeted

        table = targeted(table, asked)
    how = find(asked.method, tuple(columns))
    loss = table.column("loss")
    rows = np.arange(len(table)) if asked.where is None else passing(table.table, asked.where)
    if not len(rows):
        raise InputError(f"where: none of the {len(table)} patches meets {asked.where!r}")
    left_out, reasons = rejected(table.table, asked.clean, asked.reject)
    rows = rows[~left_out[rows]]
    n = len(rows)
    larger, passed = None, rows
    if n and asked.one_size:
        rows, larger = one_size(table, rows)
        n = len(rows)
    if not n:
        counts = ", ".join(f"{reason} {n:,}" for reason, n in reasons.items()) or "none"
        raise InputError(f"clean, reject: none of the {len(table)} patches is left ({counts})")
    if asked.method in (*TARGETED, *(c for c in columns if c not in METHODS)):
        check_finite(str(asked.method), table, rows)
    dropped = share(asked.drop_hardest, n)
    eligible = candidates = np.sort(rows[descending(loss[rows], "des")[dropped:]]) if dropped else rows
    if asked.window is not None:
        low, high = (share(w, n) for w in asked.window)
        ranked = rows[descending(how.key(table)[rows], asked.order)]
        candidates = np.intersect1d(candidates, ranked[low:high], assume_unique=True)
    count = counted(asked, n, len(candidates), dropped)
    total = exact_sum(loss[eligible])
    goal = None
    if asked.keep_loss is not None:
        if how.counts:
            raise InputError(f"keep_loss: the order of method {asked.method!r} depends on how many are kept; take keep")
        goal = goal_of(asked, total, exact_sum(loss[candidates]), loss[eligible].min())

    pool = Pool(table, candidates, asked.order, count, np.random.default_rng(asked.seed), asked.root)
    limits = Limits(table, asked.max_per_image, asked.per_image, asked.nms, "all" if asked.one_size else asked.sizes)
    ordered = candidates[how.ordering(pool)]
    floor = share(asked.flat_floor, count)
    if floor:
        ordered = with_floor(ordered, candidates[descending(loss[candidates], "asc")], floor, limits)
    ordered = limits.allowed(ordered)
    ordered = np.concatenate([ordered[:floor], limits.spread(ordered[floor:], rows)])
    if goal is not None:
        count = first_holding(loss[ordered], goal)
    chosen = np.sort(ordered[:count])
    held = exact_sum(loss[chosen])
    chosen = chosen[descending(loss[chosen], "des")]
    kept = table.table.take(arrow(chosen, np.int64))
    kept = kept.append_column("rank", arrow(np.arange(len(chosen)), np.int32))
    selection = {
        **asked.as_dict(),
        "patches": len(table),
        "passing": n,
        "kept": len(chosen),
        "dropped_hardest": dropped,
        **shares(len(chosen), n, held, total),
        "short": short_of(
            asked, n, count, len(chosen), limits.apart, None if goal is None or held >= goal else held / total
        ),
        **about_sizes(table, passed, chosen),
        **({} if larger is None else {"larger": larger}),
        **about_rejected(asked, reasons, table.columns),
    }
    schema = with_extras(CORESET_SCHEMA, kept.schema)
    return CoreSet(kept.select(schema.names).cast(schema), {**table.meta, "selection": selection})


def _joined(scores: Sequence[Any], allow_missing_shards: bool) -> ScoreTable:
    names = ", ".join(names_of(scores))
    table = one_table(scores, allow_missing_shards=allow_missing_shards)
    if not len(table):
        raise InputError(f"{names}: expected at least one patch, got an empty table")
    for column in ("loss", "bicubic", "sobel"):
        if not np.isfinite(table.column(column)).all():
            raise InputError(f"{names}: column {column!r}: expected finite values")
    return table


def on_disk(scores: Any, asked: SelectArguments, beside: Path | None = None) -> Large | None:
    """The selection in DuckDB, or None if it is made in memory; the arguments are those of ``select``."""
    given, engine = sources(scores), asked.engine
    if engine == "memory" or not given:
        return None
    paths = [s for s in given if isinstance(s, (str, os.PathLike))]
    if len(paths) < len(given):
        if engine == "duckdb":
            raise InputError("engine: duckdb reads tables from their files; expected paths, got a table in memory")
        return None
    if engine == "auto" and sum(map(_bytes, paths)) < SMALL:
        return None
    files = Files.find(paths, asked.allow_missing_shards)
    asked.checked(numeric_columns(files.schema))
    return Large(files, asked, beside) if takes(engine, files, asked) else None


def numbered(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The tables with consecutive row numbers, in this schema."""
    done = 0
    for table in tables:
        rank = arrow(np.arange(done, done + len(table)), np.int32)
        done += len(table)
        yield table.append_column("rank", rank).select(schema.names).cast(schema)


def _bytes(path: str | os.PathLike[str]) -> int:
    files = list(Path(path).glob("part-*.parquet")) if os.path.isdir(path) else [Path(path)]
    return sum(f.stat().st_size for f in files if f.is_file())
