"""From which value on a column counts against a patch or an image: what ``--clean`` and ``srfast audit`` leave out.

Set on photographs of BSDS400, reduced and as they are, and of T91, so that together they take few of them;
those of jpeg, noise, overlay and halo were raised or lowered once after a look at clean photographs of Urban100 and
Set14. docs/defects.md has what they take of photographs, and leave of spoilt ones. Columns without a figure to hold
(banding, clipped, border, blockiness, colour) have no threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Threshold:
    """Of a column: patches beyond ``patch``, and every patch of an image whose mean is beyond ``image``."""

    column: str
    image: float
    patch: float | None = None
    """None: an image is judged as a whole."""
    low: bool = False
    """Whether it is low values that count."""

    def beyond(self, values: Array, limit: float) -> Array:
        """Which values are beyond a limit; not those that are missing."""
        return np.less_equal(values, limit) if self.low else np.greater_equal(values, limit)

    def of(self, patches: str, means: str) -> str:
        """The same of a patch's values and its image's means, which these prefixes name."""
        sign = "<=" if self.low else ">="
        whole = f'{means}"{self.column}" {sign} {self.image:g}'
        return whole if self.patch is None else f'{patches}"{self.column}" {sign} {self.patch:g} OR {whole}'

    def condition(self, image: str = "image") -> str:
        """In SQL: what a patch that is left out meets; ``image``: the columns that say which image it is of."""
        sign = "<=" if self.low else ">="
        whole = f"avg({self.column}) OVER (PARTITION BY {image}) {sign} {self.image:g}"
        return whole if self.patch is None else f"{self.column} {sign} {self.patch:g} OR {whole}"


THRESHOLDS = (
    Threshold("noise", image=3.5, patch=10),
    Threshold("blur", image=0.9, patch=3),
    Threshold("upscaled", image=1.65),
    Threshold("jpeg", image=75, low=True),
    Threshold("overlay", image=75),
    Threshold("halo", image=45),
    Threshold("shift", image=0.4, patch=0.6),
)


def condition(columns: Iterable[str]) -> str:
    """What the patches that are left meet, in SQL, for ``--where``: the thresholds of those columns.

    An image that was scored at several sizes is judged at each.
    """
    known = set(columns)
    image = "image, shrink" if "shrink" in known else "image"
    present = [t for t in THRESHOLDS if t.column in known]
    return " AND ".join(f"NOT coalesce({t.condition(image)}, false)" for t in present)


def reasons(columns: Mapping[str, Array], image: Array) -> dict[str, Array]:
    """Which patches are left out by each column, in the order of ``THRESHOLDS``; a patch may have several reasons.

    Args:
        columns: Values by name; NaN where a column is null.
        image: [n] numbers of the patches' images.
    """
    return {
        t.column: _beyond(t, np.asarray(columns[t.column], np.float64), image)
        for t in THRESHOLDS
        if t.column in columns
    }


def _beyond(threshold: Threshold, values: Array, image: Array) -> Array:
    whole = threshold.beyond(image_means(values, image), threshold.image)[image]
    return whole if threshold.patch is None else whole | threshold.beyond(values, threshold.patch)


def image_means(values: Array, image: Array) -> Array:
    """The mean of each image's values, missing ones left out; NaN where there is none."""
    known = ~np.isnan(values)
    n = int(image.max()) + 1 if len(image) else 0
    counts = np.bincount(image[known], minlength=n)
    with np.errstate(invalid="ignore"):
        return np.bincount(image[known], values[known], n) / counts
