"""What differences between two arms mean: intervals, equivalence, and how many seeds they need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

DELTA = 0.02
"""dB: arms closer than this are as good as each other; the size of the gains that papers claim."""
LEVEL = 0.95
RESAMPLES = 4000


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds of its interval; NaN where one seed gives none."""

    mean: float
    low: float
    high: float


def interval(values: np.ndarray) -> Interval:
    """Mean over seeds [seeds] with Student's interval, for these test images."""
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


@dataclass(frozen=True)
class Comparison:
    """Arm a less arm b, over the seeds and images that both have."""

    effect: Interval
    """dB; the wider of a bootstrap over seeds and images and of Student's interval over the seeds."""
    seeds: int
    sigma: float
    """Spread of the difference between seeds, dB; NaN for one seed."""
    p_equivalent: float
    """Of two one-sided t-tests against +-DELTA."""

    @property
    def verdict(self) -> str:
        if self.seeds < 2:
            return "one seed: no verdict"
        if self.effect.low > 0:
            word = "better"
        elif self.effect.high < 0:
            word = "worse"
        else:
            return "as good" if self.p_equivalent < 1 - LEVEL else "could not be told apart"
        return f"{word}, by less than {DELTA} dB" if self.p_equivalent < 1 - LEVEL else word

    @property
    def needed(self) -> int | None:
        """Seeds that telling a difference of DELTA takes: 16 (sigma / DELTA)^2 (power of about 80 %)."""
        return None if math.isnan(self.sigma) else max(2, math.ceil(16 * (self.sigma / DELTA) ** 2 - 1e-9))


def compare(a: np.ndarray, b: np.ndarray) -> Comparison:
    """Compares PSNRs [seeds, images] that are paired in both."""
    difference = a - b
    per_seed = difference.mean(1)
    seeds = len(per_seed)
    if seeds < 2:
        return Comparison(interval(per_seed), seeds, math.nan, math.nan)
    student, resampled = interval(per_seed), _bootstrap(difference)
    effect = Interval(student.mean, min(student.low, resampled.low), max(student.high, resampled.high))
    sigma = float(per_seed.std(ddof=1))
    return Comparison(effect, seeds, sigma, equivalence(per_seed))


def equivalence(per_seed: np.ndarray, delta: float = DELTA) -> float:
    """The p-value of "the mean lies within +-delta": the larger of two one-sided t-tests."""
    if per_seed.std() < 1e-12:
        return 0.0 if abs(per_seed.mean()) < delta else 1.0
    above = stats.ttest_1samp(per_seed, -delta, alternative="greater").pvalue
    below = stats.ttest_1samp(per_seed, delta, alternative="less").pvalue
    return float(max(above, below))


def _bootstrap(difference: np.ndarray) -> Interval:
    """Percentile interval of the mean of [seeds, images], both resampled independently.

    The mean, the effects of seeds and of images and the rest are resampled with n / (n - 1) times their variance,
    which a bootstrap of few seeds otherwise understates.
    """
    seeds, images = difference.shape
    mean = difference.mean()
    of_seed, of_image = difference.mean(1) - mean, difference.mean(0) - mean
    rest = difference - mean - of_seed[:, None] - of_image
    seed_weight, image_weight = _weights(seeds, images)
    by_seeds, by_images = math.sqrt(seeds / (seeds - 1)), math.sqrt(images / (images - 1)) if images > 1 else 1.0
    means = mean + by_seeds * seed_weight @ of_seed + by_images * image_weight @ of_image
    means += by_seeds * by_images * ((seed_weight @ rest) * image_weight).sum(1)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(mean), float(low), float(high))


@lru_cache(maxsize=16)
def _weights(seeds: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each seed and each image is drawn, [resamples, n], summing to 1."""
    rng = np.random.default_rng(0)
    seed_weight = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    return seed_weight, rng.multinomial(images, np.full(images, 1 / images), RESAMPLES) / images


def pooled_sigma(samples: list[np.ndarray]) -> float:
    """The spread between seeds from several groups [seeds]; NaN where no group has two."""
    squares = [((s - s.mean()) ** 2).sum() for s in samples if len(s) > 1]
    freedom = sum(len(s) - 1 for s in samples if len(s) > 1)
    return math.sqrt(sum(squares) / freedom) if freedom else math.nan
