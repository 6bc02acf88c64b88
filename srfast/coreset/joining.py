"""Columns from other files, joined to a score table."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from srfast.coreset.settings import COMPUTED
from srfast.data.files import check_input
from srfast.data.parquet import check_names, opened, reason
from srfast.data.shrink import COLUMN
from srfast.errors import InputError
from srfast.scoring.rows import PLAIN, Rows, arrow_of, coded, is_frame
from srfast.scoring.table import ScoreTable, check_scored, numeric_columns, one_table

if TYPE_CHECKING:
    import pandas
    import polars

KEYS = ("image", "x", "y")
_NAMED: dict[str, Callable[[str], str]] = {
    "path": lambda name: str(PurePosixPath(name.replace("\\", "/"))),
    "file name": lambda name: PurePosixPath(name.replace("\\", "/")).name,
    "file name without its suffix": lambda name: PurePosixPath(name.replace("\\", "/")).stem,
}
"""Ways in which the image names of two tables are matched, the strictest first."""


@dataclass(frozen=True)
class Joined:
    """A score table with joined columns."""

    table: ScoreTable
    added: list[str]
    matched: int
    """Number of rows that found a match; the others have missing values in the new columns."""
    by: str
    """The way in which image names were matched."""


def join(
    scores: ScoreTable | str | os.PathLike[str],
    other: pa.Table | pandas.DataFrame | polars.DataFrame | str | os.PathLike[str],
    *,
    on: str | Sequence[str] = "image",
    allow_missing_shards: bool = False,
) -> ScoreTable:
    """Adds the columns of another table to a score table, for ``srfast.select(method=..., where=...)``.

    Args:
        scores: A score table, its path or a DataFrame of it, or all the shards of a dataset.
        other: An Arrow table or a DataFrame, or the path of a .csv file with a header, a .parquet file, or a .txt file
            with a name and a number on each line, whose column is named after the file.
        on: Columns by which rows are matched: "image", or "image,x,y". ``image=name`` stands for a column that the
            other table calls ``name``. Images are matched by their path relative to the root, or else by file name, or
            else by file name without suffix.
        allow_missing_shards: Whether shards may be missing; the metadata then list them.

    Returns:
        The table in its old order. A row that the other table does not have gets missing values.

    Raises:
        InputError: ``scores`` is a core-set or lacks shards, a file cannot be read, a column is missing, exists already
            (in any case) or has the name of a method that is computed, a name stands for two rows, or no row matches.
    """
    table = one_table(scores, allow_missing_shards=allow_missing_shards)
    return join_columns(table, other, on.split(",") if isinstance(on, str) else on).table


def join_columns(
    scores: ScoreTable,
    other: pa.Table | pandas.DataFrame | polars.DataFrame | str | os.PathLike[str],
    on: Sequence[str] = ("image",),
) -> Joined:
    """Joins like ``join``, and says how rows were matched.

    A column ``shrink`` of the other table counts in ``on`` too; without it, its x and y are those of whole images.
    """
    check_scored("scores", scores.meta)
    in_memory = isinstance(other, pa.Table) or is_frame(other)
    name = "other" if in_memory else str(other)
    joined = arrow_of(other) if in_memory else read_table(Path(str(other)))
    check_names(name, joined.schema)
    joined = joined.cast(pa.schema([f.with_type(PLAIN.get(f.type, f.type)) for f in joined.schema]))
    keys = _keys(on, name, joined)
    if COLUMN in joined.column_names:
        if COLUMN not in numeric_columns(joined.schema):
            raise InputError(f"{name}: column {COLUMN!r}: expected numbers, the sizes of images")
        keys[COLUMN] = COLUMN
    added = [c for c in joined.column_names if c not in keys.values() and not c.startswith("__index_level_")]
    ours = {c.lower(): c for c in (*scores.table.column_names, "rank")}
    for column in added:
        if (known := ours.get(column.lower())) is not None:
            has = "one of that name" if known == column else f"{known!r}, which differs only in case"
            raise InputError(f"{name}: column {column!r}: the score table has {has}", hint="rename it")
        if column in COMPUTED:
            raise InputError(
                f"{name}: column {column!r}: the method of that name does not read a column", hint="rename it"
            )
    if not added:
        raise InputError(f"{name}: expected columns beside {', '.join(keys.values())}, got none")
    strings = joined.column(keys["image"])
    if not (pa.types.is_string(strings.type) or pa.types.is_large_string(strings.type)):
        raise InputError(f"{name}: column {keys['image']!r}: expected names of images, got {strings.type}")
    tried = ((by, _match(scores, joined, keys, name, named)) for by, named in _NAMED.items())
    by, index = next(((by, index) for by, index in tried if (index >= 0).any()), ("", np.empty(0)))
    if not by:
        raise InputError(
            f"{name}: no row matches the score table; it has {strings[0].as_py()!r} where that has "
            f"{scores.table.column('image')[0].as_py()!r}"
            if joined.num_rows and len(scores)
            else f"{name}: expected rows, got none"
        )
    picked = joined.select(added).take(pa.array(index, mask=index < 0))
    table = scores.table
    for column in added:
        table = table.append_column(column, picked.column(column))
    return Joined(ScoreTable(table, scores.meta), added, int((index >= 0).sum()), by)


def located(table: Rows, other: Rows, named: Callable[[str], str] = str) -> np.ndarray:
    """The row of a table at which each row of another lies, by image, size of the image, x, y and side [len(other)], or
    -1; images of the table are known to the other as ``named`` has them."""
    names, code = table.coded()
    number = {named(name): i for i, name in enumerate(names)}
    theirs, own = other.coded()
    image = np.array([number.get(name, -1) for name in theirs], np.int32)[own]
    (sizes, size), (their_sizes, of_size) = table.sizes(), other.sizes()
    known = np.array([sizes.index(s) if s in sizes else -1 for s in their_sizes], np.int32)
    places = "y", "x", "size"
    ours = [code, size, *map(table.column, places)]
    return _first(*_packed(ours, [image, known[of_size], *map(other.column, places)]))


def _packed(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Columns of whole numbers as one number for each row; of theirs -1 where ours have no such value."""
    counts = [int(column.max(initial=0)) + 1 for column in ours]
    if math.prod(counts) >= 2**63:
        raise InputError(f"score table: patch positions up to {max(counts) - 1} are larger than any image")

    def keys(columns: Sequence[np.ndarray]) -> np.ndarray:
        key = np.zeros(len(columns[0]), np.int64)
        for count, column in zip(counts, columns, strict=True):
            key *= count
            key += column
        return key

    inside = np.logical_and.reduce([(c >= 0) & (c < n) for c, n in zip(theirs, counts, strict=True)])
    return keys(ours), np.where(inside, keys(theirs), -1)


