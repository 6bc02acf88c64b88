"""Score tables: one row per patch, with the settings of their making in the file's metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.data import provenance
from srfast.data.files import PARTS, output_file
from srfast.data.images import stays_inside
from srfast.data.parquet import TableWriter, check_names, opened
from srfast.data.shrink import COLUMN, sizes_of
from srfast.errors import InputError
from srfast.scoring.metadata import check_together, checked_shards, file_metadata, joined_meta, parse_meta
from srfast.scoring.rows import Rows, is_frame, numbers, of_frame

SCHEMA = pa.schema(
    [pa.field("image", pa.string(), nullable=False)]
    + [pa.field(name, pa.int32(), nullable=False) for name in ("x", "y", "size")]
    + [pa.field(name, pa.float32(), nullable=False) for name in ("loss", "bicubic", "sobel")]
)
PLACES = pa.schema(list(SCHEMA)[:4])
"""The columns that say where patches lie."""
SHRINK = pa.field(COLUMN, pa.float32(), nullable=False)
"""The column of images that were scored at several sizes; 1 is the whole image."""


def with_shrink(schema: pa.Schema) -> pa.Schema:
    """The schema with the column ``shrink`` after ``size``."""
    return schema.insert(schema.get_field_index("size") + 1, SHRINK)


FARTHEST = 1 << 30
"""Largest coordinate in pixels: no image that is read is as large, and the sum of two fits into 32 bits."""
ROW_GROUP = 1 << 18
"""Rows of a row group; the number is fixed, so that a table's bytes do not depend on how it was produced."""
TOGETHER = 512
"""Tables that are put into one before more are taken: one of few rows takes kilobytes."""
CHECKED = {"compression": "zstd", "write_page_checksum": True}
"""Options by which every table is written, with a CRC-32 of every page, which reading verifies."""


class ScoreTable(Rows):
    """Scores of patches, one row per patch.

    The columns are ``image`` (path relative to the root, with POSIX separators), ``x``, ``y``, ``size`` (int32, HR
    pixels, top-left corner), ``loss``, ``bicubic`` (float32, mean squared error on Y in units of [0, 255]^2), ``sobel``
    (float32, mean of 0.5 |Gx| + 0.5 |Gy| on Y); ``blockiness`` (float32, 0..100) or the columns of
    ``srfast.scoring.defect_columns`` if requested; then joined columns. Rows are in path order, then by y, then by x.
    If images were scored at several sizes, ``shrink`` (float32, 1 = full size) follows ``size``, and x, y and size are
    pixels of the shrunk image; the rows of an image are then sorted by its size first, the largest first.
    """

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ScoreTable:
        """Reads scores.parquet, or a folder of parts (part-*.parquet) as one table.

        The rows of a core-set are read too, in its order and without their ``rank``.

        Raises:
            InputError: the file is not there, not a table of scores, of another version or damaged, has paths that
                leave the root, or parts do not belong together.
        """
        table, meta = read_parquet(path)
        return cls(checked(path, table, meta), meta)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes scores.parquet, whole or not at all. It replaces only another score table."""
        write_parquet(path, [self.table], with_extras(SCHEMA, self.table.schema), self.meta)


def read_parquet(path: str | os.PathLike[str]) -> tuple[pa.Table, dict[str, Any]]:
    """Reads a parquet file of srfast, or a folder of parts: its table and the JSON object under the key ``srfast``."""
    if os.path.isdir(path):
        return _read_folder(Path(path))
    return _read_file(path)


def _read_folder(folder: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Reads parts one after another; those of shards, whose images interleave, are sorted into one order."""
    tables, metas = [], []
    paths = part_files(folder)
    for path in paths:
        table, meta = _read_file(path)
        check_columns(path, table, SCHEMA)
        tables.append(table.select(with_extras(SCHEMA, table.schema).names))
        metas.append(meta)
    names = [str(path) for path in paths]
    check_together(names, metas, [t.schema for t in tables])
    ends = [(t["image"][0].as_py(), t["image"][-1].as_py()) for t in tables if len(t)]
    follow = all(a[1] < b[0] for a, b in pairwise(ends))
    whole = pa.concat_tables([t.replace_schema_metadata(None) for t in tables]) if follow else in_order(tables, names)
    return whole, joined_meta(metas)


