"""The decision on a pool: what is left out, at which size each image is taken, how much is kept, and why.

``decide`` is a pure function of the statistics of a score table. Everything that follows a recommendation (``prune``,
``stats``, the report) takes it from here; the rule of one image's size is ``srfast.scoring.image_size``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from srfast.coreset.counting import exact_sum, first_holding
from srfast.coreset.rejects import known_defects, marked
from srfast.data.shrink import sizes_of
from srfast.errors import InputError
from srfast.report.text import count, percent
from srfast.scoring.image_size import SMALLER_TOO, is_soft
from srfast.scoring.rows import Rows, coded
from srfast.scoring.table import one_table

KEEP_LOSS = 0.88
"""Share of the summed loss that the kept patches hold (docs/choosing-a-ratio.md): the best of the ratios that were
tried held 85 to 89 % of it in seven pools that differ in everything else."""
FEW = 32
"""Number of patches below which nothing is chosen, two batches of 16. It is a guard, and was not measured."""
WORDS = {
    "noise": "noisy", "blur": "blurred", "upscaled": "enlarged", "jpeg": "compressed", "overlay": "with text or marks",
    "halo": "over-sharpened", "shift": "off their LR image", "duplicate": "copies of others", "leak": "test images",
}  # fmt: skip
"""Reason -> what the images are, after their number."""
NOT_LIMITS = ("duplicate", "leak")
"""Reasons that no threshold decides; they leave out images of which nothing else is left, too."""


@dataclass(frozen=True)
class Advice:
    """A part of a recommendation."""

    sentence: str
    figures: dict[str, Any]
    """The figures behind the sentence, by name."""


@dataclass(frozen=True)
class Recommendation:
    """What to do with a pool, as ``srfast.recommend`` returns it."""

    left_out: Advice
    sizes: Advice
    ratio: Advice
    selection: dict[str, Any]
    """The settings of ``srfast.select`` that follow it."""

    @property
    def sentences(self) -> list[str]:
        return [self.left_out.sentence, self.sizes.sentence, self.ratio.sentence]

    def as_dict(self) -> dict[str, Any]:
        """The recommendation as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Statistics:
    """What the decision looks at."""

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
    soft: int | None = None
    """Number of images that are larger than their detail at the largest size that is left; None: not known."""
    loss: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """Losses [n] of the patches that are left, in any order, float32."""


def recommend(scores: Rows | str | os.PathLike[str] | Iterable[Rows | str | os.PathLike[str]]) -> Recommendation:
    """What to leave out of a pool, at which size to take each image, and how much to keep, each with its reason.

    Args:
        scores: A score table or its path, or all the shards of a dataset. Without the columns of ``defects`` nothing is
            left out, and without several sizes every image is taken as it was scored.

    Returns:
        The recommendation; ``srfast.select(scores, **recommendation.selection)`` follows it.

    Raises:
        InputError: there are no rows, or ``srfast.stats`` would refuse the scores.
    """
    table = one_table(scores)
    judged = known_defects(table.columns)
    found = statistics(table, marked(table, judged, None), judged)
    return decide(found, {"clean": True} if judged and not found.overruled else {})


def statistics(table: Rows, reasons: Mapping[str, np.ndarray], judged: bool) -> Statistics:
    """The statistics of a table [n] that the decision looks at.

    Args:
        table: The score table.
        reasons: By reason, which rows [n] are left out.
        judged: Whether anything looked for reasons.

    Raises:
        InputError: the table has no rows, or every image is a copy or a test image.
    """
    if not len(table):
        raise InputError("scores: expected at least one patch, got an empty table")
    names, image = coded(table.table.column("image"))
    out, alone = _out(reasons, image, len(names))
    overruled: dict[str, int] = {}
    if alone.all():
        overruled, reasons = out, {k: v for k, v in reasons.items() if k in NOT_LIMITS}
        out, alone = _out(reasons, image, len(names))
        if alone.all():
            what = " and ".join(f"{n} {WORDS[r]}" for r, n in out.items())
            raise InputError(
                f"images: nothing is left of {len(names)} ({what}); give other images, or leave out --against"
            )
    gone = np.any([np.zeros(len(table), bool), *reasons.values()], axis=0)
    left = np.flatnonzero(~gone)
    sizes, at = sizes_of(table.table, table.meta)
    largest = np.full(len(names), len(sizes))
    np.minimum.at(largest, image[left], at[left])
    counts = np.bincount(largest, minlength=len(sizes) + 1)[: len(sizes)].tolist()
    soft = _soft(table, image, at, largest) if {"blur", "upscaled"} <= set(table.columns) else None
    return Statistics(
        len(names), judged, out, int(gone.sum()) - int(alone[image].sum()), overruled,
        {str(s): n for s, n in zip(sizes, counts, strict=True) if n}, tuple(map(str, sizes)), soft,
        table.column("loss")[left],
    )  # fmt: skip


