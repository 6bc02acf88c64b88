"""Figures of a table against NumPy, SciPy and plain sums."""

from collections.abc import Callable

import numpy as np
import pytest

from srfast.coreset.selection import select
from srfast.errors import InputError
from srfast.scoring.statistics import agreement, summary
from srfast.scoring.table import ScoreTable

MakeTable = Callable[..., ScoreTable]

LOSS = np.random.default_rng(0).lognormal(3, 1, 101).astype(np.float32)
IMAGES = ["a.png"] * 40 + ["b.png"] * 1 + ["c.png"] * 60


def test_summary(make_table):
    quality = [None if i % 10 == 0 else float(i) for i in range(101)]
    table = make_table(LOSS.tolist(), IMAGES, quality=quality)
    got = summary(table)
    assert (got["patches"], got["images"]) == (101, 3)
    assert list(got["columns"]) == ["loss", "bicubic", "sobel", "quality"]
    assert got["columns"]["loss"]["quantiles"]["0.25"] == pytest.approx(np.quantile(LOSS.astype(float), 0.25))
    assert got["columns"]["loss"]["mean"] == pytest.approx(LOSS.mean(dtype=np.float64))
    assert got["columns"]["quality"]["missing"] == 11
    known = [q for q in quality if q is not None]
    assert got["columns"]["quality"]["quantiles"]["0.5"] == np.median(known)
    hardest = sorted(LOSS.tolist(), reverse=True)
    assert got["share_of_error"]["0.25"] == pytest.approx(sum(hardest[:25]) / sum(hardest))
    assert got["per_image"]["b.png"] == {
        "patches": 1, "mean": float(LOSS[40]), "median": float(LOSS[40]), "largest": float(LOSS[40]),
    }  # fmt: skip
    assert got["per_image"]["c.png"]["median"] == pytest.approx(np.median(LOSS[41:].astype(float)))
    assert got["agreement"]["bicubic"] == {"spearman": pytest.approx(1.0), "top_half": 1.0}
    assert "x" not in got["columns"]


def test_a_core_set_has_figures_too(make_table):
    assert summary(select(make_table(LOSS.tolist(), IMAGES), keep=0.5))["patches"] == 51
    with pytest.raises(InputError, match="empty table"):
        summary(make_table([]))


@pytest.mark.parametrize("odd", [float("inf"), float("nan")])
def test_a_loss_that_is_not_finite_is_refused(make_table, odd):
    with pytest.raises(InputError, match=r"^scores: column 'loss': expected finite values$"):
        summary(make_table([1.0, odd]))


def test_a_column_that_says_nothing_does_not_agree_with_the_order_of_the_rows():
    """A core-set's rows are the hardest first: of a constant column the first half of them counted as the higher."""
    loss = np.arange(10_000.0)[::-1]
    for values in (np.zeros(10_000), np.where(np.arange(10_000) % 100, 0.0, 1.0)):
        for order in (1, -1):
            # Draws of 5,000 of 10,000 rows without return: a standard deviation of 0.005.
            assert agreement(loss[::order], values[::order])["top_half"] == pytest.approx(0.5, abs=0.025)


@pytest.mark.parametrize("ties", [1000, 5])
def test_spearman_is_scipys(ties):
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(1)
    a, b = draw.integers(0, ties, 200).astype(float), draw.integers(0, ties, 200).astype(float)
    b[3] = np.nan
    known = np.isfinite(b)
    assert agreement(a, b)["spearman"] == pytest.approx(stats.spearmanr(a[known], b[known]).statistic)
    assert agreement(a, np.ones(200))["spearman"] is None
    assert 0.5 < agreement(a, a + b)["top_half"] < agreement(a, a)["top_half"] == 1
