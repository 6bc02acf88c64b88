"""Parquet files: what they claim to hold is judged before it is read, and the checksum of every page is verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from srfast.data.atomic import write_all
from srfast.data.files import check_input
from srfast.data.provenance import LIMITS
from srfast.errors import InputError, RunError


@contextmanager
def opened(path: str | os.PathLike[str], *, whole: bool = True, **options: Any) -> Iterator[pq.ParquetFile]:
    """Opens a parquet file for reading, as a ``whole`` or one row group at a time; pages that carry a CRC-32 are
    verified. ``options`` are those of ``pyarrow.parquet.ParquetFile``. Raises InputError if it is not a file, not
    readable as parquet (also while it is read), or ``check_claims`` refuses it."""
    check_input(path, "a parquet file")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, **LIMITS, **options) as file:
            check_claims(path, file, whole=whole)
            check_names(path, file.schema_arrow)
            yield file
    except MemoryError:
        raise RunError(f"{path}: not enough memory to read it") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if "launch worker thread" in str(error):
            raise RunError(f"{path}: not enough memory to read it") from None
        raise InputError(f"{path}: not a readable parquet file ({reason(error)})") from None


def reason(error: Exception) -> str:
    """Why a file cannot be read, in a few words: the system's own where it is the system that says so, not Arrow's."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return " ".join(str(error).split())[:120]


def check_names(name: str | os.PathLike[str], schema: pa.Schema) -> None:
    """Refuses a table with two columns of the same name, or of names that differ only in case, which SQL does not
    distinguish."""
    seen: dict[str, str] = {}
    for column in schema.names:
        if (other := seen.get(column.lower())) is not None:
            twice = f"column {column!r} occurs twice"
            what = twice if other == column else f"columns {other!r} and {column!r} differ only in case"
            raise InputError(f"{name}: {what}", hint="rename one of the two")
        seen[column.lower()] = column


class TableWriter:
    """A parquet file for writing, which raises the system's error once.

    (After a write that failed, pyarrow's own writer tries to write the rest again when it is closed and when it is
    collected, and reports that on stderr.)

    The schema's metadata, which list every image, become the file's. pyarrow would write them twice, once within its
    own schema, which only types need that parquet does not have.
    """

    def __init__(self, path: str | os.PathLike[str], schema: pa.Schema, **options: Any) -> None:
        plain = all(map(_is_plain, schema.types))
        self._sink, self._metadata = _Sink(path), schema.metadata if plain else None
        given = schema.remove_metadata() if plain else schema
        self._writer = pq.ParquetWriter(self._sink, given, store_schema=not plain, **options)

    def write_table(self, table: pa.Table, row_group_size: int | None = None) -> None:
        self._writer.write_table(table, row_group_size)

    def close(self) -> None:
        """Completes the file. A second call does nothing."""
        if self._writer.is_open and self._metadata:
            self._writer.add_key_value_metadata(self._metadata)
        self._writer.close()
        self._sink.file.close()

    def give_up(self) -> None:
        """Closes the file without completing it."""
        self._sink.file.close()
        with suppress(Exception):
            self._writer.close()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.give_up()


class _Sink:
    """The file below a ``TableWriter``; after its first error, or when it is closed, it accepts everything and writes
    nothing."""

    closed = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.file = open(path, "wb", buffering=0)

    def write(self, data: Any) -> int:
        if not self.file.closed:
            try:
                write_all(self.file, data)
            except BaseException:
                self.file.close()
                raise
        return len(data)

    def flush(self) -> None:
        """Nothing is held."""


def _is_plain(kind: pa.DataType) -> bool:
    """Whether parquet has this type itself, so that reading gives it back without Arrow's schema."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_string(kind) or types.is_boolean(kind))


def check_claims(path: str | os.PathLike[str], file: pq.ParquetFile, *, whole: bool = True) -> None:
    """Refuses a file of which all rows (``whole``), or those of one row group, would unpack to more than this machine's
    memory, by its footer alone.

    A run of equal values takes a few bytes however long it is, so that a file of kilobytes can claim billions of rows.
    Raises InputError if it claims too much; the message names the file, the rows and the bytes.
    """
    about = file.metadata
    width = sum(_width(field.type) for field in file.schema_arrow)
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    claims = [(int(g.num_rows), int(g.total_byte_size)) for g in groups]
    if whole:
        claims = [(int(about.num_rows), sum(size for _, size in claims))]
    available = _memory()
    for rows, unpacked in claims:
        needed = max(int(rows * width), unpacked)
        if available and needed > available:
            raise InputError(
                f"{path}: refused, its {rows:,} rows would take {needed >> 20:,} MiB of memory; "
                f"this machine has {available >> 20:,}"
            )


def _width(kind: object) -> float:
    """Least number of bytes of a value; for a text that of its offset."""
    try:
        return kind.bit_width / 8  # type: ignore[attr-defined]
    except ValueError:
        return 4


def _memory() -> int:
    """Bytes of this machine's memory; 0 if it is unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
