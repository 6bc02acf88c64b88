"""Methods that draw at random."""

from __future__ import annotations

import numpy as np

from srfast.coreset.counting import running_count
from srfast.coreset.methods.base import Pool

STRATA = 20
"""Loss quantiles that the stratified method draws from equally."""


def random(pool: Pool) -> np.ndarray:
    return pool.rng.permutation(len(pool))


def stratified(pool: Pool) -> np.ndarray:
    """Rounds over the quantiles of loss: each round takes one random patch of every quantile that has one left."""
    n = len(pool)
    shuffled = pool.rng.permutation(n)
    rank = np.empty(n, np.int64)
    rank[np.argsort(pool.column("loss"), kind="stable")] = np.arange(n)
    stratum = rank[shuffled] * STRATA // n
    turn = running_count(stratum)
    return shuffled[np.lexsort((stratum, turn))]
