"""Rows of patches with their metadata, the base of score tables and core-sets; orders and sums of long columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import pyarrow as pa

from srfast.data.shrink import COLUMN, sizes_of
from srfast.errors import InputError, RunError
from srfast.runtime.optional import needing

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow.compute as pc

PLAIN: dict[pa.DataType, pa.DataType] = {pa.float16(): pa.float32(), pa.string_view(): pa.string()}
"""Types that not every reader of a column knows, and those that hold the same values."""
Own = TypeVar("Own", bound="Rows")
_ATTRIBUTE = "srfast"
"""Key of a pandas DataFrame's ``attrs`` that holds the metadata as JSON."""
_BATCH = 1024
_PIECE = 1 << 20
_STRETCH = 1 << 22


@dataclass(frozen=True, repr=False)
class Rows:
    """An Arrow table of patches and its metadata.

    ``rows["loss"]`` is a column as an array. ``rows[0]`` is a row as a dict, and iteration yields such dicts.
    ``rows[:100]``, ``rows[mask]``, ``rows[indices]`` and ``rows[pyarrow.compute.field("loss") > 10]`` are rows of the
    same kind. The result of ``rows.to_pandas()``, filtered or sorted, can be passed wherever rows are expected;
    ``rows.with_rows(frame)`` adds the metadata to any other frame.
    """

    table: pa.Table
    meta: dict[str, Any]

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.schema.names)

    def column(self, name: str) -> np.ndarray:
        """A column as a NumPy array; ``image`` is an object array of str.

        The array cannot be written to, since it may be the table's own memory; ``.copy()`` makes one that can.

        Raises:
            InputError: no column has this name.
        """
        if name not in self.columns:
            raise InputError(f"column: expected one of {', '.join(self.columns)}, got {name!r}")
        return self._values(name)

    def _values(self, name: str) -> np.ndarray:
        return numbers(self.arrow(name))

    @property
    def schema(self) -> pa.Schema:
        """The schema of the columns."""
        return self.table.schema

    def arrow(self, name: str) -> pa.ChunkedArray:
        """A column as Arrow holds it; images may be codes of their names."""
        return self.table.column(name)

    def coded(self) -> tuple[list[Any], np.ndarray]:
        """The names of the images, and the index of each row's [N]."""
        return coded(self.table.column("image"))

    def sizes(self) -> tuple[list[Fraction], np.ndarray]:
        """The sizes of images, the largest first, and the index of each row's [N], as ``sizes_of`` has them."""
        if COLUMN not in self.columns and not isinstance(self.meta.get(COLUMN), list):
            return [Fraction(1)], np.zeros(len(self), np.int8)
        return sizes_of(pa.table({COLUMN: self.arrow(COLUMN)} if COLUMN in self.columns else {}), self.meta)

    def whole(self) -> Rows:
        """The rows with all columns in memory."""
        return self

    def held(self) -> Rows:
        """The rows with all columns in memory, and images as codes if they come from a large file."""
        return self

    def taken(self, rows: np.ndarray, beside: Path | None = None) -> Iterator[pa.Table]:
        """Yields the rows of these numbers, in their order. What does not fit into memory lies in the folder
        ``beside``; None takes the system's."""
        yield self.table.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows.astype(np.int64))]))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.table.to_batches(max_chunksize=_BATCH):
            yield from batch.to_pylist()

    @overload
    def __getitem__(self, key: str) -> np.ndarray: ...
    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self: Own, key: slice | np.ndarray | list[int] | pc.Expression) -> Own: ...
    def __getitem__(self: Own, key: Any) -> Any:
        if isinstance(key, str):
            return self.column(key)
        if isinstance(key, Integral) and not isinstance(key, bool):
            row = int(key)
            if not -len(self) <= row < len(self):
                raise IndexError(f"rows: expected a number from 0 to {len(self) - 1}, got {row}")
            return self.table.slice(row % len(self), 1).to_pylist()[0]
        if isinstance(key, slice):
            key = np.arange(len(self))[key]
        if isinstance(key, (np.ndarray, list)):
            key = np.asarray(key)
            if key.ndim == 1 and key.dtype == bool and len(key) == len(self):
                key = np.flatnonzero(key)
            if key.ndim != 1 or (key.size and not np.issubdtype(key.dtype, np.integer)):
                raise InputError(f"rows: expected {len(self)} booleans or row numbers, got {key.dtype} {key.shape}")
            if key.size and not -len(self) <= key.min() <= key.max() < len(self):
                raise IndexError(f"rows: expected numbers from 0 to {len(self) - 1}, got {key.min()} to {key.max()}")
            return type(self)(self.table.take(pa.array(key.astype(np.int64) % max(1, len(self)))), self.meta)
        import pyarrow.compute as pc

        if isinstance(key, pc.Expression):
            try:
                return type(self)(self.table.filter(key), self.meta)
            except (pa.ArrowException, KeyError) as error:
                raise _refused(error) from None
        raise TypeError(
            f"rows: expected a column's name, a number, a slice, an array or an expression, got {type(key).__name__}"
        )

    def head(self: Own, n: int = 5) -> Own:
        """The first n rows."""
        return self[: max(0, n)]

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame, which carries the metadata (``attrs``) through filters and sorts.

        Raises:
            RunError: pandas is not installed.
        """
        with needing("to_pandas"):
            frame = self.table.to_pandas()
        frame.attrs[_ATTRIBUTE] = json.dumps(self.meta, ensure_ascii=False)  # text: pandas copies what it carries
        return frame

    def to_polars(self) -> polars.DataFrame:
        """The rows as a polars DataFrame.

        Raises:
            RunError: polars is not installed.
        """
        try:
            import polars
        except ImportError:
            raise RunError("to_polars: polars is not installed", hint="pip install polars") from None
        frame = polars.from_arrow(self.table)
        assert isinstance(frame, polars.DataFrame)
        return frame

    def with_rows(self: Own, frame: Any) -> Own:
        """Rows of the same kind, with the same metadata, from a frame that was made from these.

        Args:
            frame: An Arrow table, or a DataFrame of pandas or polars. Columns that these rows have get their types
                back; other columns stay as they are.

        Raises:
            InputError: it is not a frame, or the values of a column do not fit its type.
        """
        if not isinstance(frame, pa.Table) and not is_frame(frame):
            raise InputError(f"rows: expected an Arrow table or a DataFrame, got {type(frame).__name__}")
        return type(self)(typed(arrow_of(frame), self.table.schema), self.meta)

    def summary(self) -> dict[str, Any]:
        """A summary as plain values: kind, patches, images, the settings, and min, mean and max of the loss."""
        loss = self.column("loss").astype(np.float64)
        spread = {k: float(getattr(loss, k)()) for k in ("min", "mean", "max")} if len(self) else None
        settings = {k: self.meta.get(k) for k in ("scale", "patch", "stride", "mode", "precision", "root")}
        return {
            "kind": type(self).__name__,
            "patches": len(self),
            "images": len(self.table.column("image").unique()),
            **settings,
            "scorer": (self.meta.get("scorer") or {}).get("name"),
            "loss": spread,
        }

    def __repr__(self) -> str:
        about = self.summary()
        made = [f"x{about['scale']}" if about["scale"] else "", f"{about['patch']} px" if about["patch"] else ""]
        made += [f"stride {about['stride']}" if about["stride"] else "", about["mode"] or "", about["scorer"] or ""]
        loss = f"; loss {about['loss']['min']:.4g} to {about['loss']['max']:.4g}" if about["loss"] else ""
        text = f"{about['patches']:,} patches of {about['images']:,} images"
        return f"{about['kind']}({', '.join([text, *filter(None, map(str, made))])}{loss})"

    def _repr_html_(self) -> str:
        from srfast.scoring.notebook import html_of_rows

        return html_of_rows(repr(self), self)


def is_frame(value: object) -> bool:
    """Whether a value is a DataFrame of pandas or polars; neither is imported."""
    return type(value).__name__ == "DataFrame" and type(value).__module__.split(".")[0] in ("pandas", "polars")


def arrow_of(frame: Any) -> pa.Table:
    """A DataFrame as an Arrow table; an Arrow table is returned unchanged."""
    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "to_arrow"):
        return frame.to_arrow()
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, ValueError) as error:
        raise _refused(error) from None


def _refused(error: Exception) -> InputError:
    return InputError(f"rows: {' '.join(str(error).split())[:200]}")


def typed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table whose columns with names of a schema have the types of the schema. Raises InputError if values do not
    fit."""
    own = [f.with_type(PLAIN.get(f.type, f.type)) for f in table.schema]
    fields = [schema.field(f.name) if f.name in schema.names else f for f in own]
    try:
        return table.cast(pa.schema([f.with_nullable(True) for f in fields])).replace_schema_metadata(None)
    except (pa.ArrowException, ValueError) as error:
        raise _refused(error) from None


