"""Where patches lie."""

from fractions import Fraction

import numpy as np
import pytest

from srfast.data.grid import Grid, starts
from srfast.data.shrink import parsed
from srfast.errors import InputError
from srfast.scoring.settings import ScoreSettings


def basicsr(length: int, crop: int, step: int) -> list[int]:
    """The windows of BasicSR's sub-image rule with thresh_size 0, in a plain loop."""
    out = list(range(0, length - crop + 1, step))
    if out and length - (out[-1] + crop) > 0:
        out.append(length - crop)
    return out


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("length", [1, 2, 11, 12, 13, 23, 24, 25, 95, 96, 97, 100, 191, 192, 481, 1000])
def test_windows(length, scale):
    for patch in (scale, 12, 24, 96):
        for stride in (scale, 12, 36, 96, 240):
            got = starts(length, scale, patch, stride)
            assert got.dtype == np.int32
            cropped = length // scale * scale
            assert got.tolist() == basicsr(cropped, patch, stride), (length, scale, patch, stride)
            assert (got % scale == 0).all(), "a window without an aligned LR patch"
            assert len(got) == 0 or got[-1] + patch == cropped or (cropped - patch) % stride == 0


def test_grid_is_width_and_height():
    grid = Grid.over(96, 200, 2, 96, 96)
    assert grid.xs.tolist() == [0, 96, 104]
    assert grid.ys.tolist() == [0]
    assert len(grid) == 3
    assert not Grid.over(95, 200, 2, 96, 96)


# Fractions of an image's size, as they are written.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1,3/4,1/2,1/3", ("1", "3/4", "1/2", "1/3")),
        ("0.5, 1", ("1", "1/2")),
        ([1 / 3, 1, Fraction(3, 4), "2/4"], ("1", "3/4", "1/2", "1/3")),
        (0.3, ("3/10",)),
        (1, ("1",)),
    ],
)
def test_exact_fractions_the_largest_first(given, expected):
    assert parsed(given) == ScoreSettings(shrink=given).shrink == expected


@pytest.mark.parametrize("given", ["", "0", "2", "-1/2", "1/2,0.5", "1/0", "a", "nan", True, [], "1/1001", 3.14e-5])
def test_anything_else_is_refused(given):
    with pytest.raises(InputError, match=r"^shrink: expected auto, or fractions of 1"):
        ScoreSettings(shrink=given)
