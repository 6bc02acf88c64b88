"""Images at a fraction of their size: the factors as exact fractions, and the pixels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.data.deep import read_at
from srfast.errors import InputError
from srfast.ops.functional import imresize

COLUMN = "shrink"
WHOLE = ("1",)
"""The setting that shrinks nothing."""
_FINEST = 1000
"""Largest denominator; any two fractions up to it differ as float32."""


def parsed(value: Any) -> tuple[str, ...]:
    """Fractions as text, the largest first.

    "1,3/4,0.5", or a list of texts, numbers and ``Fraction``, gives "1", "3/4", "1/2". A float stands for the fraction
    to which it is the nearest float.

    Raises:
        ValueError: there is no fraction, one occurs twice, one is not in 0 < fraction <= 1, or a denominator is beyond
            1000.
    """
    given = value.split(",") if isinstance(value, str) else value
    items = list(given) if isinstance(given, (list, tuple)) else [given]
    factors = sorted(map(_fraction, items), reverse=True)
    if not factors or len(set(factors)) < len(factors):
        raise ValueError
    return tuple(map(str, factors))


def _fraction(item: Any) -> Fraction:
    if isinstance(item, bool):
        raise ValueError
    try:
        fraction = Fraction(item.strip() if isinstance(item, str) else item)
    except ZeroDivisionError:
        raise ValueError from None
    if isinstance(item, float) and float(fraction.limit_denominator(_FINEST)) == item:
        fraction = fraction.limit_denominator(_FINEST)
    if not 0 < fraction <= 1 or fraction.denominator > _FINEST:
        raise ValueError
    return fraction


def shrunk(image: np.ndarray, factor: float) -> np.ndarray:
    """``srfast.imresize(image, factor)`` of uint8 or uint16 [H, W, 3]; at a factor of 1 the image itself."""
    return image if factor == 1 else imresize(image, factor)


def read_shrunk(path: str | os.PathLike[str], factor: float, depth: int = 8) -> np.ndarray:
    """Reads an image with ``depth`` bits and shrinks it: the pixels in which the patches of that size lie."""
    return shrunk(read_at(path, depth), factor)


def side(length: int, factor: float) -> int:
    """Length in pixels of a side of the result of ``shrunk``."""
    return int(np.ceil(length * factor))


def fractions(table: pa.Table, meta: Mapping[str, Any], name: str | os.PathLike[str] = "scores") -> list[Fraction]:
    """The size of the image of each row of a table [n], as exactly as the table's metadata have it. Raises InputError
    if the column is not float32, or has a value that is not among those in the metadata."""
    sizes, code = sizes_of(table, meta, name)
    return [sizes[i] for i in code.tolist()]


def factors(table: pa.Table, meta: Mapping[str, Any], name: str | os.PathLike[str] = "scores") -> np.ndarray:
    """``fractions`` as ``srfast.imresize`` takes them, float64 [n]."""
    sizes, code = sizes_of(table, meta, name)
    return np.array([float(f) for f in sizes])[code]


def sizes_of(
    table: pa.Table, meta: Mapping[str, Any], name: str | os.PathLike[str] = "scores"
) -> tuple[list[Fraction], np.ndarray]:
    """The sizes of a table, the largest first, and the index of each row's size [n]. Raises InputError if ``fractions``
    refuses the column."""
    if COLUMN not in table.schema.names:
        if isinstance(meta.get(COLUMN), list):
            raise InputError(f"{name}: expected a column {COLUMN!r}, as its metadata say, got none")
        return [Fraction(1)], np.zeros(table.num_rows, np.int8)
    column = table.column(COLUMN)
    if column.type != pa.float32() or column.null_count:
        raise InputError(f"{name}: column {COLUMN!r}: expected float32 without missing values, got {column.type}")
    values = np.concatenate([np.zeros(0, np.float32), *(c.to_numpy() for c in column.chunks)])
    listed = meta.get(COLUMN)
    try:
        sizes = [Fraction(s) for s in parsed(listed)] if isinstance(listed, list) else [Fraction(1)]
    except (ValueError, TypeError):
        raise InputError(f"{name}: its metadata have been damaged: {COLUMN}: expected fractions") from None
    known = np.array([float(f) for f in sizes], np.float32)
    place = np.minimum(np.searchsorted(-known, -values), len(known) - 1).astype(np.int32)
    odd = np.flatnonzero(known[place] != values)
    if len(odd):
        raise InputError(
            f"{name}: column {COLUMN!r}: expected one of {', '.join(map(str, sizes))}, got {values[odd[0]]!s}"
        )
    return sizes, place
