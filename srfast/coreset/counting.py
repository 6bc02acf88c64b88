"""Counting inside groups of rows."""

from __future__ import annotations

import numpy as np


def running_count(groups: np.ndarray) -> np.ndarray:
    """For each element [n], how many earlier elements have the same value."""
    order = np.argsort(groups, kind="stable")
    sorted_groups = groups[order]
    first = np.r_[True, sorted_groups[1:] != sorted_groups[:-1]]
    start = np.maximum.accumulate(np.where(first, np.arange(len(groups)), 0))
    count = np.empty(len(groups), np.int64)
    count[order] = np.arange(len(groups)) - start
    return count
