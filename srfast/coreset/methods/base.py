"""The interface of selection methods, the functions of a method by its name, and those that sort or draw at random."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.coreset.limits import running_count
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


def column(name: str, table: Rows) -> np.ndarray:
    """A numeric column as it is; missing integers are 0, so that the others stay exact."""
    if not pa.types.is_integer(table.schema.field(name).type):
        return table.column(name)
    values = table.arrow(name)
    return numbers(values.fill_null(0)) if values.null_count else table.column(name)


def by_key(key: SortKey, pool: Pool) -> np.ndarray:
    """The order of a method that sorts."""
    return descending(pool.of(key(pool.table)), pool.order)


def find(method: Any, columns: tuple[str, ...] = ()) -> Method:
    """A method by its name, a function of the user's own, or the sort by the column of that name, with its functions
    loaded: a ``SortKey`` and an ``Ordering``.

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
    return plugins.named("srfast.coreset", METHODS[settings.method].target)(table, settings)


def _ready(method: Method) -> Method:
    own = isinstance(method.key, str) and ":" not in method.key
    key = partial(column, method.key) if own else plugins.named("srfast.coreset", method.key)
    ordering = plugins.named("srfast.coreset", method.ordering or partial(by_key, key))
    return replace(method, key=key, ordering=ordering)


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


def check_finite(name: str, table: Rows, rows: np.ndarray) -> None:
    """Refuses a column to sort by whose value is missing or not finite in one of these rows (InputError)."""
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
    return relative_part(table.column("bicubic"), table.column("loss"))


def relative_part(bicubic: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """``relative`` of two columns [n]."""
    faint = bicubic < FAINT
    return np.where(faint, np.float32(0), (bicubic - loss) / np.where(faint, np.float32(1), bicubic))


STRATA = 20
"""Number of loss quantiles from which the stratified method draws equally."""


def random(pool: Pool) -> np.ndarray:
    return pool.rng.permutation(len(pool))


def stratified(pool: Pool) -> np.ndarray:
    """Goes in rounds over the quantiles of loss; each takes one random patch from every quantile that has one left."""
    n = len(pool)
    shuffled = pool.rng.permutation(n)
    rank = np.empty(n, np.int64)
    rank[np.argsort(pool.column("loss"), kind="stable")] = np.arange(n)
    stratum = rank[shuffled] * STRATA // n
    turn = running_count(stratum)
    return shuffled[np.lexsort((stratum, turn))]
