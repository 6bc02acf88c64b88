"""The columns that a run writes, and the rows of an image in these columns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.data.grid import Grid
from srfast.data.shrink import COLUMN
from srfast.scoring.backends.protocol import Scores
from srfast.scoring.defects.thresholds import names
from srfast.scoring.table import BLOCKINESS, SCHEMA, arrow, defect_field, with_shrink


def schema_of(settings: Mapping[str, Any]) -> pa.Schema:
    """The columns of a run with these settings, as the schema of a table."""
    if settings.get("defects"):
        schema = reduce(pa.Schema.append, map(defect_field, names(bool(settings.get("lr")))), SCHEMA)
    else:
        schema = BLOCKINESS if settings.get("blockiness") else SCHEMA
    return with_shrink(schema) if settings.get(COLUMN) else schema


def image_rows(
    name: str, grid: Grid, scores: Scores, more: Mapping[str, np.ndarray] | None = None, shrink: float | None = None
) -> pa.Table:
    """The rows of one image at one size; ``more`` holds ``blockiness``, or the columns of the defects, by name."""
    more = more or {}
    n = len(grid)
    columns = [
        repeated(name, n),
        arrow(np.tile(grid.xs, len(grid.ys)), np.int32),
        arrow(np.repeat(grid.ys, len(grid.xs)), np.int32),
        arrow(np.full(n, grid.size), np.int32),
        *(arrow(column, np.float32) for column in (scores.loss, scores.bicubic, scores.sobel)),
        *map(nullable, more.values()),
    ]
    schema = BLOCKINESS if list(more) == ["blockiness"] else reduce(pa.Schema.append, map(defect_field, more), SCHEMA)
    if shrink is not None:
        columns.insert(4, arrow(np.full(n, shrink), np.float32))
        schema = with_shrink(schema)
    return pa.Table.from_arrays(columns, schema=schema)


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
