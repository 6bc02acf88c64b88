"""The statistics of a score table that the decision on its pool looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from srfast.errors import InputError
from srfast.scoring.defect_columns import DEFECTS, is_soft
from srfast.scoring.rows import Rows, summed

WORDS = {d.name: d.said for d in DEFECTS if d.said} | {"duplicate": "with a better copy", "leak": "of the test sets"}
"""Reason -> what the images are, after their number."""
NOT_LIMITS = ("duplicate", "leak")
"""Reasons that no threshold decides; they leave out images of which nothing else is left, too."""
EXAMPLES = 6
"""Largest number of images that are named as examples."""


@dataclass(frozen=True)
class Statistics:
    """The statistics on which the decision is based."""

    images: int
    """Number of images that have patches."""
    judged: bool
    """Whether the table has columns of defects, or a list says what is left out."""
    out: dict[str, int] = field(default_factory=dict)
    """Reason -> number of images of which no patch is left; each image counts for its first reason only."""
    patches_out: int = 0
    """Number of patches that are left out of other images."""
    overruled: dict[str, int] = field(default_factory=dict)
    """The same as ``out`` if limits leave out every image, so that they are not followed."""
    taken: dict[str, int] = field(default_factory=dict)
    """Size -> number of images of which it is the largest that is left, the largest first."""
    scored: tuple[str, ...] = ("1",)
    """Sizes of the table."""
    examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Images that are left out, with their reason, and images that are taken smaller, with their size."""
    soft: int | None = None
    """Number of images that are larger than their detail at the largest size that is left; None: not known."""
    loss: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """Losses [n] of the patches that are left, in any order, float32."""


def statistics(table: Rows, reasons: Mapping[str, np.ndarray], judged: bool) -> Statistics:
    """The statistics of a table [n] that the decision looks at, from the rows that each of ``reasons`` leaves out, if
    they were ``judged`` at all. Raises InputError if the table has no rows, or every image is a copy or a test
    image."""
    if not len(table):
        raise InputError("scores: expected at least one patch, got an empty table")
    names, image = table.coded()
    out, alone, _ = _out(reasons, image, len(names))
    overruled: dict[str, int] = {}
    if alone.all():
        overruled, reasons = out, {k: v for k, v in reasons.items() if k in NOT_LIMITS}
        out, alone, _ = _out(reasons, image, len(names))
        if alone.all():
            what = " and ".join(f"{n} {WORDS[r]}" for r, n in out.items())
            raise InputError(
                f"images: nothing is left of {len(names)} ({what})", hint="give other images, or leave out --against"
            )
    left = ~_any(reasons, len(table))
    sizes, at = table.sizes()
    largest = np.full(len(names), len(sizes))
    for size in reversed(range(len(sizes))):
        largest[summed(image[left & (at == size)], len(names)) > 0] = size
    counts = np.bincount(largest, minlength=len(sizes) + 1)[: len(sizes)].tolist()
    first = _out(reasons, image, len(names))[2]
    smaller = [(names[i], str(sizes[largest[i]])) for i in np.flatnonzero((largest > 0) & (largest < len(sizes)))]
    known = {"blur", "upscaled"} <= set(table.columns)
    return Statistics(
        images=len(names),
        judged=judged,
        out=out,
        patches_out=int((~left).sum()) - int(alone[image].sum()),
        overruled=overruled,
        taken={str(s): n for s, n in zip(sizes, counts, strict=True) if n},
        scored=tuple(map(str, sizes)),
        examples={"left_out": _spread([(names[i], r) for i, r in first.items()]), "sizes": smaller[:EXAMPLES]},
        soft=_soft(table, image, at, largest) if known else None,
        loss=table.column("loss")[left],
    )


def _out(
    reasons: Mapping[str, np.ndarray], image: np.ndarray, n: int
) -> tuple[dict[str, int], np.ndarray, dict[int, str]]:
    """By reason, the number of images that have no patch left; which [n] these are; and the reason of each."""
    every = summed(image, n)
    alone = summed(image[_any(reasons, len(image))], n) == every
    if not reasons:
        return {}, alone, {}
    most = np.argmax([summed(image[rows], n) for rows in reasons.values()], axis=0)
    names = list(reasons)
    first = {i: names[most[i]] for i in np.flatnonzero(alone).tolist()}
    counts = {reason: sum(r == reason for r in first.values()) for reason in names}
    return {reason: k for reason, k in counts.items() if k}, alone, first


def _any(reasons: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """Which rows [n] are left out for some reason."""
    gone = np.zeros(n, bool)
    for rows in reasons.values():
        gone |= rows
    return gone


def _spread(entries: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A few images, of every reason the first before a second."""
    seen: dict[str, int] = {}
    order = []
    for name, reason in entries:
        seen[reason] = seen.get(reason, 0) + 1
        order.append((seen[reason], name, reason))
    return [(name, reason) for _, name, reason in sorted(order, key=lambda e: e[0])[:EXAMPLES]]


def _soft(table: Rows, image: np.ndarray, at: np.ndarray, largest: np.ndarray) -> int:
    rows = at == largest[image]
    means = {}
    for name in ("blur", "upscaled"):
        values = table.column(name)
        known = rows & ~np.isnan(values)
        n = summed(image[known], len(largest))
        means[name] = summed(image[known], len(largest), values[known]) / np.where(n, n, np.nan)
    return sum(is_soft({name: float(v[i]) for name, v in means.items()}) for i in range(len(largest)))
