"""docs/guarantees.md: every promise names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in TEXT.splitlines() if line.startswith("| ")][
    1:
]
NAMED = sorted(set(re.findall(r"`((?:\w+/)*test_\w+\.py)`", TEXT)))


def test_every_promise_names_its_tests():
    assert len(ROWS) >= 20
    for row in ROWS:
        assert len(row) == 2, row
        assert re.findall(r"`(?:\w+/)*test_\w+\.py`", row[1]), row[0]


@pytest.mark.parametrize("name", NAMED)
def test_every_named_test_exists(name):
    """And is one that can run: not all of it is skipped."""
    text = (ROOT / "tests" / name).read_text(encoding="utf-8")
    assert re.search(r"^def test_\w+\(", text, re.MULTILINE)
    assert "pytestmark = pytest.mark.skip(" not in text
