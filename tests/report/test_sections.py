"""What the page shows and leaves out, by what was scored and selected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import srfast


@pytest.fixture
def page(photo_folder: Path, tmp_path: Path):
    """page(score options, select options) -> the text of the report."""

    def make(scoring: dict, selecting: dict | None, root: Path | None = None) -> str:
        table = srfast.score(photo_folder, patch=48, **scoring)
        coreset = None if selecting is None else srfast.select(table, **selecting)
        return srfast.write_report(table, coreset, tmp_path / "r.html", root=root).read_text("utf-8")

    return make


def test_bicubic_is_not_compared_with_itself(page) -> None:
    text = page({"scorer": "bicubic"}, {})
    assert "<h3>Bicubic</h3>" not in text
    assert "<h3>Sobel</h3>" in text
    assert 'class="bicubic"' not in text
    assert "<h3>Bicubic</h3>" in page({}, {})


def test_a_border_is_shown_only_where_there_is_one(page) -> None:
    assert "Just left out" in page({}, {"keep": 0.5})
    assert "Just left out" not in page({}, {"keep": 0.5, "method": "stratified"})


def test_the_share_kept_counts_no_dropped_patches(page) -> None:
    text = page({"stride": 24}, {"keep": 0.3, "method": "random", "drop_hardest": 0.3})
    shares = text[text.index('class="plot shares"') :].split("</svg>")[0]
    assert 'class="fill solid kept"' in shares
    assert "dropped" not in shares


def test_dropped_patches_are_counted_per_image(page) -> None:
    text = page({"stride": 24}, {"keep": 0.5, "drop_hardest": 0.1})
    table = text[text.index('class="sortable"') : text.index("</tfoot>")]
    heads = re.findall(r"<button type=\"button\">([^<]*)", table)
    assert heads == ["Image", "Patches", "Dropped", "Kept", "Share kept", "Mean loss", "Largest loss"]
    body = table[: table.index("<tfoot>")]
    cells = [re.findall(r"<td[^>]*>(?:<span[^>]*></span>)?([^<]*)", row) for row in body.split("<tr")[2:]]
    total = re.findall(r"<td>([^<]*)", table[table.index("<tfoot>") :])
    assert sum(int(row[1]) for row in cells) == int(total[1]) > 0
    assert "Dropped</button>" not in page({}, {"keep": 0.5})


def test_pictures_that_are_gone_are_one_line_and_a_list(photo_folder: Path, page, tmp_path: Path) -> None:
    text = page({}, {"keep": 0.5}, root=tmp_path / "elsewhere")
    assert 'class="gone"' not in text
    assert "<img" not in text
    assert "No pictures: the image is no longer there" in text
    assert "sub/café au lait.png" in text


def test_settings_are_words(page) -> None:
    text = page({}, {"keep": 0.5, "drop_hardest": 0.05})
    settings = text[text.index('id="settings"') :]
    assert "_" not in "".join(re.findall(r'<th scope="row">([^<]*)', settings))


def test_print_keeps_colours_and_ends_long_tables(page) -> None:
    text = page({}, None)
    style = text[text.index("@media print") : text.index("</style>")]
    for rule in ("print-color-adjust: exact", "position: static", "nth-child(n + 26) { display: none; }"):
        assert rule in style
