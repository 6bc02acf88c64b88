"""Hand-written pages are in sentences of at most 40 words, and in the field's own words. It only counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"cli.md", "api.md"}
PAGES = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").glob("*.md")) if p.name not in GENERATED)]
MOST = 40
"""Words of a sentence."""
TOTAL = 25_000
"""Words of all these pages; tables count, code does not."""
DIALECT = re.compile(r"\b(spoilt|could not be told|cannot be told|is told|are told|written on|named before)\b")
"""Terms for which the field has words: degraded, not significant, significant, text overlay, pre-registered."""


def prose(text: str) -> str:
    """The page without code, tables, pictures, comments and the targets of links."""
    text = re.sub(r"^```.*?^```", "\n\n", text, flags=re.S | re.M)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r"^(\||    |!\[|:::).*$", "\n", text, flags=re.M)
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"`[^`]*`", "code", text)


def sentences(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.) )|\n(?=#)", prose(text)):
        yield from re.split(r"(?<=[.!?:;])\s+(?=[A-Z*`(\[]|code)", " ".join(block.split()))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_sentence_is_too_long(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [s for s in sentences(text) if len(s.split()) > MOST] == []
    assert DIALECT.findall(prose(text)) == []


def test_the_pages_are_short() -> None:
    words = {p.name: len(re.sub(r"^```.*?^```", "", p.read_text(), flags=re.S | re.M).split()) for p in PAGES}
    assert sum(words.values()) <= TOTAL, words
