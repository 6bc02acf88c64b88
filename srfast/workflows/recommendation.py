"""The decision on a pool: what is left out, at which size each image is taken, how much is kept, and why.

``decide`` is a pure function of the statistics of a score table. Everything that follows a recommendation (``prune``,
``stats``, the report) takes it from here; the rule of one image's size is ``srfast.scoring.defect_columns``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from srfast.coreset.limits import exact_sum, first_holding, running_count, soft_groups
from srfast.coreset.rejects import REASONS, known_defects, marked, union
from srfast.errors import InputError
from srfast.report.content import count, percent
from srfast.scoring.defect_columns import DEFECTS
from srfast.scoring.notebook import html
from srfast.scoring.rows import Rows, summed
from srfast.scoring.stored import opened_rows

WORDS = {d.name: d.said for d in DEFECTS if d.said} | {name: r.said for name, r in REASONS.items()}
"""Reason -> what the images are, after their number."""
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
    out, alone, first = _out(reasons, image, len(names))
    overruled: dict[str, int] = {}
    if alone.all():
        overruled, reasons = out, {k: v for k, v in reasons.items() if k in REASONS}
        out, alone, first = _out(reasons, image, len(names))
        if alone.all():
            what = " and ".join(f"{n} {WORDS[r]}" for r, n in out.items())
            raise InputError(
                f"images: nothing is left of {len(names)} ({what})", hint="give other images, or leave out --against"
            )
    left = ~union(reasons, len(table))
    sizes, at = table.sizes()
    largest = np.full(len(names), len(sizes))
    for size in reversed(range(len(sizes))):
        largest[summed(image[left & (at == size)], len(names)) > 0] = size
    counts = np.bincount(largest, minlength=len(sizes) + 1)[: len(sizes)].tolist()
    turn = running_count(np.unique(list(first.values()), return_inverse=True)[1])
    examples = [(names[i], r) for _, (i, r) in sorted(zip(turn, first.items(), strict=True), key=lambda e: e[0])]
    last = np.flatnonzero(at == largest[image])
    smaller = [(names[i], str(sizes[largest[i]])) for i in np.flatnonzero((largest > 0) & (largest < len(sizes)))]
    return Statistics(
        images=len(names),
        judged=judged,
        out=out,
        patches_out=int((~left).sum()) - int(alone[image].sum()),
        overruled=overruled,
        taken={str(s): n for s, n in zip(sizes, counts, strict=True) if n},
        scored=tuple(map(str, sizes)),
        examples={"left_out": examples[:EXAMPLES], "sizes": smaller[:EXAMPLES]},
        soft=int(soft.sum()) if (soft := soft_groups(table, last, image[last])) is not None else None,
        loss=table.column("loss")[left],
    )


def _out(
    reasons: Mapping[str, np.ndarray], image: np.ndarray, n: int
) -> tuple[dict[str, int], np.ndarray, dict[int, str]]:
    """By reason, the number of images that have no patch left; which [n] these are; and the reason of each."""
    every = summed(image, n)
    alone = summed(image[union(reasons, len(image))], n) == every
    if not reasons:
        return {}, alone, {}
    most = np.argmax([summed(image[rows], n) for rows in reasons.values()], axis=0)
    names = list(reasons)
    first = {i: names[most[i]] for i in np.flatnonzero(alone).tolist()}
    counts = {reason: sum(r == reason for r in first.values()) for reason in names}
    return {reason: k for reason, k in counts.items() if k}, alone, first


KEEP_LOSS = 0.88
"""Share of the summed loss that the kept patches hold (docs/will-it-help.md): the best of the ratios that were
tried held 85 to 89 % of it in seven pools that differ in everything else."""
FEW = 32
"""Number of patches below which nothing is chosen, two batches of 16. It is a guard, and was not measured."""


@dataclass(frozen=True)
class Advice:
    """A part of a recommendation."""

    sentence: str
    figures: dict[str, Any]
    """The figures behind the sentence, by name."""


@dataclass(frozen=True)
class Recommendation:
    """The advice on a pool, as ``srfast.recommend`` returns it."""

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

    def _repr_html_(self) -> str:
        return html("Recommendation", self.sentences, self.selection)


def recommend(scores: Rows | str | os.PathLike[str] | Iterable[Rows | str | os.PathLike[str]]) -> Recommendation:
    """Advises what to leave out of a pool, at which size to take each image, and how much to keep, each with its
    reason.

    Args:
        scores: A score table or its path, or all the shards of a dataset. Without the columns of ``defects`` nothing is
            left out, and without several sizes every image is taken as it was scored.

    Returns:
        The recommendation; ``srfast.select(scores, **recommendation.selection)`` follows it.

    Raises:
        InputError: there are no rows, or ``srfast.stats`` would refuse the scores.
    """
    table = scores if isinstance(scores, Rows) else opened_rows(scores, selecting=True)
    judged = known_defects(table.columns)
    pool = statistics(table, marked(table, judged, None), judged)
    return decide(pool, {"clean": True} if judged and not pool.overruled else {})


def decide(pool: Statistics, following: Mapping[str, Any]) -> Recommendation:
    """The decision from the statistics of a score table, where ``following`` are the settings of ``srfast.select`` that
    leave out what ``pool`` does not count among its losses."""
    ratio, keep = _ratio(pool)
    # A place is then taken at each size at which it is hard.
    sizes = {"sizes": "all"} if len(pool.scored) > 1 else {}
    return Recommendation(_left_out(pool), _sizes(pool), ratio, {**following, **sizes, **keep})


def _left_out(pool: Statistics) -> Advice:
    n = sum(pool.out.values())
    figures = {"images": pool.images, "left_out": n, "reasons": pool.out, "patches": pool.patches_out,
               "overruled": pool.overruled, "examples": _in_words(pool.examples.get("left_out", []))}  # fmt: skip
    some = f", and {count(pool.patches_out, 'patch')} of other images" if pool.patches_out else ""
    every = count(pool.images, "image")
    if not pool.judged and not n:
        return Advice("Nothing is left out: no defect was looked for.", figures)
    if pool.overruled:
        said = f"The limits would leave out every image ({_listed(pool.overruled)}), so they are not followed"
        return Advice(f"{said}: look at the images, and choose.", figures)
    if not n:
        k = pool.patches_out
        but = f", but {count(k, 'patch')} of them {_is_or_are(k)}" if k else ""
        return Advice(f"None of {every} is left out{but}.", figures)
    return Advice(f"{n:,} of {every} {_is_or_are(n)} left out ({_listed(pool.out)}){some}.", figures)


def _in_words(examples: list[tuple[str, str]]) -> list[list[str]]:
    return [[name, WORDS.get(said, said)] for name, said in examples]


def _listed(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {WORDS.get(reason, reason)}" for reason, n in reasons.items())


def _is_or_are(n: int) -> str:
    return "is" if n == 1 else "are"


def _sizes(pool: Statistics) -> Advice:
    left = sum(pool.taken.values())
    smaller = {size: n for size, n in pool.taken.items() if size != "1"}
    n = sum(smaller.values())
    figures = {"images": left, "taken_smaller": n, "by_size": pool.taken,
               "soft": pool.soft, "examples": _in_words(pool.examples.get("sizes", []))}  # fmt: skip
    if len(pool.scored) == 1:
        at = "full size" if pool.scored == ("1",) else pool.scored[0]
        soft = f", although {pool.soft:,} {_is_or_are(pool.soft)} larger than the detail" if pool.soft else ""
        return Advice(f"Every image is taken at {at}{soft}.", figures)
    said = f"Every image is taken at up to {len(pool.scored)} sizes, each patch where it is hard"
    if not n:
        return Advice(f"{said}; none is beyond a limit at full size.", figures)
    where = ", ".join(f"{k:,} from {size}" for size, k in smaller.items())
    return Advice(
        f"{said}; {n:,} of {left:,} {_is_or_are(n)} beyond a limit at full size, and taken smaller ({where}).", figures
    )


def _ratio(pool: Statistics) -> tuple[Advice, dict[str, Any]]:
    """The ratio, and the setting that gives it."""
    loss = np.sort(pool.loss)[::-1]
    n, total = len(loss), exact_sum(loss)
    kept = first_holding(loss, Fraction(str(KEEP_LOSS)) * total) if total > 0 else n
    figures = {"patches": n, "kept": kept, "share": kept / n, "keep_loss": KEEP_LOSS}
    if n <= FEW or not total > 0:
        why = "too few to choose from" if n <= FEW else "and the scorer makes no error on any"
        said = f"{count(n, 'patch')} {_is_or_are(n)} left, {why}: all are kept."
        return Advice(said, {**figures, "kept": n, "share": 1.0}), {"keep": 1.0}
    if kept < FEW:
        said = f"The hardest {count(kept, 'patch')} hold {percent(KEEP_LOSS)} of the error; {FEW} of {n:,} are kept."
        return Advice(said, {**figures, "kept": FEW, "share": FEW / n}), {"keep": FEW / n}
    said = f"The hardest {percent(kept, n)} of the patches hold {percent(KEEP_LOSS)} of the error"
    return Advice(f"{said}: {kept:,} of {n:,} are kept.", figures), {"keep_loss": KEEP_LOSS}
