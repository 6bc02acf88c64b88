"""From scores to a core-set: Moser, Raue, Dengel (2024), Section 3.2."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.coreset.large import Files, Large, takes
from srfast.coreset.limits import Limits, with_floor
from srfast.coreset.methods.base import Pool
from srfast.coreset.methods.columns import descending
from srfast.coreset.methods.registry import find
from srfast.coreset.settings import (
    Column,
    Engine,
    Method,
    Order,
    PerImage,
    Selection,
    check_engine,
    counted,
    share,
    short_of,
)
from srfast.coreset.where import passing
from srfast.errors import InputError
from srfast.scoring.rows import Rows, is_frame, of_frame
from srfast.scoring.table import (
    SCHEMA,
    ScoreTable,
    arrow,
    check_columns,
    check_paths,
    check_scored,
    join,
    numeric_columns,
    read_parquet,
    with_extras,
    write_parquet,
)

SMALL = 1 << 27
"""Bytes of files below which "auto" does not look for a table that is too large for memory."""
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
        return cls(table.select(with_extras(CORESET_SCHEMA, table.schema).names), meta)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes coreset.parquet, whole or not at all; replaces nothing but another core-set."""
        write_parquet(path, [self.table], with_extras(CORESET_SCHEMA, self.table.schema), self.meta)


def select(
    scores: ScoreTable | str | os.PathLike[str] | Sequence[ScoreTable | str | os.PathLike[str]],
    keep: float | None = None,
    order: Order = "des",
    drop_hardest: float = 0.0,
    method: Method | Column = "loss",
    max_per_image: int | None = None,
    seed: int = 0,
    *,
    where: str | None = None,
    window: tuple[float, float] | None = None,
    flat_floor: float = 0.0,
    per_image: PerImage | None = None,
    nms: float | None = None,
    root: str | os.PathLike[str] | None = None,
    engine: Engine = "auto",
) -> CoreSet:
    """Picks a core-set.

    Args:
        scores: A score table or its path, or several (the shards of one dataset); a folder of parts is one table. A
            pandas DataFrame that was made by ``to_pandas`` is a table too, others by ``ScoreTable.with_rows``.
        keep: Fraction r of all N patches to keep, 0 < r <= 1: round(r * N) patches, half up, at least one. None keeps
            half, or all of ``window``.
        order: "des" keeps the highest scores, "asc" the lowest (the paper's DES and ASC).
        drop_hardest: Fraction of all N patches that is dropped first, the hardest by loss; the paper's refined core-set
            is keep=0.5, drop_hardest=0.05. What is kept is then the hardest round(r * N) of what is left.
        method: "loss", "bicubic", "sobel" or any other numeric column: sorted by it. "reducible" sorts by
            bicubic - loss, "relative" by (bicubic - loss) / bicubic, 0 where bicubic is below 0.1. "random" draws
            uniformly. "stratified" draws the same number from each of 20 loss quantiles, so that the core-set has the
            loss distribution of the dataset. "hdc" keeps the half of the highest "sobel" and draws the same number from
            each of its 15 clusters of texture (Ding et al.). "diverse" takes the most typical patch of each cluster of
            texture in turn. These two read the images and need scikit-learn, from 100,000 patches on faiss.
            docs/selection.md has the sources.
        max_per_image: At most this many patches of one image, in the method's order.
        seed: Of what is random.
        where: A condition on the columns, in SQL: ``"blockiness < 30 and bicubic > 0.5"``. Only patches for which it
            holds count: they are the N of the fractions.
        window: (LO, HI): only patches whose rank by the method (by loss where it sorts by nothing), in ``order``, lies
            between these fractions of N; (0.05, 0.55) with "loss" is the paper's refined core-set.
        flat_floor: This fraction of what is kept is the easiest patches by loss, whatever the method.
        per_image: "share" keeps the same share of every image, "even" the same number of every image as far as it
            has so many; each image's first in the method's order.
        nms: No two kept patches of an image overlap by an intersection over union of more than this, 0 <= nms < 1;
            taken greedily in the method's order.
        root: The folder of the images, if it has moved since scoring; of "hdc" and "diverse".
        engine: "memory" reads the tables, "duckdb" leaves them on disk and gives the same rows: it sorts, so it has
            no "random", "stratified", "hdc", "diverse", ``per_image`` and ``nms``. "auto" takes duckdb from 20 million
            rows on, where it can. docs/scaling.md says what each needs.

    Returns:
        The core-set. Ties break by row order; the same input and seed give the same rows. Where ``max_per_image``
        or ``nms`` leave fewer patches than ``keep`` asks for, it holds those, and ``meta["selection"]["short"]`` says
        so.

    Raises:
        InputError: an argument outside its range, tables that do not belong together, nothing left to keep, or less
            than ``keep`` left by ``drop_hardest`` and ``window``. RunError: ``where`` without duckdb.
    """
    check_engine(engine)
    asked = Selection(keep, order, drop_hardest, method, max_per_image, seed, where, window, flat_floor, per_image, nms)
    large = on_disk(scores, asked, engine)
    if large is not None:
        with large:
            tables = list(large.kept())
            schema = with_extras(CORESET_SCHEMA, tables[0].schema)
            return CoreSet(pa.concat_tables(numbered(tables, schema)), {**large.files.meta, "selection": large.about})
    table = _joined(scores)
    asked = asked.checked(numeric_columns(table.table.schema))
    how = find(asked.method)
    loss = table.column("loss")
    rows = np.arange(len(table)) if asked.where is None else passing(table.table, asked.where)
    n = len(rows)
    if not n:
        raise InputError(f"where: none of the {len(table)} patches meets {asked.where!r}")
    dropped = share(asked.drop_hardest, n)
    candidates = np.sort(rows[descending(loss[rows], "des")[dropped:]]) if dropped else rows
    if asked.window is not None:
        low, high = (share(w, n) for w in asked.window)
        ranked = rows[descending(how.key(table)[rows], asked.order)]
        candidates = np.intersect1d(candidates, ranked[low:high], assume_unique=True)
    count = counted(asked, n, len(candidates), dropped)

    pool = Pool(table, candidates, asked.order, count, np.random.default_rng(asked.seed), root)
    limits = Limits(table, asked.max_per_image, asked.per_image, asked.nms)
    ordered = candidates[how.ordering(pool)]
    floor = share(asked.flat_floor, count)
    if floor:
        ordered = with_floor(ordered, candidates[descending(loss[candidates], "asc")], floor, limits)
    ordered = limits.allowed(ordered)
    ordered = np.concatenate([ordered[:floor], limits.spread(ordered[floor:], rows)])
    chosen = np.sort(ordered[:count])
    chosen = chosen[descending(loss[chosen], "des")]
    kept = table.table.take(arrow(chosen, np.int64))
    kept = kept.append_column("rank", arrow(np.arange(len(chosen)), np.int32))
    selection = {
        **asked.as_dict(),
        "patches": len(table),
        "passing": n,
        "kept": len(chosen),
        "dropped_hardest": dropped,
        "short": short_of(asked, n, count, len(chosen)),
    }
    schema = with_extras(CORESET_SCHEMA, kept.schema)
    return CoreSet(kept.select(schema.names).cast(schema), {**table.meta, "selection": selection})


