"""Pages, help, messages and public docstrings are in the field's own words, and hand-written pages in sentences of at
most 40 words. It only counts."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"cli.md", "api.md"}
PAGES = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").glob("*.md")) if p.name not in GENERATED)]
MOST = 40
"""Words of a sentence."""
TOTAL = 25_000
"""Words of all these pages; tables count, code does not."""
DIALECT = re.compile(
    r"\b(spoilt|told|named before|does for|asked for|look-alike|said of|goes on from|at hand|whoever|there twice)\b",
    re.IGNORECASE,
)
"""Terms for which the field has words: degraded, significant, pre-registered, requested, near-duplicate."""
TEXTS = [*PAGES, ROOT / "docs" / "cli.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "results").glob("*.md"))]
MODULES = sorted((ROOT / "srfast").rglob("*.py"))
SCRIPTS = sorted((ROOT / "srfast" / "report").rglob("*.js")) + sorted((ROOT / "srfast" / "report").rglob("*.html"))


def prose(text):
    """The page without code, tables, pictures, comments and the targets of links."""
    text = re.sub(r"^```.*?^```", "\n\n", text, flags=re.S | re.M)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r"^(\||    |!\[|:::).*$", "\n", text, flags=re.M)
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"`[^`]*`", "code", text)


def sentences(text):
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.) )|\n(?=#)", prose(text)):
        yield from re.split(r"(?<=[.!?:;])\s+(?=[A-Z*`(\[]|code)", " ".join(block.split()))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_sentence_is_too_long(page):
    text = page.read_text(encoding="utf-8")
    assert [s for s in sentences(text) if len(s.split()) > MOST] == []


def test_the_pages_are_short():
    words = {p.name: len(re.sub(r"^```.*?^```", "", p.read_text(), flags=re.S | re.M).split()) for p in PAGES}
    assert sum(words.values()) <= TOTAL, words


@pytest.mark.parametrize("page", TEXTS, ids=lambda p: p.name)
def test_pages_are_in_the_words_of_the_field(page):
    assert DIALECT.findall(page.read_text(encoding="utf-8")) == []


def strings(module):
    """Docstrings, help and messages of a module: its strings of several words."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def test_the_package_speaks_in_the_words_of_the_field():
    assert len(MODULES) > 100
    dialect = [(m.name, n, w) for m in MODULES for n, text in strings(m) for w in DIALECT.findall(text)]
    assert dialect == []
    assert [p.name for p in SCRIPTS if DIALECT.search(p.read_text(encoding="utf-8"))] == []


def test_every_page_says_first_whom_it_is_for():
    missing = [p.name for p in PAGES if p.name not in {"README.md", "index.md"} and "This page is for" not in first(p)]
    assert missing == []


def first(page):
    body = prose(page.read_text(encoding="utf-8")).split("\n", 1)[1]
    return " ".join(list(sentences(body))[:2])


def test_every_how_to_has_a_picture():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("How-to guides:")[2].partition("- Reference:")[0]
    pages = re.findall(r": (\w[\w-]*\.md)", nav)
    assert len(pages) > 10
    pictures = {n: re.findall(r"!\[[^]]+\]\(([^)]+)\)", (ROOT / "docs" / n).read_text("utf-8")) for n in pages}
    assert [n for n, files in pictures.items() if not files] == []
    assert [f for files in pictures.values() for f in files if not (ROOT / "docs" / f).is_file()] == []
