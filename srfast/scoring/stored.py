"""Score tables in files, of which a column is read when it is needed, so that they may be larger than memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.data.atomic import scratch_folder
from srfast.data.images import stays_inside
from srfast.data.parquet import opened
from srfast.data.shrink import COLUMN
from srfast.errors import InputError
from srfast.scoring.metadata import check_together, checked_shards, parse_meta
from srfast.scoring.rows import Rows, at, numbers
from srfast.scoring.table import (
    SCHEMA,
    ScoreTable,
    arrow,
    check_columns,
    check_scored,
    in_order,
    names_of,
    one_table,
    part_files,
    sources,
    with_extras,
)

SMALL = 1 << 26
"""Size of the files in bytes below which a table is read as a whole, in half the time."""
BATCH = 1 << 18
"""Rows that are handed out at once."""
HELD = 1 << 28
"""Bytes of rows from which on their columns wait on disk to be handed out."""
_NUMBERS = SCHEMA.remove(0)
_SCORES = ("loss", "bicubic", "sobel")


def opened_rows(scores: Any, *, selecting: bool = False, allow_missing_shards: bool = False) -> Rows:
    """The rows that a caller gives, as ``one_table`` takes them and with its errors; those of large files are read by
    column. For ``selecting`` from them, core-sets and scores that are not finite are refused."""
    given = sources(scores)
    if given and all(isinstance(s, (str, os.PathLike)) for s in given) and large(given):
        return Stored(given, allow_missing_shards, selecting)
    table = one_table(given, coresets=not selecting, allow_missing_shards=allow_missing_shards)
    for column in _SCORES if selecting else ():
        if not np.isfinite(table.column(column)).all():
            raise InputError(f"{', '.join(names_of(given))}: column {column!r}: expected finite values")
    return table


def large(paths: Iterable[str | os.PathLike[str]]) -> bool:
    """Whether the files of tables are read by column."""
    files = [f for p in map(Path, paths) for f in (p.glob("part-*.parquet") if p.is_dir() else [p])]
    return sum(f.stat().st_size for f in files if f.is_file()) >= SMALL


class Stored(Rows):
    """The rows of parquet files and folders of parts, as ``ScoreTable.read`` and ``concatenate`` put them together.

    The columns of every table are checked when it is made. The loss stays in memory, and the row at which each image
    begins. Raises InputError as ``opened_rows`` does.
    """

    def __init__(
        self, scores: Sequence[str | os.PathLike[str]], allow_missing_shards: bool = False, selecting: bool = True
    ) -> None:
        self._paths = [p for item in map(Path, scores) for p in (part_files(item) if item.is_dir() else [item])]
        metas, self._schemas = [], []
        for path in self._paths:
            with opened(path, whole=False) as file:
                schema = file.schema_arrow
            meta = parse_meta(path, schema.metadata)
            if selecting:
                check_scored(path, meta)
            check_columns(path, pa.Table.from_batches([], schema), SCHEMA)
            metas.append(meta)
            self._schemas.append(schema.remove_metadata())
        check_together([str(p) for p in self._paths], metas, self._schemas)
        object.__setattr__(self, "meta", checked_shards(metas, allow_missing_shards))
        self._pieces: tuple[np.ndarray, ...] | None = None
        self._table: pa.Table | None = None
        self._read_base(len(scores) > 1, _SCORES if selecting else ())

    def _read_base(self, several: bool, finite: Sequence[str]) -> None:
        losses: list[np.ndarray] = []
        names: dict[str, int] = {}
        starts: list[np.ndarray] = []
        ids: list[np.ndarray] = []
        ends: list[tuple[int, int]] = []
        row, unsorted = 0, False
        places = [name for name in (COLUMN, "y", "x") if name in self._schemas[0].names]
        wanted = list(dict.fromkeys([*SCHEMA.names, *places]))
        for path in self._paths:
            first, last = len(ids), dict[str, Any]()
            for part in self._groups(path, wanted):
                check_columns(path, part, _NUMBERS)
                for name in finite:
                    if not np.isfinite(numbers(part.column(name))).all():
                        raise InputError(f"{path}: column {name!r}: expected finite values")
                images, code = _coded(path, part.column("image"))
                begins = np.flatnonzero(np.r_[True, code[1:] != code[:-1]])
                there, at_first = np.unique(code[begins], return_index=True)
                known = np.zeros(len(images), np.int32)
                for c in there[np.argsort(at_first)].tolist():
                    known[c] = names.setdefault(images[c], len(names))
                numbered = known[code[begins]]
                if len(ids) > first and ids[-1][-1] == numbered[0]:  # goes on in the next row group
                    begins, numbered = begins[1:], numbered[1:]
                unsorted |= len(self._paths) > 1 and _unsorted(part, places, begins, last)
                if len(numbered):
                    starts.append(begins + row)
                    ids.append(numbered)
                row += len(part)
                losses.append(numbers(part.column("loss")).copy())
            if len(ids) > first:
                ends.append((int(ids[first][0]), int(ids[-1][-1])))
        for name in names:
            if not stays_inside(name):
                raise InputError(f"{self._paths[0]}: image {name!r}: expected a path inside the root")
        self._rows, self._names = row, list(names)
        self._starts = np.concatenate([*starts, np.array([row])])
        self._ids = np.concatenate([np.zeros(0, np.int32), *ids])
        starts.clear()
        ids.clear()
        of = self._names
        follow = all(of[a[1]] < of[b[0]] for a, b in pairwise(ends))
        if several or not follow:
            order = self._ids.tolist()
            if unsorted or len(names) < len(order):
                tables = [self._read(path) for path in self._paths]
                self._table = in_order(tables, [str(p) for p in self._paths])
            elif not follow or any(of[a] > of[b] for a, b in pairwise(order)):
                by_name = np.array(sorted(range(len(order)), key=lambda i: of[order[i]]))
                self._pieces = self._starts[:-1][by_name], self._starts[1:][by_name]
                self._starts = np.concatenate([[0], np.cumsum(self._pieces[1] - self._pieces[0])])
                self._ids = self._ids[by_name]
        pa.default_memory_pool().release_unused()
        self._loss = self._arranged(losses) if self._table is None else numbers(self._table.column("loss"))

    def _arranged(self, parts: list[np.ndarray]) -> np.ndarray:
        values = np.concatenate(parts) if len(parts) != 1 else parts[0]
        parts.clear()
        if self._pieces is None:
            return values
        return np.concatenate([values[a:b] for a, b in self._bounds()])

    def _bounds(self) -> Iterator[tuple[int, int]]:
        """Where the rows of each image lie in the files."""
        assert self._pieces is not None
        return zip(*(p.tolist() for p in self._pieces), strict=True)

    def _groups(self, path: Path, columns: list[str]) -> Iterator[pa.Table]:
        """The row groups of a file, with images as codes."""
        with opened(path, whole=False, read_dictionary=["image"]) as file:
            for group in range(file.metadata.num_row_groups):
                if file.metadata.row_group(group).num_rows:
                    yield file.read_row_group(group, columns)

    def _read(self, path: Path) -> pa.Table:
        with opened(path) as file:
            return file.read().select(self.columns)

    def __len__(self) -> int:
        return self._rows

    @property
    def schema(self) -> pa.Schema:
        return with_extras(SCHEMA, self._schemas[0])

    @cached_property
    def table(self) -> pa.Table:
        """All columns, in memory."""
        if self._table is not None:
            return self._table
        table = pa.concat_tables([self._read(path) for path in self._paths])
        if self._pieces is not None:
            table = pa.concat_tables(table.slice(a, b - a) for a, b in self._bounds())
        return table.replace_schema_metadata(None)

    def whole(self) -> Rows:
        return ScoreTable(self.table, self.meta)

    def held(self) -> Rows:
        if self._table is not None:
            return self.whole()
        columns = {}
        for name in self.columns:
            values = None if name == "image" else self._dense(name)
            columns[name] = self.arrow(name).combine_chunks() if values is None else arrow(values, values.dtype.type)
        return ScoreTable(pa.table(columns), self.meta)

    def arrow(self, name: str) -> pa.ChunkedArray:
        if self._table is not None:
            return self._table.column(name)
        if name == "image":
            return pa.chunked_array([pa.DictionaryArray.from_arrays(self.coded()[1], self._dictionary)])
        chunks = [c for path in self._paths for part in self._groups(path, [name]) for c in part.column(name).chunks]
        column = pa.chunked_array(chunks, self.schema.field(name).type)
        if self._pieces is not None:
            pieces = [c for a, b in self._bounds() for c in column.slice(a, b - a).chunks]
            column = pa.chunked_array(pieces, column.type)
        return column

    def _values(self, name: str) -> np.ndarray:
        values = self._dense(name)
        return super()._values(name) if values is None else values

    def _dense(self, name: str) -> np.ndarray | None:
        """A column of numbers, of which none is missing, without a second copy of it; None for others."""
        if name == "loss":
            return self._loss
        kind = self.schema.field(name).type
        if self._table is not None or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            return None
        parts: list[np.ndarray] = []
        for path in self._paths:
            for part in self._groups(path, [name]):
                if part.column(name).null_count:
                    return None
                parts.append(numbers(part.column(name)).copy())
        return self._arranged(parts)

    def coded(self) -> tuple[list[Any], np.ndarray]:
        if self._table is not None:
            return super().coded()
        return self._names, np.repeat(self._ids, np.diff(self._starts))

    def taken(self, rows: np.ndarray, beside: Path | None = None) -> Iterator[pa.Table]:
        widths = [kind.bit_width // 8 if pa.types.is_primitive(kind) else 4 for kind in self.schema.types]
        fits = self._table is not None or len(rows) * sum(widths) <= HELD
        place: AbstractContextManager[Path | None] = nullcontext() if fits else scratch_folder(beside, "select")
        with place as folder:
            held: dict[str, Any] = {}
            for i, name in enumerate(self.columns):
                values = self._taken(name, rows)
                if folder is not None and isinstance(values, np.ndarray):
                    values.tofile(file := folder / str(i))
                    values = file, values.dtype
                held[name] = values
            for i in range(0, len(rows), BATCH):
                yield self._batch({name: _slice(c, i) for name, c in held.items()})

    def _taken(self, name: str, rows: np.ndarray) -> Any:
        """A column at some rows: numbers, codes of images, or what Arrow alone can hold."""
        if name == "image" and self._table is None:
            return at(self.coded()[1], rows)
        values = self._dense(name)
        return self.arrow(name).take(arrow(rows, np.int64)) if values is None else at(values, rows)

    @cached_property
    def _dictionary(self) -> pa.Array:
        return pa.array(self._names, pa.string())

    def _batch(self, columns: dict[str, Any]) -> pa.Table:
        made = []
        for name, values in columns.items():
            if isinstance(values, np.ndarray):
                array = arrow(values, values.dtype.type)
                values = self._dictionary.take(array) if name == "image" else array
            made.append(values)
        return pa.table(made, schema=self.schema)


def _slice(held: Any, i: int) -> Any:
    if not isinstance(held, tuple):
        return held[i : i + BATCH]
    path, dtype = held
    return np.fromfile(path, dtype, BATCH, offset=i * dtype.itemsize)


def _unsorted(part: pa.Table, places: list[str], begins: np.ndarray, last: dict[str, Any]) -> bool:
    """Whether the rows of an image are in another order than that of a score table, or one of them occurs twice.

    ``last`` has the columns ``places``, by which rows are sorted, of the row before those of ``part``, and gets those
    of its last one; ``begins`` are the rows at which another image begins.
    """
    before, same = np.zeros(len(part), bool), np.ones(len(part), bool)
    for name in places:
        values = numbers(part.column(name)).astype(np.float64)
        steps = np.diff(values, prepend=last.get(name, np.nan)) * (-1 if name == COLUMN else 1)
        before |= same & (steps < 0)
        same &= steps == 0
        last[name] = values[-1]
    before |= same
    before[begins] = False
    return bool(before.any())


def _coded(path: Path, column: pa.ChunkedArray) -> tuple[list[Any], np.ndarray]:
    if column.null_count:
        raise InputError(f"{path}: column 'image': expected no missing values")
    whole = column.unify_dictionaries().combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    try:
        return whole.dictionary.to_pylist(), numbers(pa.chunked_array([whole.indices]))
    except UnicodeDecodeError:
        raise InputError(f"{path}: column 'image': expected names in UTF-8") from None
