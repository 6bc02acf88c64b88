"""Score tables: one row per patch, with the settings of their making in the file's metadata."""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.data import provenance
from srfast.data.files import output_file
from srfast.data.images import stays_inside
from srfast.data.parquet import Writer, opened
from srfast.data.shrink import COLUMN, sizes_of
from srfast.errors import InputError
from srfast.scoring.metadata import check_meta
from srfast.scoring.rows import Rows
from srfast.scoring.scored import check_places
from srfast.scoring.settings import COMPARED

VERSION = 1
log = logging.getLogger(__name__)
KEY = provenance.KEY
SUM = b"srfast.crc32"
"""Key of the CRC-32 of a table's JSON object, which the pages' own checksums do not cover."""

SCHEMA = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        pa.field("x", pa.int32(), nullable=False),
        pa.field("y", pa.int32(), nullable=False),
        pa.field("size", pa.int32(), nullable=False),
        pa.field("loss", pa.float32(), nullable=False),
        pa.field("bicubic", pa.float32(), nullable=False),
        pa.field("sobel", pa.float32(), nullable=False),
    ]
)
BLOCKINESS = SCHEMA.append(pa.field("blockiness", pa.float32(), nullable=False))
"""The column of a run with the setting ``blockiness``."""
SHRINK = pa.field(COLUMN, pa.float32(), nullable=False)
"""The column of images that were scored at several sizes; 1 is the whole image."""


def with_shrink(schema: pa.Schema) -> pa.Schema:
    """The schema with the column ``shrink`` after ``size``."""
    return schema.insert(schema.get_field_index("size") + 1, SHRINK)


def defect_field(name: str) -> pa.Field:
    """A column of ``score --defects``; null where it cannot be known."""
    return pa.field(name, pa.float32())


ROW_GROUP = 1 << 18
"""Rows of a row group; the number is fixed, so that a table's bytes do not depend on how it was produced."""
LIMITS = provenance.LIMITS
MOST_SHARDS = 1 << 20
CHECKED = {"compression": "zstd", "write_page_checksum": True}
"""Options by which every table is written, with a CRC-32 of every page, which reading verifies."""


class ScoreTable(Rows):
    """Scores of patches, one row per patch.

    The columns are ``image`` (path relative to the root, with POSIX separators), ``x``, ``y``, ``size`` (int32, HR
    pixels, top-left corner), ``loss``, ``bicubic`` (float32, mean squared error on Y in units of [0, 255]^2), ``sobel``
    (float32, mean of 0.5 |Gx| + 0.5 |Gy| on Y); ``blockiness`` (float32, 0..100) or the columns of
    ``srfast.scoring.defects`` if they were asked for; then joined columns. Rows are in path order, then by y, then by
    x. If images were scored at several sizes, ``shrink`` (float32, 1 = full size) follows ``size``, and x, y and size
    are pixels of the shrunk image; the rows of an image are then sorted by its size first, the largest first.
    """

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ScoreTable:
        """Reads scores.parquet, or a folder of parts (part-*.parquet) as one table.

        Raises:
            InputError: the file is not there, not a score table, of another version or damaged, has paths that leave
                the root, or parts do not belong together.
        """
        table, meta = read_parquet(path)
        check_columns(path, table, SCHEMA)
        check_paths(path, table)
        sizes_of(table, meta, path)
        return cls(table.select(with_extras(SCHEMA, table.schema).names), meta)

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
    found = []
    paths = part_files(folder)
    for path in paths:
        table, meta = _read_file(path)
        check_columns(path, table, SCHEMA)
        found.append(ScoreTable(table.select(with_extras(SCHEMA, table.schema).names), about_images(meta)))
    names = [str(path) for path in paths]
    check_together(names, [t.meta for t in found], [t.table.schema for t in found])
    ends = [(t.table["image"][0].as_py(), t.table["image"][-1].as_py()) for t in found if len(t)]
    if any(ends[i][1] >= ends[i + 1][0] for i in range(len(ends) - 1)):
        table = concatenate(found, names).table
    else:
        table = pa.concat_tables([t.table.replace_schema_metadata(None) for t in found])
    return table, joined_meta([t.meta for t in found])


def part_files(folder: Path) -> list[Path]:
    """The parts of a table that is a folder, in order; raises InputError if some are missing or the run is not over."""
    if folder.name.endswith(".parts"):
        raise InputError(f"{folder}: belongs to a run that has not ended; `srfast score --resume` ends it")
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise InputError(f"{folder}: expected a score table, got a folder without part-*.parquet")
    wanted = _listed(folder)
    if missing := sorted(wanted - {path.name for path in paths}):
        raise InputError(f"{folder}: {len(missing)} of {len(wanted)} parts are missing, {missing[0]} for one")
    return paths