def of_frame(name: str, frame: Any, schema: pa.Schema) -> tuple[pa.Table, dict[str, Any]]:
    """The rows of a DataFrame in the types of a schema, and the metadata that it carries. Raises InputError if it
    carries none; the message says how to add them."""
    try:
        meta = json.loads(getattr(frame, "attrs", {})[_ATTRIBUTE])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{name}: expected rows with their metadata, got a DataFrame without them",
            hint="scores.with_rows(frame) adds those of the table that it was made from",
        ) from None
    return typed(arrow_of(frame), schema), meta


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column as an array that cannot be written to, without a copy if its numbers are contiguous.

    ``to_numpy`` is not used, since it imports pandas (0.4 s) if that is installed.
    """
    if not pa.types.is_primitive(column.type) or column.null_count or pa.types.is_boolean(column.type):
        array: np.ndarray = column.to_numpy()
    else:
        dtype = np.dtype(column.type.to_pandas_dtype())
        chunks = [(c.buffers()[1], len(c), c.offset * dtype.itemsize) for c in column.chunks if len(c)]
        pieces = [np.frombuffer(buffer, dtype, n, offset) for buffer, n, offset in chunks]
        array = pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.zeros(0, dtype)])
    array.flags.writeable = False  # what Parquet files are read into is writable, and is the table's own memory
    return array


def at(values: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """Values at rows, or all of them for None; row numbers of 32 bits need no copy of 64."""
    if rows is None:
        return values
    taken = np.empty(len(rows), values.dtype)
    for i in range(0, len(rows), _PIECE):
        taken[i : i + _PIECE] = values[rows[i : i + _PIECE]]
    return taken


def groups(code: np.ndarray, size: np.ndarray | None = None) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Rows by image, and by size if there are several, and where large tables may be cut between images.

    Of the indices of each row's image and size [N], it makes the group of each row [N], and stretches of rows [a, b)
    that together are all rows and share no group; the groups of a stretch are consecutive numbers if there are several.
    """
    change = np.r_[True, code[1:] != code[:-1]]
    begins = np.flatnonzero(change)
    if size is not None:
        change[1:] |= size[1:] != size[:-1]
    group = np.cumsum(change, dtype=np.int32) - 1
    keys = code[begins] if size is None else code[change].astype(np.int64) * (int(size.max()) + 1) + size[change]
    if len(np.unique(keys)) < len(keys):  # rows of an image do not follow each other
        several = 1 if size is None else int(size.max()) + 1
        whole = code.astype(np.int64) * several + (0 if size is None else size)
        return np.unique(whole, return_inverse=True)[1], [(0, len(code))]
    cuts = np.searchsorted(begins, np.arange(_STRETCH, len(code), _STRETCH))
    bounds = np.unique([0, *begins[cuts[cuts < len(begins)]].tolist(), len(code)]).tolist()
    return group, list(pairwise(bounds))


