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
from srfast.scoring.table import ScoreTable, check_scored, one_table

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
        if not (pa.types.is_floating(kind := joined.column(COLUMN).type) or pa.types.is_integer(kind)):
            raise InputError(f"{name}: column {COLUMN!r}: expected numbers, the sizes of images, got {kind}")
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
    ours = code, size, *map(table.column, places)
    wanted = image, known[of_size], *map(other.column, places)
    counts = [int(part.max(initial=0)) + 1 for part in ours]
    if math.prod(counts) >= 2**63:
        raise InputError(
            f"score table: patch positions up to ({counts[3] - 1}, {counts[2] - 1}) are larger than any image"
        )

    def keys(parts: Sequence[np.ndarray]) -> np.ndarray:
        key = np.zeros(len(parts[0]), np.int64)
        for count, part in zip(counts, parts, strict=True):
            key *= count
            key += part
        return key

    inside = np.logical_and.reduce([(p >= 0) & (p < n) for p, n in zip(wanted, counts, strict=True)])
    key, goal = keys(ours), np.where(inside, keys(wanted), -1)
    by_key = None if (key[1:] >= key[:-1]).all() else np.argsort(key, kind="stable")
    at = np.minimum(np.searchsorted(key, goal, sorter=by_key), len(key) - 1)
    at = at if by_key is None else by_key[at]
    return np.where(key[at] == goal, at, -1)


def keys_of(table: pa.Table) -> list[str]:
    """The columns to join on a table that has the names of a score table: image, and x and y if it has them."""
    return list(KEYS) if all(k in table.column_names for k in KEYS) else ["image"]


def added(path: Path) -> list[str]:
    """Names of the numeric columns that a table would add to scores."""
    table = read_table(path)
    fields = [table.schema.field(c) for c in table.column_names if c not in keys_of(table)]
    return [f.name for f in fields if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)]


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
    ours, our_code = _codes(scores.table.column("image"), named)
    theirs, their_code = _codes(joined.column(keys["image"]), named)
    place = {image: i for i, image in enumerate(ours)}
    if len(place) < len(ours):
        return np.full(len(scores), -1)  # two of our images share that name, so it identifies neither
    their_code = np.array([place.get(image, -1) for image in theirs], np.int64)[their_code]
    inside = their_code >= 0
    ours_key, theirs_key = [our_code.astype(np.int64)], [their_code]
    if COLUMN in keys or (COLUMN in scores.columns and len(keys) > 1):
        known = scores.column(COLUMN) if COLUMN in scores.columns else np.ones(len(scores))
        ours_key.append(_comparable(known))
        theirs_key.append(_comparable(joined.column(COLUMN).to_numpy() if COLUMN in keys else np.ones(joined.num_rows)))
    for key in [k for k in list(keys)[1:] if k != COLUMN]:
        ours_key.append(scores.column(key).astype(np.int64))
        try:
            theirs_key.append(joined.column(keys[key]).cast(pa.int64()).to_numpy())
        except (pa.ArrowException, ValueError) as error:
            raise InputError(f"{name}: column {keys[key]!r}: expected whole numbers ({error})") from None
    rows = np.flatnonzero(inside)
    both = np.concatenate([np.stack(ours_key, 1), np.stack(theirs_key, 1)[rows]])
    _, code = np.unique(both, axis=0, return_inverse=True) if both.shape[1] > 1 else (None, both[:, 0])
    code = np.asarray(code).reshape(-1)
    at = np.full(int(code.max(initial=0)) + 1, -1)
    wanted = code[len(scores) :]
    at[wanted] = rows
    twice = np.flatnonzero(at[wanted] != rows)
    if len(twice):
        row = int(rows[twice[0]])
        values = ", ".join(str(joined.column(c)[row].as_py()) for c in keys.values())
        raise InputError(f"{name}: row {row} ({values}): an earlier row has the same patches")
    return at[code[: len(scores)]]


def _comparable(shrink: np.ndarray) -> np.ndarray:
    """Sizes as whole numbers: equal for equal fractions, whatever their type."""
    return np.rint(np.asarray(shrink, np.float64) * (1 << 22)).astype(np.int64)


def _codes(column: pa.ChunkedArray, named: Callable[[str], str]) -> tuple[list[str], np.ndarray]:
    """The different names after ``named``, and the index of each row's name."""
    names, code = coded(column.cast(pa.string()).fill_null(""))
    return [named(n) if n else "" for n in names], code
