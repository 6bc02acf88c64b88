"""Intervals, equivalence and verdicts, on differences whose answer is known."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from srfast.evaluation.inference import (
    DELTA,
    compare,
    holm,
    interval,
    judge,
    minimum_detectable_effect,
    mixed_model,
    pooled_sigma,
    power,
    seeds_needed,
)
from srfast.study.groups import groups
from srfast.study.results import Results

COMMITTED = Path(__file__).resolve().parents[2] / "studies" / "results"


def paired(effect, sigma, seeds=4, images=100, seed=0):
    """PSNRs of two arms: images differ by decibels, seeds by sigma, the arms by the effect."""
    rng = np.random.default_rng(seed)
    level = 30 + 4 * rng.standard_normal((1, images))
    own = sigma / math.sqrt(2) * rng.standard_normal((2, seeds, 1)) + 0.01 * rng.standard_normal((2, seeds, images))
    return level + effect + own[0], level + own[1]


def test_interval_is_students():
    values = np.array([1.0, 2.0, 4.0])
    result = interval(values)
    assert (result.low, result.high) == pytest.approx(stats.ttest_1samp(values, 0).confidence_interval(0.95))
    assert math.isnan(interval(values[:1]).low)
    assert pooled_sigma([np.array([1.0, 3.0]), np.array([5.0]), np.array([0.0, 0.0])]) == pytest.approx(1.0)
    assert math.isnan(pooled_sigma([values[:1]]))
    one_seed = compare(*paired(0.2, 0.01, seeds=1))
    assert (one_seed.verdict, one_seed.needed) == ("one seed: no verdict", None)


@pytest.mark.parametrize(
    ("effect", "sigma", "verdict"),
    [
        (0.2, 0.01, "better"),
        (-0.2, 0.01, "worse"),
        (0.0, 0.003, "as good"),
        (0.009, 0.0005, "better, by less than 0.02 dB"),
        (0.01, 0.1, "not significant"),
    ],
)
def test_verdicts(effect, sigma, verdict):
    assert compare(*paired(effect, sigma)).verdict == verdict


def draw(rng, seeds, images, mean, parts):
    """Differences [seeds, images] of seeds and images that are samples."""
    shapes = ((seeds, 1), (1, images), (seeds, images))
    return mean + sum(part * rng.standard_normal(shape) for part, shape in zip(parts, shapes, strict=True))


def components(difference):
    """The spread by seeds, by images and of the rest, from their mean squares."""
    seeds, images = difference.shape
    mean = difference.mean()
    rest = difference - difference.mean(1, keepdims=True) - difference.mean(0) + mean
    square = float((rest**2).sum() / (seeds - 1) / (images - 1))
    of_seed = float(difference.mean(1).var(ddof=1)) - square / images
    of_image = float(difference.mean(0).var(ddof=1)) - square / seeds
    return math.sqrt(max(0.0, of_seed)), math.sqrt(max(0.0, of_image)), math.sqrt(square)


@pytest.fixture(scope="module")
def committed():
    """PSNR on BSD100 [12 seeds, 100 images] of the arms of a committed study."""
    every_group = groups(Results.read(COMMITTED / "needed-bsds" / "BSDS400"))
    return {(g.key.arm, g.key.keep): g.psnr["BSD100"] for g in every_group}


# Of 600 trials with a chance of 5 %, 7.8 % or more come once in a thousand: binomial, sigma 0.9 %.
TRIALS, MOST = 600, 0.078


@pytest.mark.parametrize(("seeds", "images"), [(2, 100), (4, 100), (12, 100), (8, 5)])
def test_false_verdicts_on_nulls_like_the_committed_trainings(committed, seeds, images):
    parts = components(committed["des", 0.5] - committed["full", 1.0])
    assert parts[0] > 0.02
    assert parts[1] > 0.03
    rng = np.random.default_rng(seeds)
    null = [judge(draw(rng, seeds, images, 0.0, parts)) for _ in range(TRIALS)]
    assert np.mean([c.effect.low > 0 or c.effect.high < 0 for c in null]) < MOST
    assert np.mean([c.p < 0.05 for c in null]) < MOST
    # "As good" of arms that differ by just what counts: seeds spread little here, so that images decide.
    quiet = (0.1 * parts[0], *parts[1:])
    edge = [judge(draw(rng, seeds, images, DELTA, quiet)) for _ in range(TRIALS)]
    assert np.mean([c.p_equivalent < 0.05 for c in edge]) < MOST


def test_the_mixed_model_is_students_where_images_do_not_differ():
    rng = np.random.default_rng(0)
    d = np.repeat(rng.standard_normal((5, 1)), 20, 1)
    error = mixed_model(d)
    assert (error.se, error.df) == pytest.approx((d[:, 0].std(ddof=1) / math.sqrt(5), 4))
    # 200 images that differ by 1, seeds that do not: the error of a mean of 200.
    only_images = mixed_model(np.repeat(rng.standard_normal((1, 200)), 3, 0))
    assert only_images.se == pytest.approx(1 / math.sqrt(200), rel=0.1)
    assert mixed_model(np.zeros((3, 4))).se == 0


@pytest.mark.parametrize(("seeds", "images"), [(2, 5), (4, 5), (8, 14), (4, 1000)])
def test_intervals_have_an_end_where_seeds_and_images_hardly_differ(seeds, images):
    """Where the mean squares nearly cancel, the degrees of freedom do not fall below those of the seeds or images, and
    false verdicts stay as rare."""
    rng = np.random.default_rng(images)
    null = [draw(rng, seeds, images, 0.0, (0.0, 0.02, 0.1)) for _ in range(TRIALS)]
    assert min(mixed_model(d).df for d in null) >= min(seeds, images) - 1
    assert np.mean([judge(d).p < 0.05 for d in null]) < MOST


@pytest.mark.parametrize("sigma", [0.01, 0.02, 0.045])
def test_seeds_needed_have_the_power_they_promise(sigma):
    """Simulated: 80 % of the trials tell a difference of 0.02 dB, and fewer do with a seed less."""
    n = seeds_needed(sigma)
    rng = np.random.default_rng(1)

    def share(seeds):
        d = DELTA + sigma * rng.standard_normal((20_000, seeds))
        return float(np.mean(stats.ttest_1samp(d, 0, axis=1).pvalue < 0.05))

    # 20,000 trials: a standard error of 0.3 %.
    assert share(n) == pytest.approx(power(sigma, n), abs=0.01)
    assert share(n) > 0.79
    assert share(n - 1) < 0.8
    assert 0 < n - 8 * (sigma / DELTA) ** 2 < 4  # the rule of thumb, for the paired difference
    assert minimum_detectable_effect(sigma, n) <= DELTA < minimum_detectable_effect(sigma, n - 1)


def test_holm():
    """By hand: 0.01 x 4, 0.02 x 3, 0.03 x 2 below the one before it, 0.5."""
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm([]) == []
    rng = np.random.default_rng(0)
    false = np.mean([min(holm(list(rng.random(9)))) < 0.05 for _ in range(10_000)])
    assert false == pytest.approx(0.05, abs=0.01)


def test_simultaneous_intervals_hold_all_of_a_family():
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(400):
        family = [judge(draw(rng, 4, 50, 0.0, (0.04, 0.06, 0.08))).at(1 - 0.05 / 6) for _ in range(6)]
        missed += any(not i.low <= 0 <= i.high for i in family)
    assert missed / 400 < 0.05 + 3 * 0.011