def coded(column: pa.ChunkedArray) -> tuple[list[Any], np.ndarray]:
    """The different values of a column, and the index of each row's [N]."""
    encoded = column.dictionary_encode().unify_dictionaries().combine_chunks()
    return encoded.dictionary.to_pylist(), numbers(pa.chunked_array([encoded.indices]))


def descending(values: np.ndarray, order: str) -> np.ndarray:
    """Positions by value, highest first, or lowest first for "asc"; ties by position."""
    if values.dtype == np.float32 and len(values) < 1 << 32 and not np.isnan(values).any():
        keys = np.empty(len(values), np.int64)  # one sort of integers with the value above the position
        for i in range(0, len(values), _STRETCH):
            part = values[i : i + _STRETCH]
            bits = _ordered(part if order == "asc" else -part)
            keys[i : i + _STRETCH] = (bits.astype(np.int64) << 32) | np.arange(i, i + len(part))
        keys.sort()
        return _lower_halves(keys)
    if order == "asc":
        return np.argsort(values, kind="stable")
    # -values would wrap for unsigned integers and the smallest integer.
    return np.argsort(-values if values.dtype.kind == "f" else ~values, kind="stable")


def _ordered(values: np.ndarray) -> np.ndarray:
    """Integers in the order of float32 without nan."""
    bits = (values + np.float32(0)).view(np.int32)  # + 0: so that -0 ties with 0
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)  # negative floats: the larger the bits, the smaller the value


