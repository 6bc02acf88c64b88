"""Methods that sort by a number of each patch, and those that draw at random."""

from __future__ import annotations

import numpy as np

from srfast.coreset.counting import running_count
from srfast.coreset.methods.base import Pool
from srfast.errors import InputError
from srfast.scoring.rows import Rows, at


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
    bicubic, loss = table.column("bicubic"), table.column("loss")
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
