"""Intervals, equivalence and verdicts, on differences whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from srfast.study.inference import DELTA, compare, equivalence, interval, pooled_sigma


def paired(
    effect: float, sigma: float, seeds: int = 4, images: int = 100, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """PSNRs of two arms: images differ by decibels, seeds by sigma, the arms by the effect."""
    rng = np.random.default_rng(seed)
    level = 30 + 4 * rng.standard_normal((1, images))
    own = sigma / math.sqrt(2) * rng.standard_normal((2, seeds, 1)) + 0.01 * rng.standard_normal((2, seeds, images))
    return level + effect + own[0], level + own[1]


def test_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0])
    found = interval(values)
    assert (found.low, found.high) == pytest.approx(stats.ttest_1samp(values, 0).confidence_interval(0.95))
    assert math.isnan(interval(values[:1]).low)


@pytest.mark.parametrize(
    ("effect", "sigma", "verdict"),
    [
        (0.2, 0.01, "better"),
        (-0.2, 0.01, "worse"),
        (0.0, 0.003, "as good"),
        (0.009, 0.0005, "better, by less than 0.02 dB"),
        (0.01, 0.1, "could not be told apart"),
    ],
)
def test_verdicts(effect: float, sigma: float, verdict: str) -> None:
    assert compare(*paired(effect, sigma)).verdict == verdict


def test_one_seed_gives_no_verdict() -> None:
    found = compare(*paired(0.2, 0.01, seeds=1))
    assert found.verdict == "one seed: no verdict"
    assert found.needed is None


def test_the_interval_covers_what_it_should() -> None:
    """Four seeds, images whose differences vary: 95 % intervals miss the truth about one time in twenty."""
    missed = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        difference = 0.02 * rng.standard_normal((4, 1)) + 0.05 * rng.standard_normal((1, 30))
        difference = difference + 0.02 * rng.standard_normal((4, 30))
        effect = compare(difference, np.zeros_like(difference)).effect
        missed += not effect.low <= 0 <= effect.high
    assert 1 <= missed <= 18


def test_seeds_needed() -> None:
    """16 (sigma / delta)^2: 4 at 0.01 dB, 16 at 0.02 dB."""
    for sigma, needed in ((0.01, 4), (0.02, 16)):
        per_seed = np.array([-1.0, 0.0, 1.0]) * sigma
        a = np.repeat(per_seed[:, None], 5, 1)
        assert compare(a, np.zeros_like(a)).needed == needed


def test_equivalence_is_two_one_sided_tests() -> None:
    values = np.array([0.004, -0.003, 0.006, 0.001])
    both = [
        stats.ttest_1samp(values, -DELTA, alternative="greater").pvalue,
        stats.ttest_1samp(values, DELTA, alternative="less").pvalue,
    ]
    assert equivalence(values) == max(both)
    assert equivalence(np.zeros(3)) == 0
    assert equivalence(np.full(3, 0.03)) == 1


def test_pooled_sigma() -> None:
    assert pooled_sigma([np.array([1.0, 3.0]), np.array([5.0]), np.array([0.0, 0.0])]) == pytest.approx(1.0)
    assert math.isnan(pooled_sigma([np.array([1.0])]))