def _out(reasons: Mapping[str, np.ndarray], image: np.ndarray, n: int) -> tuple[dict[str, int], np.ndarray]:
    """By reason, the number of images that have no patch left; and which [n] these are."""
    every = np.bincount(image, minlength=n)
    gone = np.any([np.zeros(len(image), bool), *reasons.values()], axis=0)
    alone = np.bincount(image[gone], minlength=n) == every
    if not reasons:
        return {}, alone
    most = np.argmax([np.bincount(image[rows], minlength=n) for rows in reasons.values()], axis=0)
    found = np.bincount(most[alone], minlength=len(reasons)).tolist()
    return {reason: k for reason, k in zip(reasons, found, strict=True) if k}, alone


def _soft(table: Rows, image: np.ndarray, at: np.ndarray, largest: np.ndarray) -> int:
    rows = at == largest[image]
    found = {}
    for name in ("blur", "upscaled"):
        values = table.column(name).astype(np.float64)
        known = rows & ~np.isnan(values)
        n = np.bincount(image[known], minlength=len(largest))
        found[name] = np.bincount(image[known], values[known], len(largest)) / np.where(n, n, np.nan)
    return sum(is_soft({name: float(v[i]) for name, v in found.items()}) for i in range(len(largest)))


def decide(found: Statistics, following: Mapping[str, Any]) -> Recommendation:
    """The decision.

    Args:
        found: The statistics of a score table.
        following: The settings of ``srfast.select`` that leave out what ``found`` does not count among its losses.
    """
    ratio, keep = _ratio(found)
    # A place is then taken at each size at which it is hard.
    sizes = {"sizes": "all"} if SMALLER_TOO and len(found.scored) > 1 else {}
    return Recommendation(_left_out(found), _sizes(found), ratio, {**following, **sizes, **keep})


def _left_out(found: Statistics) -> Advice:
    n = sum(found.out.values())
    figures = {"images": found.images, "left_out": n, "reasons": found.out, "patches": found.patches_out,
               "overruled": found.overruled}  # fmt: skip
    some = f", and {count(found.patches_out, 'patch')} of other images" if found.patches_out else ""
    every = count(found.images, "image")
    if not found.judged and not n:
        return Advice("Nothing is left out: no defect was looked for.", figures)
    if found.overruled:
        said = f"The limits would leave out every image ({_listed(found.overruled)}), so they are not followed"
        return Advice(f"{said}: look at the images, and choose.", figures)
    if not n:
        return Advice(f"None of {every} is left out{some}.", figures)
    return Advice(f"{n:,} of {every} {_are(n)} left out ({_listed(found.out)}){some}.", figures)


def _listed(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {WORDS.get(reason, reason)}" for reason, n in reasons.items())


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _sizes(found: Statistics) -> Advice:
    left = sum(found.taken.values())
    smaller = {size: n for size, n in found.taken.items() if size != "1"}
    n = sum(smaller.values())
    figures = {"images": left, "larger_than_their_detail": n, "by_size": found.taken, "soft": found.soft}
    if len(found.scored) == 1:
        at = "full size" if found.scored == ("1",) else found.scored[0]
        soft = f", although {found.soft:,} {_are(found.soft)} larger than the detail" if found.soft else ""
        return Advice(f"Every image is taken at {at}{soft}.", figures)
    if not n:
        return Advice(
            f"No image is larger than its detail: {count(left, 'image')} {_are(left)} taken at full size.", figures
        )
    where = ", ".join(f"{k:,} at {size}" for size, k in smaller.items())
    below = " and below" if SMALLER_TOO else ""
    said = f"{n:,} of {count(left, 'image')} {_are(n)} larger than the detail"
    return Advice(f"{said}, and {_are(n)} taken smaller ({where}{below}).", figures)


def _ratio(found: Statistics) -> tuple[Advice, dict[str, Any]]:
    """The ratio, and the setting that gives it."""
    loss = np.sort(found.loss)[::-1]
    n, total = len(loss), exact_sum(loss)
    kept = first_holding(loss, Fraction(str(KEEP_LOSS)) * total) if total > 0 else n
    figures = {"patches": n, "kept": kept, "share": kept / n, "keep_loss": KEEP_LOSS}
    if n <= FEW or not total > 0:
        why = "too few to choose from" if n <= FEW else "and the scorer makes no error on any"
        said = f"{count(n, 'patch')} {_are(n)} left, {why}: all are kept."
        return Advice(said, {**figures, "kept": n, "share": 1.0}), {"keep": 1.0}
    if kept < FEW:
        said = f"The hardest {count(kept, 'patch')} hold {percent(KEEP_LOSS)} of the error; {FEW} of {n:,} are kept."
        return Advice(said, {**figures, "kept": FEW, "share": FEW / n}), {"keep": FEW / n}
    said = f"The hardest {percent(kept, n)} of the patches hold {percent(KEEP_LOSS)} of the error"
    return Advice(f"{said}: {kept:,} of {n:,} are kept.", figures), {"keep_loss": KEEP_LOSS}
