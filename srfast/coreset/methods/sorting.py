"""Methods that sort by a number of each patch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from srfast.coreset.methods.base import Pool, SortKey
from srfast.errors import InputError
from srfast.scoring.rows import Rows, at, numbers

_PIECE = 1 << 22


def column(name: str, table: Rows) -> np.ndarray:
    """A numeric column as it is; missing integers are 0, so that the others stay exact."""
    if not pa.types.is_integer(table.schema.field(name).type):
        return table.column(name)
    values = table.arrow(name)
    return numbers(values.fill_null(0)) if values.null_count else table.column(name)


def check_finite(name: str, table: Rows, rows: np.ndarray) -> None:
    """Refuses a column to sort by.

    Raises:
        InputError: in one of these rows, its value is missing or not finite.
    """
    if not np.isfinite(at(table.column(name), rows)).all():
        raise InputError(f"column {name!r}: expected finite values to sort by, got missing ones or nan")


def reducible(table: Rows) -> np.ndarray:
    """bicubic - loss: how much of bicubic's error the network removes; negative if it makes the error larger.

    After the reducible holdout loss of Mindermann et al. (2022, arXiv 2206.07137), with bicubic in the role of the
    model that has learnt nothing, and the scorer in that of the model that has learnt.
    """
    return table.column("bicubic") - table.column("loss")


FAINT = np.float32(0.1)
"""Loss of bicubic below which ``relative`` is 0, since a quotient of what rounding leaves in flat patches is noise."""


def relative(table: Rows) -> np.ndarray:
    """(bicubic - loss) / bicubic: the fraction of bicubic's error that the network removes, at most 1, and 0 if
    bicubic's loss is below ``FAINT``. No network can reduce white noise, so that it comes last."""
    bicubic, loss = table.column("bicubic"), table.column("loss")
    faint = bicubic < FAINT
    return np.where(faint, np.float32(0), (bicubic - loss) / np.where(faint, np.float32(1), bicubic))


def descending(values: np.ndarray, order: str) -> np.ndarray:
    """Positions by value, highest first, or lowest first for "asc"; ties by position."""
    if values.dtype == np.float32 and len(values) < 1 << 32 and not np.isnan(values).any():
        return _sorted_keys(values, order)
    if order == "asc":
        return np.argsort(values, kind="stable")
    # -values would wrap for unsigned integers and the smallest integer.
    return np.argsort(-values if values.dtype.kind == "f" else ~values, kind="stable")


def _sorted_keys(values: np.ndarray, order: str) -> np.ndarray:
    """Positions of float32 without nan, by one sort of integers with the value above the position."""
    keys = np.empty(len(values), np.int64)
    for i in range(0, len(values), _PIECE):
        part = values[i : i + _PIECE]
        bits = ((part if order == "asc" else -part) + np.float32(0)).view(np.int32)  # + 0: so that -0 ties with 0
        bits ^= (bits >> 31) & 0x7FFFFFFF  # negative floats: the larger the bits, the smaller the value
        keys[i : i + _PIECE] = (bits.astype(np.int64) << 32) | np.arange(i, i + len(part))
    keys.sort()
    positions = keys.view(np.uint32)  # the lower halves move to the front of the same memory
    for i in range(0, len(keys), _PIECE):
        part = keys[i : i + _PIECE] & 0xFFFFFFFF
        positions[i : i + len(part)] = part
    del positions
    keys.resize((len(values) + 1) // 2, refcheck=False)
    return keys.view(np.uint32)[: len(values)]


def by_key(key: SortKey, pool: Pool) -> np.ndarray:
    """The order of a method that sorts."""
    return descending(pool.of(key(pool.table)), pool.order)