def part_files(folder: Path) -> list[Path]:
    """The parts of a table that is a folder, in order; raises InputError if some are missing or the run is not over."""
    if folder.name.endswith(PARTS):
        raise InputError(f"{folder}: is of a run that is not finished", hint="`srfast score --resume` finishes it")
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise InputError(f"{folder}: expected a score table, got a folder without part-*.parquet")
    try:
        wanted = set(json.loads((folder / provenance.MARK).read_bytes())["parts"])
    except (OSError, ValueError, KeyError, TypeError):  # files that were put together by hand
        wanted = set()
    if missing := sorted(wanted - {path.name for path in paths}):
        raise InputError(f"{folder}: {len(missing)} of {len(wanted)} parts are missing, such as {missing[0]}")
    return paths


def in_order(tables: Sequence[pa.Table], names: Sequence[str]) -> pa.Table:
    """The rows of several tables of a dataset, in the order that one run would have given. Raises InputError if a patch
    occurs twice."""
    table = pa.concat_tables([t.replace_schema_metadata(None) for t in tables])
    by_size = [(COLUMN, "descending")] if COLUMN in table.schema.names else []
    order = [("image", "ascending"), *by_size, ("y", "ascending"), ("x", "ascending")]
    table = table.sort_by(order)
    same = np.ones(max(0, len(table) - 1), bool)
    for name, _ in order:
        column = table.column(name).combine_chunks()
        values = (column.dictionary_encode().indices if name == "image" else column).to_numpy()
        same &= values[1:] == values[:-1]
    if same.any():
        twice = table.slice(int(same.argmax()), 1).to_pylist()[0]
        raise InputError(
            f"{', '.join(names)}: the patch at x={twice['x']}, y={twice['y']} of {twice['image']!r} "
            "occurs in more than one table"
        )
    return table


def _read_file(path: str | os.PathLike[str]) -> tuple[pa.Table, dict[str, Any]]:
    with opened(path) as file:
        table = file.read()
    return table, parse_meta(path, table.schema.metadata)


def check_scored(name: str | os.PathLike[str], meta: dict[str, Any]) -> None:
    """Refuses a core-set if a score table is to be read."""
    if provenance.kind_of_table(meta) == "core-set":
        raise InputError(f"{name}: expected a score table, got a core-set", hint="take the table it was selected from")


def check_new(scores: ScoreTable, columns: Iterable[str]) -> None:
    """Refuses a core-set, a table without rows, and one that has one of these columns already."""
    check_scored("scores", scores.meta)
    for column in columns:
        if column in scores.columns:
            raise InputError(f"scores: column {column!r} exists already", hint="take the table without it")
    if not len(scores):
        raise InputError("scores: expected at least one patch, got an empty table")


def with_extras(schema: pa.Schema, stored: pa.Schema) -> pa.Schema:
    """The columns of a schema, with ``shrink`` after ``size``, then the others of a table; ``rank`` is a core-set's."""
    if COLUMN in stored.names and COLUMN not in schema.names:
        schema = with_shrink(schema)
    extras = [f for f in stored if f.name not in schema.names and f.name != "rank"]
    return pa.schema([*schema, *(f.remove_metadata() for f in extras)])


def numeric_columns(schema: pa.Schema) -> list[str]:
    """Names of the columns that hold numbers."""
    return [f.name for f in schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]


def checked(
    name: str | os.PathLike[str], table: pa.Table, meta: dict[str, Any], schema: pa.Schema = SCHEMA, exact: bool = True
) -> pa.Table:
    """The rows of a score table, or of a core-set by its schema, without columns that are not theirs. Raises InputError
    if a column is missing, or has wrong values; only if ``exact`` do whole numbers have the bits of the schema."""
    check_columns(name, table, schema, exact)
    check_paths(name, table)
    sizes_of(table, meta, name)
    return table.select(with_extras(schema, table.schema).names)


