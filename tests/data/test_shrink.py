"""Fractions of an image's size, as they are written."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from srfast.data.shrink import parsed
from srfast.errors import InputError
from srfast.scoring.settings import ScoreSettings


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
def test_exact_fractions_the_largest_first(given: Any, expected: tuple[str, ...]) -> None:
    assert parsed(given) == ScoreSettings(shrink=given).shrink == expected


@pytest.mark.parametrize("given", ["", "0", "2", "-1/2", "1/2,0.5", "1/0", "a", "nan", True, [], "1/1001", 3.14e-5])
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match=r"^shrink: expected auto, or fractions of 1"):
        ScoreSettings(shrink=given)
