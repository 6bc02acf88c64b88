"""Selections over tables that need not fit in memory: exact order statistics and one external sort, in DuckDB.

Every cut of a selection (``drop_hardest``, ``window``, ``keep``) is a pair (value, row): the k-th element by value,
with ties in row order. Histograms that are refined until a bin holds one value find it, so that a cut costs a few scans
of one column and no memory. Only the rows that are kept are sorted, on disk if needed; a window function would sort all
rows for every cut.

``selection`` makes the same cuts in NumPy, and both are needed: methods that draw, cluster or are functions, and limits
that compare the patches of an image, need the columns as arrays. Arguments and counts are in ``settings``, conditions
in ``condition``, what is left out in ``rejects``; ``tests/coreset/test_large.py`` checks that both give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.coreset.condition import MET, ROW, check_condition, connected, not_met, reason
from srfast.coreset.counting import counted, exact_sum, first_holding, goal_of, shares, short_of
from srfast.coreset.one_size import counted_sizes
from srfast.coreset.rejects import about_rejected, clean_rows
from srfast.coreset.settings import SCORES, Selection, share
from srfast.data.images import stays_inside
from srfast.data.parquet import check_pages, opened
from srfast.data.scratch import scratch_folder
from srfast.data.shrink import sizes_of
from srfast.errors import InputError, RunError
from srfast.runtime.plugins import is_file
from srfast.runtime.progress import Progress
from srfast.runtime.threads import cores
from srfast.scoring.metadata import about_images, parse_meta
from srfast.scoring.shards import check_together, checked_shards, part_files
from srfast.scoring.table import SCHEMA, check_scored, numeric_columns, with_extras

MANY = 20_000_000
"""Number of rows from which on "auto" takes DuckDB; they take about 2 GiB in memory."""
MEMORY_MIB = 384
"""MiB that DuckDB may hold before it spills."""
BINS = 1 << 16
BATCH = 1 << 18
NOT_SORTED = ("random", "stratified", "hdc", "diverse")
_KEYS = {
    "reducible": "bicubic - loss",
    "relative": "CASE WHEN bicubic < 0.1::FLOAT THEN 0::FLOAT ELSE (bicubic - loss) / bicubic END",
}
"""The methods that sort by an expression, as in methods/sorting.py."""
_BIG = 1 << 36
"""More than the rows of one file: row = file * _BIG + row in the file."""


@dataclass
class Files:
    """The parquet files of score tables, by their footers alone."""

    paths: list[Path]
    meta: dict[str, Any]
    schema: pa.Schema
    rows: int
    ordered: bool
    """Whether the files follow each other as parts of one table; otherwise rows are sorted by image."""

    @classmethod
    def find(cls, scores: Sequence[str | os.PathLike[str]], allow_missing_shards: bool = False) -> Files:
        """Finds the files of tables; raises InputError if ``ScoreTable.read`` or ``join`` would refuse them."""
        paths = [path for item in map(Path, scores) for path in (part_files(item) if item.is_dir() else [item])]
        metas, schemas, rows = [], [], 0
        for path in paths:
            with opened(path, whole=False) as file:
                schema, count = file.schema_arrow, file.metadata.num_rows
            meta = about_images(parse_meta(path, schema.metadata))
            check_scored(path, meta)
            for field in SCHEMA:
                found = schema.field(field.name).type if field.name in schema.names else None
                if found != field.type:
                    got = found or "none"
                    raise InputError(f"{path}: expected a column {field.name!r} of {field.type}, got {got}")
            metas.append(meta)
            schemas.append(schema.remove_metadata())
            rows += count
        check_together([str(p) for p in paths], metas, schemas)
        meta = checked_shards(metas, allow_missing_shards)
        return cls(paths, meta, schemas[0], rows, len(scores) == 1)


def unsupported(asked: Selection, meta: Mapping[str, Any]) -> str | None:
    """Why DuckDB cannot make this selection of a table with these metadata; None if it can."""
    several = isinstance(meta.get("shrink"), list) and len(meta["shrink"]) > 1
    if several and asked.sizes != "all":
        return "places are kept at one size (sizes 'all' keeps each)"
    if asked.one_size:
        return "one_size compares the sizes of an image"
    if asked.method in NOT_SORTED:
        return f"method {asked.method!r} draws or clusters"
    if not isinstance(asked.method, str) or is_file(asked.method):
        return "the method is a function"
    if asked.target is not None:
        return f"method {asked.method!r} reads the images"
    if asked.reject is not None:
        return "reject looks patches up by their image"
    for name in ("per_image", "nms"):
        if getattr(asked, name) is not None:
            return f"{name} compares the patches of an image"
    if asked.flat_floor and asked.max_per_image is not None:
        return "flat_floor and max_per_image together"
    return None


def takes(engine: str, files: Files, asked: Selection) -> bool:
    """Whether DuckDB makes the selection.

    Raises:
        InputError: the engine was named, and cannot make this selection.
        RunError: the engine was named, and is not installed.
    """
    missing, why = find_spec("duckdb") is None, unsupported(asked, files.meta)
    if engine == "duckdb":
        if why:
            raise InputError(f"engine: duckdb only sorts, and {why}; expected engine 'memory' or 'auto'")
        if missing:
            raise RunError("engine: duckdb is not installed: pip install srfast")
    return engine == "duckdb" or (engine == "auto" and files.rows >= MANY and not missing and not why)


class Large:
    """One selection over files; a context manager with a connection and a folder to spill to.

    Args:
        files: The tables.
        asked: A checked selection.
        beside: The folder to spill to; None takes the system's.
    """

    def __init__(self, files: Files, asked: Selection, beside: Path | None = None) -> None:
        self.files, self.asked = files, asked
        self._beside = beside
        self.names = with_extras(SCHEMA, files.schema).names
        self._reasons: dict[str, int] = {}
        self.about: dict[str, Any] = {}
        """The selection as the core-set's metadata describe it, once ``kept`` has been called."""

    def __enter__(self) -> Large:
        with ExitStack() as stack:
            spill = stack.enter_context(scratch_folder(self._beside, "select"))
            # Beside what DuckDB counts stand its parquet readers and the batches on their way: about as much again.
            config = {
                "memory_limit": f"{MEMORY_MIB}MiB",
                "threads": str(min(cores(), 8)),
                "temp_directory": str(spill),
                "allocator_background_threads": "true",
                "preserve_insertion_order": "false",
            }
            allowed = ", ".join(_text(str(path)) for path in self.files.paths)
            self._connection = connected(config, f"allowed_paths = [{allowed}]", "enable_external_access = false")
            stack.callback(self._connection.close)
            self._left = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.close()

    def kept(self, progress: Progress) -> Iterator[pa.Table]:
        """Yields the rows of the core-set, hardest first, in tables of ``BATCH`` rows with the columns ``names``.

        Args:
            progress: Function that is called with (rows handed out, rows in all, rows handed out).

        Raises:
            InputError: ``srfast.select`` would raise it.
            RunError: there is no room left to spill.
        """
        import duckdb

        try:
            chosen = self._choose()
            columns = ", ".join(map(_name, self.names))
            query = f"SELECT {columns} FROM {chosen} ORDER BY loss DESC, {_name(ROW)}"
            done = 0
            for batch in self._connection.sql(query).to_arrow_reader(BATCH):
                yield pa.Table.from_batches([batch])
                done += len(batch)
                progress(done, self.about["kept"], done)
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise RunError(f"engine: duckdb: {reason(error)}") from None
        except duckdb.Error as error:
            if self.asked.where is None:
                raise
            raise not_met(error, self.names) from None

    def _choose(self) -> str:
        """The rows to keep, as SQL that follows FROM."""
        asked = self.asked
        total = self._open()
        whole = asked.where is None and not asked.clean
        n = total if whole else self._one("SELECT count(*) FROM passing")
        if not n:
            what = f"where: none of the {total} patches meets {asked.where!r}"
            raise InputError(what + (" and is clean" if asked.clean else ""))
        key = _KEYS.get(str(asked.method)) or _name(str(asked.method))
        dropped = share(asked.drop_hardest, n)
        candidates = "true" if not dropped else f"NOT ({self._first('loss', 'des', dropped, 'true', n)})"
        left = n - dropped
        if asked.window is not None:
            low, high = (share(w, n) for w in asked.window)
            inside = self._first(key, asked.order, high, "true", n)
            outside = self._first(key, asked.order, low, "true", n)
            candidates = f"({candidates}) AND ({inside}) AND NOT ({outside})"
            left = self._one(f"SELECT count(*) FROM passing WHERE {candidates}")
        count = counted(asked, n, left, dropped)
        eligible = "true" if not dropped else f"NOT ({self._first('loss', 'des', dropped, 'true', n)})"
        total_loss = self._sum(f"passing WHERE {eligible}")
        goal = None
        if asked.keep_loss is not None:
            least = self._connection.execute(f"SELECT min(loss) FROM passing WHERE {eligible}").fetchall()[0][0]
            goal = goal_of(asked, total_loss, self._sum(f"passing WHERE {candidates}"), least)
        if goal is not None and asked.max_per_image is None:
            count = self._holding(key, f"passing WHERE {candidates}", goal)
        if asked.max_per_image is not None:
            predicate, kept = self._capped(key, candidates, count, goal)
        else:
            floor = share(asked.flat_floor, count)
            easiest = self._first("loss", "asc", floor, candidates, left)
            rest = candidates if not floor else f"({candidates}) AND NOT ({easiest})"
            top = self._first(key, asked.order, count - floor, rest, left - floor)
            predicate, kept = f"(({candidates}) AND ({easiest})) OR (({rest}) AND ({top}))", count
        among = "passing" if asked.max_per_image is None else f"passing SEMI JOIN allowed USING ({_name(ROW)})"
        chosen = f"{among} WHERE {predicate}"
        held = self._sum(chosen)
        less = None if goal is None or held >= goal else held / total_loss
        self.about = {
            **asked.as_dict(),
            "patches": total,
            "passing": n,
            "kept": kept,
            "dropped_hardest": dropped,
            **shares(kept, n, held, total_loss),
            "short": short_of(asked, n, count, kept, held=less),
            **about_rejected(asked, self._reasons, self.names),
        }
        if "shrink" in self.names:
            counts = [
                self._connection.sql(f"SELECT shrink, count(*) AS n FROM {rows} GROUP BY shrink").to_arrow_table()
                for rows in ("passing", chosen)
            ]
            self.about |= counted_sizes(self.files.meta, *counts)
        return chosen

    def _open(self) -> int:
        """Makes the view ``passing``, checks pages and columns, and returns the number of rows."""
        import duckdb

        for path in self.files.paths:
            check_pages(path)
        listed = ", ".join(_text(str(path)) for path in self.files.paths)
        source = f"read_parquet([{listed}])"
        columns = ", ".join(f"t.{_name(n)}" for n in self.names)
        checks = ", ".join(
            [
                *(f"count(*) FILTER (WHERE {_name(f.name)} IS NULL)" for f in SCHEMA),
                *(f"count(*) FILTER (WHERE NOT isfinite({c}))" for c in SCORES),
                *(f"min({c})" for c in ("x", "y", "size")),
            ]
        )
        found = self._connection.execute(f"SELECT count(*), {checks} FROM {source}").fetchall()[0]
        total, values = int(found[0]), list(found[1:])
        where = ", ".join(str(p) for p in self.files.paths[:3])
        if not total:
            raise InputError(f"{where}: expected at least one patch, got an empty table")
        for field, missing in zip(SCHEMA, values, strict=False):
            if missing:
                raise InputError(f"{where}: column {field.name!r}: expected no missing values")
        for name, bad in zip(SCORES, values[len(SCHEMA) :], strict=False):
            if bad:
                raise InputError(f"{where}: column {name!r}: expected finite values")
        for (name, least), smallest in zip((("x", 0), ("y", 0), ("size", 1)), values[-3:], strict=True):
            if smallest < least:
                raise InputError(f"{where}: column {name!r}: expected at least {least}, got {smallest}")
        # Sizes of images that the metadata do not list are refused.
        sizes = f"SELECT DISTINCT shrink FROM {source}"
        found_sizes = self._connection.sql(sizes).to_arrow_table() if "shrink" in self.names else pa.table({})
        sizes_of(found_sizes, self.files.meta, self.files.paths[0])
        file, joined = "file_index::BIGINT", ""
        if not self._check_images(source):
            file, joined = "places.place", "JOIN places USING (image)"
        row = f"{file} * {_BIG} + file_row_number"
        rows = self._connection.sql(f"SELECT {columns}, {row} AS {_name(ROW)} FROM {source} t {joined}")
        if self.asked.where is not None:  # its window functions are over all rows, and a filter takes none
            met = check_condition(rows, self.asked.where, self.names).alias(MET)
            rows = rows.select(duckdb.StarExpression(), met)
        if self.asked.clean:
            rows, self._reasons = clean_rows(self._connection, rows, self.names)
        if self.asked.where is not None:
            rows = rows.filter(duckdb.ColumnExpression(MET))
        rows.create_view("passing")
        self._check_method()
        return total

    def _check_method(self) -> None:
        name = str(self.asked.method)
        if name in numeric_columns(self.files.schema) and name not in (*SCORES, *_KEYS):
            bad = self._one(
                f"SELECT count(*) FROM passing WHERE ({_name(name)} IS NULL) OR NOT isfinite({_name(name)}::DOUBLE)"
            )
            if bad:
                raise InputError(f"column {name!r}: expected finite values to sort by, got missing ones or nan")

    def _check_images(self, source: str) -> bool:
        """Refuses paths outside the root and images of two files; returns True if the rows are in order already."""
        found = self._connection.execute(
            f"SELECT image, min(file_index), max(file_index) FROM {source} GROUP BY image ORDER BY image"
        ).fetchnumpy()
        names, first, last = found.values()
        for name in names:
            if not stays_inside(name):
                raise InputError(f"{self.files.paths[0]}: image {name!r}: expected a path inside the root")
        twice = np.flatnonzero(first != last)
        if len(twice):
            raise InputError(
                f"{', '.join(str(p) for p in self.files.paths[:3])}: image {names[twice[0]]!r} "
                "occurs in more than one table"
            )
        if len(self.files.paths) == 1 or (self.files.ordered and (np.diff(first.astype(np.int64)) >= 0).all()):
            return True
        order = pa.table({"image": pa.array(names.tolist(), pa.string()), "place": pa.array(np.arange(len(names)))})
        self._connection.from_arrow(order).create("places")
        return False

    def _first(self, key: str, order: str, k: int, where: str, n: int) -> str:
        """The condition for a row to be among the first k of the n that meet ``where``, by key and then by row."""
        if k <= 0:
            return "false"
        if k >= n:
            return "true"
        value = self._kth(key, f"({where})", k if order == "asc" else n - k + 1)
        before = "<" if order == "asc" else ">"
        edge = _number(value)
        passed = self._one(f"SELECT count(*) FROM passing WHERE ({where}) AND {key} {before} {edge}")
        row = self._kth(_name(ROW), f"({where}) AND {key} = {edge}", k - passed)
        return f"({key} {before} {edge} OR ({key} = {edge} AND {_name(ROW)} <= {row}))"

    def _kth(self, key: str, where: str, k: int) -> Any:
        """The k-th lowest value of the rows for which ``where`` holds, k from 1."""
        low, high = self._connection.execute(f"SELECT min({key}), max({key}) FROM passing WHERE {where}").fetchall()[0]
        while low != high:
            if isinstance(low, float):
                scaled = f"(({key})::DOUBLE - {_number(low)}) / {high - low!r} * {BINS}"
                bin = f"least({BINS - 1}, floor({scaled}))::INTEGER"
            else:  # as floats, integers beyond 2^53 could all fall into one bin
                bin = f"(({key})::HUGEINT - {_number(low)}) * {BINS} // {_number(high - low + 1)}"
            found = self._connection.execute(
                f"SELECT {bin} AS bin, count(*), min({key}), max({key}) "
                f"FROM passing WHERE {where} AND {key} BETWEEN {_number(low)} AND {_number(high)} "
                "GROUP BY bin ORDER BY bin"
            ).fetchall()
            for _, count, low, high in found:  # noqa: B007
                if k <= count:
                    break
                k -= count
        return low

    def _sum(self, rows: str) -> int:
        """The exact sum of the losses of rows."""
        found = self._connection.sql(f"SELECT loss FROM {rows}").to_arrow_reader(BATCH)
        return sum(exact_sum(batch.column(0).to_numpy()) for batch in found)

    def _holding(self, key: str, rows: str, goal: Fraction) -> int:
        """How many of the first rows by a key hold a sum of losses; all if they do not."""
        direction = "ASC" if self.asked.order == "asc" else "DESC"
        ordered = f"SELECT loss FROM {rows} ORDER BY {key} {direction}, {_name(ROW)}"
        count = 0
        for batch in self._connection.sql(ordered).to_arrow_reader(BATCH):
            values = batch.column(0).to_numpy()
            held = exact_sum(values)
            if held >= goal:
                return count + first_holding(values, goal)
            count, goal = count + len(values), goal - held
        return count

    def _capped(self, key: str, candidates: str, count: int, goal: Fraction | None) -> tuple[str, int]:
        """The condition for at most ``max_per_image`` rows of an image, and how many rows meet it."""
        direction = "ASC" if self.asked.order == "asc" else "DESC"
        row = _name(ROW)
        self._connection.execute(
            f"CREATE TEMP TABLE allowed AS SELECT {row} FROM passing WHERE {candidates} QUALIFY "
            f"row_number() OVER (PARTITION BY image ORDER BY {key} {direction}, {row}) <= {self.asked.max_per_image}"
        )
        left = self._one("SELECT count(*) FROM allowed")
        if goal is not None:
            count = self._holding(key, f"passing SEMI JOIN allowed USING ({row})", goal)
        if left <= count:
            return "true", left
        return self._first(key, self.asked.order, count, f"{row} IN (SELECT {row} FROM allowed)", left), count

    def _one(self, query: str) -> int:
        return int(self._connection.execute(query).fetchall()[0][0])


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _number(value: Any) -> str:
    """A literal that compares exactly: float32 is widened, never narrowed."""
    return f"CAST('{value!r}' AS DOUBLE)" if isinstance(value, float) else f"CAST({value} AS HUGEINT)"