def check_columns(path: str | os.PathLike[str], table: pa.Table, schema: pa.Schema, exact: bool = True) -> None:
    for field in schema:
        if field.name not in table.schema.names:
            raise InputError(f"{path}: expected a column {field.name!r} of {field.type}, got none")
        column = table.schema.field(field.name)
        coded = pa.types.is_dictionary(column.type) and column.type.value_type == field.type
        other = not exact and pa.types.is_integer(field.type)  # as ``check_places`` says
        if column.type != field.type and not (coded or other):
            raise InputError(f"{path}: column {field.name!r}: expected {field.type}, got {column.type}")
        if table.column(field.name).null_count and not field.nullable:
            raise InputError(f"{path}: column {field.name!r}: expected no missing values")
    if {"x", "y", "size"} <= set(schema.names):
        check_places(path, table)


def check_places(name: str | os.PathLike[str], table: pa.Table) -> None:
    """Refuses patches that lie in no image, whatever its size. Raises InputError if a coordinate is missing, not a
    whole number, negative or beyond ``FARTHEST``, or a size is below 1."""
    for column, least in (("x", 0), ("y", 0), ("size", 1)):
        values = table.column(column)
        if not pa.types.is_integer(values.type):
            raise InputError(f"{name}: column {column!r}: expected whole numbers, got {values.type}")
        if values.null_count:
            raise InputError(f"{name}: column {column!r}: expected no missing values")
        integers = numbers(values)
        if not len(integers):
            continue
        smallest, largest = integers.min(), integers.max()
        if smallest < least:
            raise InputError(f"{name}: column {column!r}: expected at least {least}, got {smallest}")
        if largest > FARTHEST:
            raise InputError(f"{name}: column {column!r}: expected at most {FARTHEST}, got {largest}")


