"""Rows of patches with their metadata: what score tables and core-sets have in common, as a user meets them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import pyarrow as pa

from srfast.errors import InputError, RunError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow.compute as pc

Own = TypeVar("Own", bound="Rows")


@dataclass(frozen=True, repr=False)
class Rows:
    """An Arrow table of patches and its metadata.

    ``rows["loss"]`` is a column as an array; ``rows[:100]``, ``rows[mask]``, ``rows[indices]`` and
    ``rows[pyarrow.compute.field("loss") > 10]`` are rows of the same kind.
    """

    table: pa.Table
    meta: dict[str, Any]

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.table.schema.names)

    def column(self, name: str) -> np.ndarray:
        """A column as a NumPy array (``image`` as an object array of str); InputError for a name it has not."""
        if name not in self.table.schema.names:
            raise InputError(f"column: expected one of {', '.join(self.columns)}, got {name!r}")
        return numbers(self.table.column(name))

    @overload
    def __getitem__(self, key: str) -> np.ndarray: ...
    @overload
    def __getitem__(self: Own, key: slice | np.ndarray | list[int] | pc.Expression) -> Own: ...
    def __getitem__(self: Own, key: Any) -> Any:
        if isinstance(key, str):
            return self.column(key)
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
                raise InputError(f"rows: {' '.join(str(error).split())[:200]}") from None
        raise TypeError(f"rows: expected a column's name, a slice, an array or an expression, got {type(key).__name__}")

    def head(self: Own, n: int = 5) -> Own:
        """The first n rows."""
        return self[: max(0, n)]

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame; RunError where pandas is not installed."""
        try:
            return self.table.to_pandas()
        except ImportError:
            raise RunError("to_pandas: pandas is not installed; pip install pandas") from None

    def to_polars(self) -> polars.DataFrame:
        """The rows as a polars DataFrame; RunError where polars is not installed."""
        try:
            import polars
        except ImportError:
            raise RunError("to_polars: polars is not installed; pip install polars") from None
        frame = polars.from_arrow(self.table)
        assert isinstance(frame, polars.DataFrame)
        return frame

    def summary(self) -> dict[str, Any]:
        """What they are, as plain values: kind, patches, images, the settings, and min, mean and max of the loss."""
        loss = self.column("loss").astype(np.float64)
        spread = {k: float(getattr(loss, k)()) for k in ("min", "mean", "max")} if len(self) else None
        scorer = self.meta.get("scorer")
        settings = {k: self.meta.get(k) for k in ("scale", "patch", "stride", "mode", "precision", "root")}
        return {
            "kind": type(self).__name__,
            "patches": len(self),
            "images": len(self.table.column("image").unique()),
            **settings,
            "scorer": scorer.get("name") if isinstance(scorer, dict) else scorer,
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
        few = self.head(10).table
        head = "".join(f"<th>{escape(name)}</th>" for name in few.schema.names)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(_text(v))}</td>" for v in row.values()) + "</tr>" for row in few.to_pylist()
        )
        return f"<p>{escape(repr(self))}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column as an array, numbers without a copy where they lie in one piece.

    Not ``to_numpy``, which imports pandas (0.4 s) where it is installed.
    """
    if not pa.types.is_primitive(column.type) or column.null_count or pa.types.is_boolean(column.type):
        return column.to_numpy()
    dtype = np.dtype(column.type.to_pandas_dtype())
    pieces = [
        np.frombuffer(chunk.buffers()[1], dtype, len(chunk), chunk.offset * dtype.itemsize)
        for chunk in column.chunks
        if len(chunk)
    ]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.zeros(0, dtype)])


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
