"""The interface of selection methods, and the functions of a method by its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from srfast.coreset.settings import GROUP, METHODS, Method
from srfast.errors import InputError
from srfast.runtime import plugins
from srfast.scoring.rows import Rows, at, descending, numbers


@dataclass(frozen=True)
class Pool:
    """The patches that a method chooses from."""

    table: Rows
    rows: np.ndarray
    """Row numbers in the table [n], ascending."""
    order: str
    """"des" or "asc"."""
    count: int
    """Number of patches that will be kept, at most n."""
    rng: np.random.Generator
    root: str | os.PathLike[str] | None = None
    """Folder of the images; None takes that of the table's metadata."""

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> np.ndarray:
        """A column of the pool's patches [n]."""
        return self.of(self.table.column(name))

    def of(self, values: np.ndarray) -> np.ndarray:
        """The numbers of the pool's patches [n], from those of all rows of the table [N]."""
        return values if len(self) == len(values) else at(values, self.rows)


SortKey = Callable[[Rows], np.ndarray]
"""A number for each row of a table [N]; the order "des" keeps the highest first."""
Ordering = Callable[[Pool], np.ndarray]
"""Positions in the pool [n], the first to keep first. Ties break by position, and randomness comes from the pool's
generator only."""


class Ready(NamedTuple):
    """A method with its functions."""

    source: str
    key: SortKey
    ordering: Ordering
    counts: bool


def column(name: str, table: Rows) -> np.ndarray:
    """A numeric column as it is; missing integers are 0, so that the others stay exact."""
    if not pa.types.is_integer(table.schema.field(name).type):
        return table.column(name)
    values = table.arrow(name)
    return numbers(values.fill_null(0)) if values.null_count else table.column(name)


def by_key(key: SortKey, pool: Pool) -> np.ndarray:
    """The order of a method that sorts."""
    return descending(pool.of(key(pool.table)), pool.order)


def find(method: Any, columns: tuple[str, ...] = ()) -> Ready:
    """A method by its name, a function of the user's own, or the sort by the column of that name.

    A column has priority over an entry point of the same name.
    """
    if isinstance(method, str):
        if method in METHODS:
            return _ready(METHODS[method])
        if plugins.is_file(method):
            name, method = method, plugins.from_file(method)
        elif method not in columns and method in plugins.added(GROUP):
            name, method = method, plugins.loaded(GROUP, method)
        else:
            return _ready(Method("a column of the table", method))
        if not callable(method) and not isinstance(method, Method):
            raise InputError(f"method: expected {name} to be a function, got {type(method).__name__}")
    own = method if isinstance(method, Method) else Method("a function of the user's", partial(_number_of, method))
    return _ready(own)


def targeted(table: Any, settings: Any) -> Any:
    """The score table with the column of the method ``settings.method`` for ``settings.target``. Raises InputError if
    an image cannot be read or has changed, or ``srfast.influence`` would raise it, and RunError if the method is
    influence and PyTorch is not installed."""
    add = METHODS[settings.method].target
    assert add is not None
    return plugins.named("srfast.coreset", add)(table, settings)


def _ready(method: Method) -> Ready:
    named = isinstance(method.key, str) and ":" not in method.key
    key = partial(column, str(method.key)) if named else plugins.named("srfast.coreset", method.key)
    return Ready(
        method.source, key, plugins.named("srfast.coreset", method.ordering or partial(by_key, key)), method.counts
    )


def _number_of(function: Any, table: Any) -> np.ndarray:
    """The numbers that a function returns for the rows of a table, one finite number for each."""
    name = getattr(function, "__name__", "method")
    values = np.asarray(function(table.whole()))
    if values.shape != (len(table),) or values.dtype.kind not in "fiub":
        raise InputError(
            f"method: expected {name} to return {len(table)} numbers, one per row, got {values.dtype} "
            f"{list(values.shape)}"
        )
    if not np.isfinite(values).all():
        raise InputError(f"method: expected {name} to return finite numbers, got missing ones or nan")
    return values.astype(np.float64) if values.dtype.kind == "b" else values
