"""Methods that draw at random."""

from __future__ import annotations

import numpy as np

from srfast.coreset.counting import running_count
from srfast.coreset.methods.base import Pool

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