def _first(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The first place of each of the wanted numbers among the values, or -1."""
    order = None if (values[1:] >= values[:-1]).all() else np.argsort(values, kind="stable")
    at = np.minimum(np.searchsorted(values, wanted, sorter=order), len(values) - 1)
    at = at if order is None else order[at]
    return np.where(values[at] == wanted, at, -1)


def keys_of(table: pa.Table) -> list[str]:
    """The columns to join on a table that has the names of a score table: image, and x and y if it has them."""
    return list(KEYS) if all(k in table.column_names for k in KEYS) else ["image"]


def added(path: Path) -> list[str]:
    """Names of the numeric columns that a table would add to scores."""
    table = read_table(path)
    return [c for c in numeric_columns(table.schema) if c not in keys_of(table)]


def read_table(path: Path) -> pa.Table:
    """Reads a table from a .csv, .parquet or .txt file. Raises InputError if the file cannot be read as a table; the
    message says why."""
    check_input(path, "a table")
    try:
        if path.suffix.lower() == ".parquet":
            with opened(path) as file:
                return file.read()
        if path.suffix.lower() == ".csv":
            with open(path, "rb") as file:  # Arrow's own file says on stderr what goes wrong as it is closed
                return csv.read_csv(file)
        if path.suffix.lower() == ".txt":
            return _lines(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable table ({reason(error)})") from None
    raise InputError(f"{path}: expected a .csv, .parquet or .txt file")


def _lines(path: Path) -> pa.Table:
    names, values = [], []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected UTF-8 text") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, value = _name_and_value(line)
        try:
            values.append(float(value if name and "_" not in value else ""))
        except ValueError:
            raise InputError(f"{path}: line {number}: expected a name and a number, got {line[:80]!r}") from None
        names.append(name.strip("\"'"))
    return pa.table({"image": pa.array(names, pa.string()), path.stem: pa.array(values, pa.float64())})


def _name_and_value(line: str) -> tuple[str, str]:
    """The text before and behind the last separator of a line: a comma, semicolon or colon, or else spaces."""
    value = line.rsplit(None, 1)[-1]
    value = value[max(value.rfind(c) for c in ",;:") + 1 :]
    name = line.rstrip().removesuffix(value).strip()
    return (name[:-1].rstrip() if name.endswith((",", ";", ":")) else name), value


def _keys(on: Sequence[str], name: str, joined: pa.Table) -> dict[str, str]:
    """Our name of each key column, and the other table's."""
    keys = {ours: theirs or ours for ours, _, theirs in (item.partition("=") for item in on)}
    if list(keys) not in (["image"], list(KEYS)):
        raise InputError(f"on: expected image or image,x,y, got {','.join(on)!r}")
    for column in keys.values():
        if column not in joined.column_names:
            raise InputError(f"{name}: expected a column {column!r} to join on, got {', '.join(joined.column_names)}")
    return keys


def _match(
    scores: ScoreTable, joined: pa.Table, keys: dict[str, str], name: str, named: Callable[[str], str]
) -> np.ndarray:
    """The row of the other table for each of our rows [N], or -1."""
    names, code = scores.coded()
    number = {named(image): i for i, image in enumerate(names)}
    if len(number) < len(names) or not joined.num_rows:  # a name of two of our images identifies neither
        return np.full(len(scores), -1)
    theirs, their_code = coded(joined.column(keys["image"]).cast(pa.string()).fill_null(""))
    columns = [(code, np.array([number.get(named(image), -1) for image in theirs])[their_code])]
    if len(keys) > 1:
        sizes, size = scores.sizes()
        known = {_comparable(s): i for i, s in enumerate(map(float, sizes))}
        of = joined.column(COLUMN).to_pylist() if COLUMN in keys else [1.0] * joined.num_rows
        columns.append((size, np.array([known.get(_comparable(s), -1) for s in of])))
    for key in [k for k in list(keys)[1:] if k != COLUMN]:
        try:
            columns.append((scores.column(key), joined.column(keys[key]).cast(pa.int64()).fill_null(-1).to_numpy()))
        except (pa.ArrowException, ValueError) as error:
            raise InputError(f"{name}: column {keys[key]!r}: expected whole numbers ({error})") from None
    ours, wanted = _packed(*zip(*columns, strict=True))
    twice = np.flatnonzero((wanted >= 0) & (_first(wanted, wanted) != np.arange(len(wanted))))
    if len(twice):
        row = int(twice[0])
        values = ", ".join(str(joined.column(c)[row].as_py()) for c in keys.values())
        raise InputError(f"{name}: row {row} ({values}): an earlier row has the same patches")
    return _first(wanted, ours)


def _comparable(shrink: float | None) -> int:
    """A size as a whole number: equal for equal fractions, whatever their type."""
    return round(shrink * (1 << 22)) if shrink and math.isfinite(shrink) else -1