def _listed(folder: Path) -> set[str]:
    """The parts that a folder had when its run ended; none if files were put together by hand."""
    try:
        return set(json.loads((folder / provenance.MARK).read_bytes())["parts"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def about_images(meta: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a part in the form of a score table: its records become images, skipped and small."""
    if "records" not in meta:
        return meta
    rest = {k: v for k, v in meta.items() if k not in ("records", "run")}
    return {**rest, **of_records(meta["records"])}


def of_records(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Records as the images, skipped and small of a score table's metadata."""
    records = list(records)
    return {
        "images": {r["image"]: {k: r[k] for k in ("size", "mtime_ns", "lr", "rows") if k in r} for r in records},
        "skipped": [{"image": r["image"], "reason": r["skipped"]} for r in records if r["skipped"]],
        "small": [{"image": r["image"], "height": r["small"][0], "width": r["small"][1]} for r in records if r["small"]]
        + [
            {"image": r["image"], "shrink": size, "height": h, "width": w}
            for r in records
            for size, (h, w) in r.get("small_at", {}).items()
        ],
    }


def records_of(meta: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a finished table, the inverse of ``of_records``."""
    skipped = {e["image"]: e["reason"] for e in meta["skipped"]}
    small = {e["image"]: (e["height"], e["width"]) for e in meta["small"] if "shrink" not in e}
    at: dict[str, dict[str, Any]] = {}
    for e in meta["small"]:
        if "shrink" in e:
            at.setdefault(e["image"], {})[e["shrink"]] = (e["height"], e["width"])
    return [
        {"image": name, **state, "skipped": skipped.get(name), "small": small.get(name)}
        | ({"small_at": at[name]} if name in at else {})
        for name, state in sorted(meta["images"].items())
    ]


def clean_json(value: Any) -> Any:
    """A value as JSON returns it, so that settings compare equal to those of a file."""
    return json.loads(json.dumps(value))


def _read_file(path: str | os.PathLike[str]) -> tuple[pa.Table, dict[str, Any]]:
    with opened(path) as file:
        table = file.read()
    return table, parse_meta(path, table.schema.metadata)


def read_metadata(path: Path) -> dict[bytes, bytes] | None:
    """The key-value metadata of a parquet file, without its rows."""
    with opened(path, whole=False) as file:
        return file.schema_arrow.metadata


def parse_meta(path: str | os.PathLike[str], metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    try:
        encoded = (metadata or {})[KEY]
        if _sum(encoded) != (metadata or {}).get(SUM, _sum(encoded)):
            raise InputError(f"{path}: not a readable parquet file (its metadata have been damaged)")
        meta = json.loads(encoded)
        version = meta["version"]
    except InputError:
        raise
    except (KeyError, ValueError, TypeError, RecursionError):
        raise InputError(
            f"{path}: expected a table written by srfast, got a parquet file without its metadata"
        ) from None
    if version != VERSION:
        raise InputError(
            f"{path}: expected version {VERSION} of the table format, got {version!r}; score the images again"
        )
    check_meta(path, meta, encoded)
    return dict(meta)


def check_scored(name: str | os.PathLike[str], meta: dict[str, Any]) -> None:
    """Refuses a core-set if a score table is to be read."""
    if provenance.kind_of_table(meta) == "core-set":
        raise InputError(f"{name}: expected a score table, got a core-set; take the table it was selected from")


def with_extras(schema: pa.Schema, found: pa.Schema) -> pa.Schema:
    """The columns of a schema, with ``shrink`` after ``size``, then the others of a table; ``rank`` is a core-set's."""
    if COLUMN in found.names and COLUMN not in schema.names:
        schema = with_shrink(schema)
    extras = [f for f in found if f.name not in schema.names and f.name != "rank"]
    return pa.schema([*schema, *(f.remove_metadata() for f in extras)])


def numeric_columns(schema: pa.Schema) -> list[str]:
    """Names of the columns that hold numbers."""
    return [f.name for f in schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]


def check_columns(path: str | os.PathLike[str], table: pa.Table, schema: pa.Schema) -> None:
    for field in schema:
        if field.name not in table.schema.names:
            raise InputError(f"{path}: expected a column {field.name!r} of {field.type}, got none")
        column = table.schema.field(field.name)
        if column.type != field.type:
            raise InputError(f"{path}: column {field.name!r}: expected {field.type}, got {column.type}")
        if table.column(field.name).null_count:
            raise InputError(f"{path}: column {field.name!r}: expected no missing values")
    check_places(path, table)


def check_paths(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Refuses image paths that could lead outside the root."""
    try:
        names = table.column("image").unique().to_pylist()
    except UnicodeDecodeError:
        raise InputError(f"{path}: column 'image': expected names in UTF-8") from None
    for name in names:
        if not stays_inside(name):
            raise InputError(f"{path}: image {name!r}: expected a path inside the root")


def file_metadata(meta: dict[str, Any]) -> dict[bytes, bytes]:
    """The key-value metadata of a table's file."""
    encoded = encode_meta(meta)
    return {KEY: encoded, SUM: _sum(encoded)}


def _sum(encoded: bytes) -> bytes:
    return b"%08x" % zlib.crc32(encoded)


def encode_meta(meta: dict[str, Any]) -> bytes:
    return json.dumps(meta, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


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
    with (
        output_file(path, kind, inputs, aside) as temporary,
        Writer(temporary, schema, **CHECKED) as writer,
    ):
        pending: list[pa.Table] = []
        rows = 0
        for table in tables:
            pending.append(table.replace_schema_metadata(None))
            rows += table.num_rows
            while rows >= ROW_GROUP:
                joined = pa.concat_tables(pending)
                _write_group(writer, joined.slice(0, ROW_GROUP), schema)
                pending = [joined.slice(ROW_GROUP)]
                rows -= ROW_GROUP
        if rows:
            _write_group(writer, pa.concat_tables(pending), schema)


def _write_group(writer: Writer, table: pa.Table, schema: pa.Schema) -> None:
    if not table.schema.equals(schema):
        table = table.cast(schema)  # imports pyarrow.compute (60 ms), which scoring can do without
    writer.write_table(table.combine_chunks(), row_group_size=ROW_GROUP)


def arrow(values: np.ndarray, dtype: type[np.generic]) -> pa.Array:
    """A column of numbers, made without ``pa.array``, which imports pandas (0.4 s) if that is installed."""
    values = np.ascontiguousarray(values, dtype)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def concatenate(tables: Sequence[ScoreTable], names: Sequence[str] | None = None) -> ScoreTable:
    """Puts tables of one dataset together, in the order that one run would have given.

    Raises:
        InputError: settings or roots differ, or a patch occurs twice; the message names the setting and the tables.
    """
    if not tables:
        raise InputError("scores: expected at least one table, got none")
    if len(tables) == 1:
        warn_of_missing([tables[0].meta])
        return tables[0]
    names = list(names or [f"table {i}" for i in range(len(tables))])
    check_together(names, [t.meta for t in tables], [t.table.schema for t in tables])
    table = pa.concat_tables([t.table.replace_schema_metadata(None) for t in tables])
    several = COLUMN in table.schema.names
    by_size = [(COLUMN, "descending")] if several else []
    table = table.sort_by([("image", "ascending"), *by_size, ("y", "ascending"), ("x", "ascending")])
    image, x, y = (table.column(c).combine_chunks() for c in ("image", "x", "y"))
    if len(table) > 1:
        code = image.dictionary_encode().indices.to_numpy()
        xs, ys = x.to_numpy(), y.to_numpy()
        same = (code[1:] == code[:-1]) & (xs[1:] == xs[:-1]) & (ys[1:] == ys[:-1])
        if several:
            size = table.column(COLUMN).combine_chunks().to_numpy()
            same &= size[1:] == size[:-1]
        if same.any():
            i = int(same.argmax())
            raise InputError(
                f"{', '.join(names)}: the patch at x={xs[i]}, y={ys[i]} of {image[i].as_py()!r} "
                "occurs in more than one table"
            )
    metas = [t.meta for t in tables]
    warn_of_missing(metas)
    return ScoreTable(table, joined_meta(metas))


def check_together(names: Sequence[str], metas: Sequence[dict[str, Any]], schemas: Sequence[pa.Schema]) -> None:
    """Refuses tables with other settings, root or columns than the first; the message names the difference."""
    for name, meta, schema in zip(names[1:], metas[1:], schemas[1:], strict=True):
        for setting in ("root", *COMPARED, "backend", "decoder"):
            if meta.get(setting) != metas[0].get(setting):
                raise InputError(
                    f"{name}: {setting} differs: {names[0]} has {metas[0].get(setting)!r}, "
                    f"this table has {meta.get(setting)!r}"
                )
        if schema.remove_metadata() != schemas[0].remove_metadata():
            raise InputError(
                f"{name}: columns differ: {names[0]} has {', '.join(schemas[0].names)}, "
                f"this table has {', '.join(schema.names)}"
            )


def joined_meta(metas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The metadata of tables that are put together."""
    meta = dict(metas[0])
    images: dict[str, Any] = {}
    for one in metas:
        images.update(one.get("images", {}))
    meta["images"] = dict(sorted(images.items()))
    for key in ("skipped", "small"):
        meta[key] = sorted((item for one in metas for item in one.get(key, [])), key=lambda e: str(e["image"]))
    if len({str(one.get("shard")) for one in metas}) > 1:
        meta["shard"] = None
    return meta


def warn_of_missing(metas: Sequence[dict[str, Any]]) -> None:
    """Warns if some shards of a dataset are missing, since that leaves out patches nobody asked to leave out."""
    shards: list[Any] = [meta.get("shard") for meta in metas]
    if not all(isinstance(s, list) and len(s) == 2 and s[1] == shards[0][1] for s in shards):
        return
    if not all(type(i) is int and type(n) is int and 0 <= i <= n and 0 < n <= MOST_SHARDS for i, n in shards):
        return
    n = shards[0][1]
    missing = sorted(set(range(n)) - {i % n for i, _ in shards})
    if missing:
        few = ", ".join(f"{i}/{n}" for i in missing[:5]) + (", ..." if len(missing) > 5 else "")
        log.warning("scores: %d of %d shards are missing (%s); their images count as if they were not there",
                    len(missing), n, few)  # fmt: skip