def _joined(scores: Any) -> ScoreTable:
    if isinstance(scores, (Rows, str, os.PathLike)) or is_frame(scores):
        scores = [scores]
    scores = [_of_frame(s) if is_frame(s) else s for s in scores]
    names = [f"table {i}" if isinstance(s, Rows) else str(s) for i, s in enumerate(scores)]
    tables = []
    for name, source in zip(names, scores, strict=True):
        one = source if isinstance(source, Rows) else ScoreTable.read(source)
        check_scored(name, one.meta)
        tables.append(ScoreTable(one.table, one.meta))
    table = join(tables, names)
    if not len(table):
        raise InputError(f"{', '.join(names)}: expected at least one patch, got an empty table")
    for column in ("loss", "bicubic", "sobel"):
        if not np.isfinite(table.column(column)).all():
            raise InputError(f"{', '.join(names)}: column {column!r}: expected finite values")
    return table


def _of_frame(frame: Any) -> ScoreTable:
    table, meta = of_frame("scores", frame, SCHEMA)
    check_columns("scores", table, SCHEMA)
    return ScoreTable(table, meta)


def on_disk(scores: Any, asked: Selection, engine: str, beside: Path | None = None) -> Large | None:
    """The selection in DuckDB, or None where it is made in memory; ``select`` has the arguments."""
    sources = [scores] if isinstance(scores, (Rows, str, os.PathLike)) or is_frame(scores) else list(scores)
    if engine == "memory" or not sources:
        return None
    for source in sources:
        if not (isinstance(source, (Rows, str, os.PathLike)) or is_frame(source)):
            raise InputError(f"scores: expected a score table, its path or a DataFrame, got {type(source).__name__}")
    paths = [s for s in sources if not isinstance(s, Rows) and not is_frame(s)]
    if len(paths) < len(sources):
        if engine == "duckdb":
            raise InputError("engine: duckdb reads tables from their files; expected paths, got a table in memory")
        return None
    if engine == "auto" and sum(map(_bytes, paths)) < SMALL:
        return None
    files = Files.find(paths)
    asked = asked.checked(numeric_columns(files.schema))
    return Large(files, asked, beside) if takes(engine, files, asked) else None


def numbered(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The tables with their rows numbered through, in this schema."""
    done = 0
    for table in tables:
        rank = arrow(np.arange(done, done + len(table)), np.int32)
        done += len(table)
        yield table.append_column("rank", rank).select(schema.names).cast(schema)


def _bytes(path: str | os.PathLike[str]) -> int:
    files = list(Path(path).glob("part-*.parquet")) if os.path.isdir(path) else [Path(path)]
    return sum(f.stat().st_size for f in files if f.is_file())
