"""The rule of an image's size: at which sizes it is scored, by its own measures.

An image at a size is soft if the mean of its patches' ``blur`` or ``upscaled`` is beyond its threshold
(``srfast.scoring.defects.thresholds``). An image is scored at every size at which it is not soft: a patch is then taken
where it is hard, at whichever size (docs/results/sizes.md). One that is soft at full size is larger than its detail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from srfast.scoring.defects.thresholds import THRESHOLDS

SIZES = ("1", "3/4", "1/2", "1/3")
"""Sizes that the rule chooses from, the largest first."""
SOFT = tuple(t for t in THRESHOLDS if t.column in ("blur", "upscaled"))
"""Thresholds of the means of an image from which on it is soft."""
RULE: dict[str, Any] = {
    "sizes": list(SIZES),
    **{t.column: t.image for t in SOFT},
}
"""The rule as a table's metadata record it: a table of another rule is not continued."""

Measures = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Chosen:
    """The sizes at which an image is scored, and the figures they were chosen by."""

    sizes: tuple[str, ...]
    """The largest first; empty if the image is smaller than a patch."""
    tried: dict[str, dict[str, float]]
    """By size, the means of the columns that the rule looks at; a column that is known of no patch is missing."""


def is_soft(means: Mapping[str, float]) -> bool:
    """Whether an image with these means of its columns is larger than its detail; a missing mean does not count."""
    return any(bool(t.beyond(np.float64(means.get(t.column, np.nan)), t.image)) for t in SOFT)


def choose(measured: Callable[[str], Measures | None]) -> Chosen:
    """Chooses the sizes of one image: every one at which it is not soft, and the smallest if it is soft at each.

    ``measured`` gives the columns of defects of the patches of the image at a size, float32 [n] each with NaN for null,
    or None if it has no patch there, and so none at smaller sizes.
    """
    tried: dict[str, dict[str, float]] = {}
    for size in SIZES:
        columns = measured(size)
        if columns is None:
            break
        tried[size] = _means(columns)
    sharp = tuple(size for size, means in tried.items() if not is_soft(means))
    return Chosen(sharp or tuple(tried)[-1:], tried)


def _means(columns: Measures) -> dict[str, float]:
    known = {t.column: columns[t.column][~np.isnan(columns[t.column])] for t in SOFT}
    return {name: round(float(values.mean(dtype=np.float64)), 4) for name, values in known.items() if len(values)}
