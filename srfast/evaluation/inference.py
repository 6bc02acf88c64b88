"""Statistics of differences between two models: intervals, tests, equivalence, and the number of seeds they need.

Differences are arrays [seeds, images]; both are samples, of trainings and of photographs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

DELTA = 0.02
"""Difference in dB below which arms count as equally good: the size of the gains that papers claim."""
LEVEL = 0.95
POWER = 0.8


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds of its interval; NaN if one seed gives none."""

    mean: float
    low: float
    high: float


def interval(values: np.ndarray) -> Interval:
    """Mean over seeds [seeds] with Student's interval, for these test images."""
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    return StandardError.of(values).around(mean, LEVEL)


@dataclass(frozen=True)
class StandardError:
    """The standard error of a mean and its degrees of freedom."""

    se: float
    df: float

    @classmethod
    def of(cls, values: np.ndarray) -> StandardError:
        """That of Student's t over values [n]."""
        return cls(float(values.std(ddof=1)) / math.sqrt(len(values)), len(values) - 1)

    def around(self, mean: float, level: float) -> Interval:
        """The interval at a level, by Student's t."""
        half = float(special.stdtrit(self.df, (1 + level) / 2)) * self.se
        return Interval(mean, mean - half, mean + half)

    def beyond(self, distance: float) -> float:
        """The probability of a mean at least as far above its expectation."""
        if self.se == 0:
            return 0.0 if distance > 0 else 1.0 if distance < 0 else 0.5
        return float(special.stdtr(self.df, -distance / self.se))


@dataclass(frozen=True)
class Comparison:
    """Arm a minus arm b, over the seeds and images that both have."""

    effect: Interval
    """The difference in dB, with the wider of the mixed model's interval over seeds and images and of Student's over
    the seeds."""
    seeds: int
    sigma: float
    """Standard deviation of the difference between seeds in dB; NaN for one seed."""
    p: float
    """Two-sided p-value of "there is no difference": the larger of Student's over the seeds and the mixed model's."""
    p_equivalent: float
    """p-value of two one-sided tests against +-DELTA: the larger of the same two."""
    errors: tuple[StandardError, ...] = ()
    """The standard errors of Student's t over the seeds, and of the mixed model."""

    @property
    def verdict(self) -> str:
        return self.judged(self.effect, self.p_equivalent)

    def judged(self, effect: Interval, p_equivalent: float) -> str:
        """The verdict by an interval and a p-value of equivalence, which a correction may have widened."""
        if self.seeds < 2:
            return "one seed: no verdict"
        if effect.low > 0:
            word = "better"
        elif effect.high < 0:
            word = "worse"
        else:
            return "as good" if p_equivalent < 1 - LEVEL else "not significant"
        return f"{word}, by less than {DELTA} dB" if p_equivalent < 1 - LEVEL else word

    def at(self, level: float) -> Interval:
        """The same interval at another level."""
        return _wider(self.effect.mean, self.errors, level)

    @property
    def needed(self) -> int | None:
        """Number of seeds needed to detect a difference of DELTA."""
        return None if math.isnan(self.sigma) else seeds_needed(self.sigma)


def compare(a: np.ndarray, b: np.ndarray) -> Comparison:
    """Compares PSNRs [seeds, images] that are paired in both."""
    return judge(a - b)


def judge(difference: np.ndarray) -> Comparison:
    """The statistics of the mean of differences [seeds, images]."""
    per_seed = difference.mean(1)
    seeds = len(per_seed)
    if seeds < 2:
        return Comparison(interval(per_seed), seeds, math.nan, math.nan, math.nan)
    mean, sigma = float(per_seed.mean()), float(per_seed.std(ddof=1))
    errors = (StandardError.of(per_seed), mixed_model(difference))
    p = min(1.0, max(2 * e.beyond(abs(mean)) for e in errors))
    p_equivalent = max(e.beyond(DELTA - abs(mean)) for e in errors)
    return Comparison(_wider(mean, errors, LEVEL), seeds, sigma, p, p_equivalent, errors)


def _wider(mean: float, errors: Sequence[StandardError], level: float) -> Interval:
    intervals = [e.around(mean, level) for e in errors]
    return Interval(mean, min(i.low for i in intervals), max(i.high for i in intervals))


def mixed_model(difference: np.ndarray) -> StandardError:
    """The standard error of the mean of [seeds, images] with random, crossed effects of seeds and images.

    It is the balanced two-way model without replication, by its mean squares (Henderson's method): the variance is
    (MS_seeds + MS_images - MS_rest) / (seeds images), with an effect of images not below zero; its degrees of freedom
    are Satterthwaite's, and no fewer than the fewest of its terms: where the subtraction leaves little, his formula
    gives next to none, and an interval without end.
    """
    seeds, images = difference.shape
    of_seeds = images * float(difference.mean(1).var(ddof=1))
    count = seeds * images
    if images < 2:
        return StandardError(math.sqrt(of_seeds / count), seeds - 1)
    of_images = seeds * float(difference.mean(0).var(ddof=1))
    rest = difference - difference.mean(1, keepdims=True) - difference.mean(0) + difference.mean()
    freedom = (seeds - 1) * (images - 1)
    remainder = float((rest**2).sum() / freedom)
    parts = [(of_seeds, seeds - 1)]
    total = of_seeds
    if of_images > remainder:
        total += of_images - remainder
        parts += [(of_images, images - 1), (remainder, freedom)]
    if total <= 0:
        return StandardError(0.0, seeds - 1)
    satterthwaite = total**2 / sum(m**2 / f for m, f in parts if m)
    return StandardError(math.sqrt(total / count), max(satterthwaite, min(f for _, f in parts)))


def power(sigma: float, seeds: int, delta: float = DELTA) -> float:
    """The probability that a two-sided t-test of 5 % over paired seeds detects a difference of delta."""
    if sigma == 0:
        return 1.0
    limit = special.stdtrit(seeds - 1, (1 + LEVEL) / 2)
    return float(stats.nct.sf(limit, seeds - 1, delta * math.sqrt(seeds) / sigma))


def seeds_needed(sigma: float) -> int:
    """The smallest number of seeds that detects a difference of DELTA with a power of 80 %: about 8 (sigma / DELTA)^2;
    ``sigma`` is the standard deviation of the *paired* difference between seeds in dB."""
    seeds = max(2, int(7.85 * (sigma / DELTA) ** 2))
    while seeds > 2 and power(sigma, seeds - 1) >= POWER:
        seeds -= 1
    while power(sigma, seeds) < POWER:
        seeds += 1
    return seeds


def minimum_detectable_effect(sigma: float, seeds: int) -> float:
    """The difference that so many seeds detect with a power of 80 %."""
    low, high = 0.0, 1000 * sigma
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if power(sigma, seeds, middle) >= POWER else (middle, high)
    return high


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values of one family (1979): the probability of any false rejection is at most their level."""
    adjusted = [1.0] * len(p)
    running = 0.0
    for place, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        running = max(running, min(1.0, (len(p) - place) * p[i]))
        adjusted[i] = running
    return adjusted


def pooled_sigma(samples: list[np.ndarray]) -> float:
    """The standard deviation between seeds, pooled over several groups [seeds]; NaN if no group has two."""
    squares = [((s - s.mean()) ** 2).sum() for s in samples if len(s) > 1]
    freedom = sum(len(s) - 1 for s in samples if len(s) > 1)
    return math.sqrt(sum(squares) / freedom) if freedom else math.nan
