"""Parquet files from elsewhere: what they claim to hold, before it is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from srfast.errors import InputError

if TYPE_CHECKING:
    import pyarrow.parquet as pq


def check_claims(path: str | os.PathLike[str], file: pq.ParquetFile) -> None:
    """Refuses a file that would unpack to more than this machine's memory, judged by its footer alone.

    A run of equal values takes a few bytes however long it is, so that a file of kilobytes can claim billions of rows.

    Raises:
        InputError: names the file, the rows and the bytes.
    """
    about = file.metadata
    widths = [_width(field.type) for field in file.schema_arrow]
    unpacked = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    needed, there = max(int(about.num_rows * sum(widths)), unpacked), _memory()
    if there and needed > there:
        raise InputError(
            f"{path}: refused, its {about.num_rows:,} rows would take {needed >> 20:,} MiB of memory; "
            f"there are {there >> 20:,}"
        )


def _width(kind: object) -> float:
    """Bytes of a value at least; a text takes its offset."""
    try:
        return kind.bit_width / 8  # type: ignore[attr-defined]
    except ValueError:
        return 4


def _memory() -> int:
    """Bytes of this machine's memory; 0 where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
