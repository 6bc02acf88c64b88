"""docs/guarantees.md: every promise names tests that exist, and the torture's figures are those of the torture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in TEXT.splitlines() if line.startswith("| ")][
    1:
]
NAMED = sorted(set(re.findall(r"`((?:\w+/)*test_\w+\.py)`", TEXT)))


def test_every_promise_names_its_tests() -> None:
    assert len(ROWS) >= 20
    for row in ROWS:
        assert len(row) == 3, row
        assert re.findall(r"`(?:\w+/)*test_\w+\.py`", row[2]), row[0]
        for source in re.findall(r"`(srfast/[\w/]+\.py)`", row[1]):
            assert (ROOT / source).is_file(), source


@pytest.mark.parametrize("name", NAMED)
def test_every_named_test_exists(name: str) -> None:
    """And is one that can run: not all of it is skipped."""
    text = (ROOT / "tests" / name).read_text(encoding="utf-8")
    assert re.search(r"^def test_\w+\(", text, re.MULTILINE)
    assert "pytestmark = pytest.mark.skip(" not in text


def test_the_figures_of_the_torture() -> None:
    script = (ROOT / "tests" / "torture" / "run.py").read_text(encoding="utf-8")
    wanted = {n: int(d.replace("_", "")) for n, d in re.findall(r'"--(\w+)", type=int, default=([\d_]+)', script)}
    for words, option in (
        (r"([\d,]+) processes that were alive", "kills"),
        (r"([\d,]+) mutated images", "files"),
        (r"([\d,]+) damaged\s+tables", "tables"),
        (r"([\d,]+) disks that were really full", "disks"),
    ):
        found = re.search(words, TEXT)
        assert found, words
        assert int(found[1].replace(",", "")) == wanted[option]
