"""The decision on a pool: what is left out, at which size each image is taken, how much is kept, and why.

``decide`` is a pure function of the statistics of a score table. Everything that follows a recommendation (``prune``,
``stats``, the report) takes it from here; the rule of one image's size is ``srfast.scoring.defect_columns``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from srfast.coreset.counting import exact_sum, first_holding
from srfast.coreset.rejects import known_defects, marked
from srfast.report.content import count, percent
from srfast.scoring.rows import Rows
from srfast.scoring.stored import opened_rows
from srfast.workflows.pool_statistics import WORDS, Statistics, statistics

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
               "overruled": pool.overruled, "examples": _examples_in_words(pool, "left_out")}  # fmt: skip
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


def _examples_in_words(pool: Statistics, part: str) -> list[list[str]]:
    words = WORDS if part == "left_out" else {}
    return [[name, words.get(said, said)] for name, said in pool.examples.get(part, [])]


def _listed(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {WORDS.get(reason, reason)}" for reason, n in reasons.items())


def _is_or_are(n: int) -> str:
    return "is" if n == 1 else "are"


def _sizes(pool: Statistics) -> Advice:
    left = sum(pool.taken.values())
    smaller = {size: n for size, n in pool.taken.items() if size != "1"}
    n = sum(smaller.values())
    figures = {"images": left, "taken_smaller": n, "by_size": pool.taken,
               "soft": pool.soft, "examples": _examples_in_words(pool, "sizes")}  # fmt: skip
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