def _lower_halves(keys: np.ndarray) -> np.ndarray:
    """The lower 32 bits of int64, which move to the front of the same memory."""
    n, halves = len(keys), keys.view(np.uint32)
    for i in range(0, n, _STRETCH):
        part = keys[i : i + _STRETCH] & 0xFFFFFFFF
        halves[i : i + len(part)] = part
    del halves
    keys.resize((n + 1) // 2, refcheck=False)
    return keys.view(np.uint32)[:n]


def within(code: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values [n], float32 without nan, by their group, and the lowest of a group first; -0 becomes 0."""
    keys = np.empty(len(values), np.int64)
    for i in range(0, len(values), _STRETCH):
        bits = _ordered(values[i : i + _STRETCH]).astype(np.int64) + (1 << 31)
        keys[i : i + _STRETCH] = (code[i : i + _STRETCH].astype(np.int64) << 32) | bits
    keys.sort()
    bits = _lower_halves(keys)
    bits ^= np.uint32(1 << 31)
    signed = bits.view(np.int32)
    for i in range(0, len(signed), _STRETCH):
        part = signed[i : i + _STRETCH]
        part ^= (part >> 31) & 0x7FFFFFFF
    return signed.view(np.float32)


def summed(code: np.ndarray, n: int, weights: np.ndarray | None = None) -> np.ndarray:
    """The number of rows of each of n groups, int64, or the sum of their weights, float64."""
    found = np.zeros(n, np.int64 if weights is None else np.float64)
    for i in range(0, len(code), _STRETCH):  # bincount copies what is not of 64 bits
        found += np.bincount(code[i : i + _STRETCH], None if weights is None else weights[i : i + _STRETCH], n)
    return found


def quantiles(ordered: np.ndarray, fractions: tuple[float, ...]) -> list[float]:
    """NumPy's quantiles (linear, in float64) of values [n > 0] that are sorted, the lowest first."""
    place = np.array(fractions) * (len(ordered) - 1)
    low = np.floor(place).astype(np.int64)
    a, b = (ordered[np.minimum(i, len(ordered) - 1)].astype(np.float64) for i in (low, low + 1))
    return [float(v) for v in a + (b - a) * (place - low)]
