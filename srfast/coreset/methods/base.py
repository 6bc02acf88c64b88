"""What a selection method gets, and what it gives back."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from srfast.scoring.rows import Rows


@dataclass(frozen=True)
class Pool:
    """The patches a method chooses from."""

    table: Rows
    rows: np.ndarray
    """Row numbers in the table [n], ascending."""
    order: str
    """"des" or "asc"."""
    count: int
    """How many will be kept, at most n."""
    rng: np.random.Generator
    root: str | os.PathLike[str] | None = None
    """The folder of the images; None: that of the table's metadata."""

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> np.ndarray:
        """That column of the pool's patches [n]."""
        return self.table.column(name)[self.rows]


Key = Callable[[Rows], np.ndarray]
"""A number for each row of a table [N]; high means: kept first under "des"."""
Ordering = Callable[[Pool], np.ndarray]
"""Positions in the pool [n], the first to keep first; ties by position, randomness from the pool's generator only."""


@dataclass(frozen=True)
class Method:
    """A way to choose patches."""

    source: str
    """Where it comes from."""
    key: Key
    """What ``window`` ranks by."""
    ordering: Ordering
