"""The interface of selection methods."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from srfast.scoring.rows import Rows


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
        from srfast.scoring.rows import at

        return values if len(self) == len(values) else at(values, self.rows)


SortKey = Callable[["Rows"], "np.ndarray"]
"""A number for each row of a table [N]; the order "des" keeps the highest first."""
Ordering = Callable[[Pool], "np.ndarray"]
"""Positions in the pool [n], the first to keep first. Ties break by position, and randomness comes from the pool's
generator only."""


class Ready(NamedTuple):
    """A method with its functions."""

    source: str
    key: SortKey
    ordering: Ordering
    counts: bool
