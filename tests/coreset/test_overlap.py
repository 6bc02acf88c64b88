"""Greedy suppression of overlapping patches against a plain loop."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from srfast.coreset.limits import separate
from srfast.coreset.selection import select


def overlap(a, b):
    """Intersection over union of (image, x, y, size) and another, exactly."""
    if a[0] != b[0]:
        return Fraction(0)
    w, h = (max(0, min(a[i] + a[3], b[i] + b[3]) - max(a[i], b[i])) for i in (1, 2))
    return Fraction(w * h, a[3] ** 2 + b[3] ** 2 - w * h)


def plain(squares, iou):
    kept = []
    keep = []
    for square in squares:
        keep.append(all(overlap(square, other) <= Fraction(iou) for other in kept))
        if keep[-1]:
            kept.append(square)
    return keep


@pytest.mark.parametrize("iou", [0.0, 0.1, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("seed", range(4))
def test_against_a_plain_loop(iou, seed):
    draw = np.random.default_rng(seed)
    n = 250
    image, x, y = draw.integers(0, 3, n), draw.integers(0, 60, n), draw.integers(0, 90, n)
    size = draw.choice([24, 24, 24, 7, 40], n)
    for column in (image, x, y, size):
        column[n // 2 :] = column[: n // 2]
        column[-25:] = draw.integers(1, 3, 25)
    keep = separate(image, x, y, size, iou)
    squares = list(zip(image.tolist(), x.tolist(), y.tolist(), size.tolist(), strict=True))
    assert keep.tolist() == plain(squares, iou)
    assert 0 < keep.sum() < n


def test_one_patch_far_away_costs_nothing():
    code = (
        "import resource, numpy as np; from srfast.coreset.limits import separate\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (10, 10))\n"
        "side = 400; at = np.arange(side * side); x, y = at % side * 60, at // side * 60\n"
        "x[-1], y[-1] = (1 << 30) - 96, (1 << 30) - 96\n"
        "keep = separate(np.zeros(len(x), np.int32), x, y, np.full(len(x), 96), 0.2)\n"
        "assert 0 < keep.sum() < len(x)\n"
        "near = separate(np.zeros(len(x) - 1, np.int32), x[:-1], y[:-1], np.full(len(x) - 1, 96), 0.2)\n"
        "assert (keep[:-1] == near).all() and keep[-1]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("iou", [1 / 3, 0.25, 1 / 7])
def test_the_limit_itself_is_allowed(iou):
    """Windows of 90 at steps 45, 54 and 67.5 overlap by 1/3, 1/4 and 1/7 of their union; one step more, by less."""
    step = {1 / 3: 45, 0.25: 54, 1 / 7: 68}[iou]
    x = np.arange(5) * step
    keep = separate(np.zeros(5, np.int32), x, np.zeros(5, np.int32), np.full(5, 90), iou)
    assert keep.tolist() == [True] * 5


def test_far_corners_none_and_one():
    far = np.array([0, 2**31 - 200, 0, 2**31 - 200])
    keep = separate(np.zeros(4, np.int32), far, far[::-1], np.full(4, 96), 0.99)
    assert keep.tolist() == [True, True, False, False]
    empty = np.empty(0, np.int32)
    assert separate(empty, empty, empty, empty, 0.3).tolist() == []
    assert separate(far[:1], far[:1], far[:1], np.array([96]), 0.3).tolist() == [True]


def test_strided_columns():
    columns = np.array([[0, 0, 0, 96], [0, 6, 0, 96], [1, 6, 0, 96], [0, 96, 0, 96]], np.int64)
    assert separate(*columns.T, 0.3).tolist() == [True, False, True, True]


@pytest.mark.parametrize(
    "options", [{}, {"order": "asc"}, {"flat_floor": 0.2}, {"per_image": "even"}, {"max_per_image": 4}]
)
def test_no_two_patches_of_a_core_set_overlap_more(make_table, options):
    n = 15 * 15
    loss = np.random.default_rng(3).lognormal(3, 1, 2 * n)
    grid = np.arange(n, dtype=np.int32)
    table = make_table(
        loss.tolist(), ["a.png"] * n + ["b.png"] * n, x=np.tile(grid % 15 * 6, 2), y=np.tile(grid // 15 * 6, 2), size=24
    )
    got = select(table, keep=0.5, nms=0.3, **options)
    squares = list(zip(*(got.column(c).tolist() for c in ("image", "x", "y", "size")), strict=True))
    assert all(overlap(a, b) <= Fraction(0.3) for i, a in enumerate(squares) for b in squares[:i])
    assert "nms=0.3" in got.meta["selection"]["short"]
    if not options:
        ranked = np.argsort(-np.float32(loss), kind="stable")
        squares = [(i // n, int(grid[i % n] % 15 * 6), int(grid[i % n] // 15 * 6), 24) for i in ranked.tolist()]
        assert len(got) == sum(plain(squares, 0.3))
