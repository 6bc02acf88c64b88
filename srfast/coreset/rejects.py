"""Patches that a selection leaves out before anything else: by a list, and by the thresholds of the defects."""

from __future__ import annotations

import csv
import logging
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.coreset.limits import by_image
from srfast.data.files import check_input
from srfast.errors import InputError
from srfast.scoring.defect_columns import THRESHOLDS
from srfast.scoring.rows import Rows, groups, numbers

log = logging.getLogger(__name__)
HEADER = ("image", "x", "y", "size", "reason")
"""Columns of a list of rejects; an empty x, y and size stand for the whole image. An optional sixth column ``shrink``
gives the size of the image; an empty value stands for every size. The reason of a whole image may be ``shrink to 1/2``,
which leaves out its larger sizes alone."""
_SHRINK = re.compile(r"shrink to ([1-9]\d*/[1-9]\d*)")

_SAME = 5e-7
"""Tolerance between two sizes: fractions with denominators up to 1000, of which lists hold seven digits."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Reason:
    """A reason to leave out an image that no threshold decides."""

    title: str
    """Heading of these images."""
    said: str
    """What they are, after their number."""
    means: str


REASONS = {
    "duplicate": Reason(
        "Copies", "with a better copy",
        "a better copy is among the images: larger, then lossless, then of higher JPEG quality",
    ),
    "leak": Reason("Test images", "of the test sets", "it shows a test image"),
}  # fmt: skip


@dataclass(frozen=True)
class Reject:
    """An entry of a list of rejects."""

    image: str
    """As it is written; if no image has that name, outer spaces do not count."""
    place: tuple[int, int, int] | None
    """x, y and size; None stands for the whole image."""
    reason: str
    shrink: float | None = None
    """The size of the image that the entry is about; None stands for every size."""
    above: float | None = None
    """Only sizes larger than this are left out."""


def csv_rows(path: str | os.PathLike[str], what: str, wanted: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a header, which should be ``what``, by the names of its columns, with their lines.
    Raises InputError if it cannot be read, or a column that is wanted is missing."""
    try:
        with open(check_input(path, what), newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in wanted if name not in (reader.fieldnames or ())]:
                raise InputError(f"{path}: expected the columns {','.join(wanted)}, got none called {missing[0]}")
            return [(reader.line_num, {name: row[name] or "" for name in row if name}) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as {what} ({error})") from None


def read_rejects(path: str | os.PathLike[str]) -> list[Reject]:
    """The entries of a list such as ``srfast audit`` and the report write. Raises InputError if the list cannot be
    read, lacks a column, or an entry is neither a patch nor a whole image; the message names the line."""
    entries = []
    for line, row in csv_rows(path, "a list of rejects", HEADER[:4]):
        place, reason = [row[name].strip() for name in HEADER[1:4]], row.get("reason", "").strip() or "listed"
        if not row["image"].strip():
            raise InputError(f"{path}: line {line}: expected the name of an image")
        try:
            shrink = float(size) if (size := row.get("shrink", "").strip()) else None
            x, y, side = map(int, place) if any(place) else (0, 0, 0)
        except ValueError:
            raise InputError(
                f"{path}: line {line}: expected x, y and size as whole numbers, or none of them, and shrink as a "
                f"number, got {','.join([*place, size])!r}"
            ) from None
        to = None if any(place) else _SHRINK.fullmatch(reason)
        above = float(Fraction(to[1])) if to else None
        image = row["image"].replace(os.sep, "/")  # on Windows other programs write backslashes
        entries.append(Reject(image, (x, y, side) if any(place) else None, reason, shrink, above))
    return entries


def rejected(table: Rows, clean: bool, reject: str | os.PathLike[str] | None) -> tuple[Array, dict[str, int]]:
    """Which rows are left out, and how many for each reason; the arguments and errors are those of ``marked``."""
    by_reason = marked(table, clean, reject)
    return union(by_reason, len(table)), {reason: int(rows.sum()) for reason, rows in by_reason.items() if rows.any()}


def union(by_reason: Mapping[str, Array], n: int) -> Array:
    """Which rows [n] are left out for some reason."""
    return reduce(np.logical_or, by_reason.values(), np.zeros(n, bool))


def marked(table: Rows, clean: bool, reject: str | os.PathLike[str] | None) -> dict[str, Array]:
    """By reason, which rows are left out by thresholds (``clean``) and by a list; a row may have several reasons.
    Raises InputError if the table has no columns of defects to ``clean`` by, or the list cannot be read."""
    by_reason: dict[str, Array] = {}
    if not clean and reject is None:
        return by_reason
    if clean:
        if not known_defects(table.columns):
            raise InputError("clean: the table has no columns of defects", hint="`srfast score --defects` makes them")
        several = "shrink" in table.columns  # at each size an image of its own
        codes = table.coded()[1]
        each, stretches = groups(codes, np.unique(table.column("shrink"), return_inverse=True)[1] if several else None)
        for t in THRESHOLDS:
            if t.column in table.columns:
                column, bad = table.arrow(t.column), np.zeros(len(table), bool)
                for a, b in stretches:
                    bad[a:b] = t.against(values(column.slice(a, b - a)), each[a:b] - each[a:b].min())
                by_reason[t.column] = bad
    if reject is not None:
        _mark_listed(table, reject, by_reason)
    return by_reason


def known_defects(columns: Iterable[str]) -> bool:
    """Whether a column has a threshold."""
    return not {t.column for t in THRESHOLDS}.isdisjoint(columns)


def values(column: pa.ChunkedArray) -> Array:
    """A column of numbers as float64, with NaN for null."""
    return numbers(column.cast(pa.float64()).fill_null(math.nan))


def _mark_listed(table: Rows, reject: str | os.PathLike[str], by_reason: dict[str, Array]) -> None:
    """Adds the rows of a list to those that are left out by reason."""
    entries, rows_of = read_rejects(reject), by_image(table)
    place = np.stack([table.column(n) for n in ("x", "y", "size")], 1)
    sizes = values(table.arrow("shrink")) if "shrink" in table.columns else np.ones(len(table))
    strangers = 0
    for entry in entries:
        rows = rows_of.get(entry.image, rows_of.get(entry.image.strip(), np.empty(0, np.int64)))
        if entry.place is not None:
            rows = rows[(place[rows] == entry.place).all(1)]
        if entry.shrink is not None:
            rows = rows[np.abs(sizes[rows] - entry.shrink) < _SAME]
        matching = len(rows)
        if entry.above is not None:  # the image may have been scored at the smaller sizes only
            rows = rows[sizes[rows] > entry.above + _SAME]
        strangers += not matching
        by_reason.setdefault(entry.reason, np.zeros(len(table), bool))[rows] = True
    if strangers:
        log.warning("%s: %d of %d entries match no patch of the table", reject, strangers, len(entries))