def check_paths(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Refuses image paths that could lead outside the root."""
    try:
        names = table.column("image").unique().to_pylist()
    except UnicodeDecodeError:
        raise InputError(f"{path}: column 'image': expected names in UTF-8") from None
    for name in names:
        if not stays_inside(name):
            raise InputError(f"{path}: image {name!r}: expected a path inside the root")


def write_parquet(
    path: str | os.PathLike[str],
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    meta: dict[str, Any],
    aside: Path | None = None,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Streams tables into one parquet file with row groups of ROW_GROUP rows, through ``output_file``.

    The bytes depend only on the rows and the metadata, not on how the rows were split over ``tables``. The metadata
    determine the kind of output, and so what it may replace: ``kind``, or else a core-set if there is a selection, or
    else a score table.
    """
    schema = schema.with_metadata(file_metadata(meta))
    kind = provenance.kind_of_table(meta)
    with output_file(path, kind, inputs, aside) as temporary, TableWriter(temporary, schema, **CHECKED) as writer:
        pending: list[pa.Table] = []
        fresh: list[pa.Table] = []
        rows = 0
        for table in tables:
            fresh.append(table.replace_schema_metadata(None))
            rows += table.num_rows
            if len(fresh) == TOGETHER or rows >= ROW_GROUP:
                pending.append(fresh[0] if len(fresh) == 1 else pa.concat_tables(fresh).combine_chunks())
                fresh = []
            while rows >= ROW_GROUP:
                joined = pa.concat_tables(pending)
                _write_group(writer, joined.slice(0, ROW_GROUP), schema)
                pending = [joined.slice(ROW_GROUP)]
                rows -= ROW_GROUP
        if rows:
            _write_group(writer, pa.concat_tables([*pending, *fresh]), schema)


def _write_group(writer: TableWriter, table: pa.Table, schema: pa.Schema) -> None:
    if not table.schema.equals(schema):
        table = table.cast(schema)  # imports pyarrow.compute (60 ms), which scoring can do without
    writer.write_table(table.combine_chunks(), row_group_size=ROW_GROUP)


def arrow(values: np.ndarray, dtype: type[np.generic]) -> pa.Array:
    """A column of numbers, made without ``pa.array``, which imports pandas (0.4 s) if that is installed."""
    values = np.ascontiguousarray(values, dtype)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def is_rows(value: object) -> bool:
    """Whether a value is a table in memory: rows, a DataFrame of pandas or polars, or an Arrow table."""
    return isinstance(value, (Rows, pa.Table)) or is_frame(value)


def rows_of(source: Any, name: str = "scores") -> tuple[str, pa.Table, dict[str, Any]]:
    """The name (for messages), the rows and the metadata of a table, as every function takes it: a score table or a
    core-set itself, its path, a folder of its parts, a DataFrame that carries its metadata, or an Arrow table with
    them. Raises InputError if it is none of these, cannot be read, or carries no metadata."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source), *read_parquet(source)
    if isinstance(source, Rows) or isinstance(getattr(source, "table", None), pa.Table):
        return name, source.table, source.meta
    if isinstance(source, pa.Table):
        check_names(name, source.schema)
        return name, source, parse_meta(name, source.schema.metadata)
    if is_frame(source):
        return name, *of_frame(name, source, SCHEMA)
    raise InputError(f"{name}: expected a table, its path or a DataFrame, got {type(source).__name__}")


def sources(scores: Any) -> list[Any]:
    """The tables, DataFrames and paths that a caller gives as scores. Raises InputError if something else is given."""
    several = isinstance(scores, Iterable) and not isinstance(scores, (str, os.PathLike, Mapping))
    listed = list(scores) if several and not is_rows(scores) else [scores]
    for source in listed:
        if not (isinstance(source, (str, os.PathLike)) or is_rows(source)):
            raise InputError(f"scores: expected a score table, its path or a DataFrame, got {type(source).__name__}")
    return listed


def names_of(given: Sequence[Any]) -> list[str]:
    """The names of such tables in messages."""
    return [os.fspath(s) if isinstance(s, (str, os.PathLike)) else f"table {i}" for i, s in enumerate(given)]


def one_table(scores: Any, *, coresets: bool = False, allow_missing_shards: bool = False) -> ScoreTable:
    """The score table that a caller gives, as for ``sources``; several are shards. With ``coresets``, a core-set will
    do. Raises InputError if there is none, a file cannot be read, a DataFrame carries no metadata, shards do not belong
    together, or some are missing without ``allow_missing_shards``."""
    given, tables = sources(scores), []
    for name, source in zip(names_of(given), given, strict=True):
        _, table, meta = rows_of(source)
        if not isinstance(source, Rows):
            about = name if isinstance(source, (str, os.PathLike)) else "scores"
            table, schema = checked(about, table, meta), with_extras(SCHEMA, table.schema)
            table = table if table.schema.equals(schema) else table.cast(schema)
        if not coresets:
            check_scored(name, meta)
        tables.append(ScoreTable(table, meta))
    return concatenate(tables, names_of(given), allow_missing_shards)


def concatenate(
    tables: Sequence[ScoreTable], names: Sequence[str] | None = None, allow_missing_shards: bool = False
) -> ScoreTable:
    """Puts tables of one dataset together, in the order that one run would have given. Raises InputError if settings or
    roots differ, a patch occurs twice, or shards are missing; the message names the setting, the tables or the
    shards."""
    if not tables:
        raise InputError("scores: expected at least one table, got none")
    metas, rows = [t.meta for t in tables], [t.table for t in tables]
    if len(tables) > 1:
        names = list(names or [f"table {i}" for i in range(len(tables))])
        check_together(names, metas, [t.schema for t in rows])
        rows = [in_order(rows, names)]
    return ScoreTable(rows[0], checked_shards(metas, allow_missing_shards))


def schema_with(more: Iterable[str], several_sizes: bool) -> pa.Schema:
    """The columns of a run, with ``blockiness`` alone or those of the defects, which are null where they cannot be
    known."""
    names = list(more)
    schema = pa.schema([*SCHEMA, *(pa.field(n, pa.float32(), nullable=names != ["blockiness"]) for n in names)])
    return with_shrink(schema) if several_sizes else schema


def repeated(text: str, n: int) -> pa.Array:
    """A column that holds one string n times, made without ``pa.repeat`` for the reason given at ``arrow``."""
    data = text.encode()
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(len(data))
    return pa.Array.from_buffers(pa.string(), n, [None, pa.py_buffer(offsets), pa.py_buffer(data * n)])


def nullable(values: np.ndarray) -> pa.Array:
    """A float32 column whose NaN become null, made without ``pa.array`` for the reason given at ``arrow``."""
    values = np.ascontiguousarray(values, np.float32)
    missing = np.isnan(values)
    if not missing.any():
        return arrow(values, np.float32)
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(pa.float32(), len(values), [valid, pa.py_buffer(values)], int(missing.sum()))
