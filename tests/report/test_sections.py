"""What the page shows and leaves out, by what was scored and selected, in a browser."""

import numpy as np
import pytest

from srfast.coreset.selection import select
from srfast.report.writing import write_report


@pytest.mark.parametrize("arguments", [{}, {"method": "stratified"}, {"order": "asc", "keep": 0.3}])
def test_a_core_set_is_shown_as_it_is(arguments, painted, visit, tmp_path):
    core = select(painted, **arguments)
    page = visit(write_report(painted, core, tmp_path / "r.html"))
    assert f"{len(core)} of 100 patches kept" in page.locator("h1").inner_text()
    assert page.locator("#legend .kept b").inner_text() == str(len(core))
    cuts = "method" not in arguments
    assert page.locator("#curve .line.kept").count() == cuts
    assert page.locator("#shares .plot").count() == (not cuts)
    # The core-set's counts per image, whatever selected it.
    rows = page.locator("#image-table tbody tr:not(.spacer)")
    shown = {row.locator("th").inner_text(): int(row.locator("td").nth(1).inner_text()) for row in rows.all()}
    names, counts = np.unique(core["image"], return_counts=True)
    assert {k: v for k, v in shown.items() if v} == dict(zip(names.tolist(), counts.tolist(), strict=True))
    page.get_by_role("radio", name="Kept", exact=True).click()
    page.locator("#found").filter(has_text="kept").wait_for()
    assert page.locator("#cards .card:not(.kept)").count() == 0
    said = page.locator("#command").inner_text()
    for name, value in arguments.items():
        assert f"--{name.replace('_', '-')} {value}" in said


def test_names_are_text_and_listings_are_named(painted, visit, tmp_path):
    page = visit(write_report(painted, None, tmp_path / "r.html"))
    assert page.title() == "srfast report: 100 patches scored"
    assert page.locator("[onerror]").count() == 0
    assert "truncated <b>" in page.locator("#aside").inner_text()
    assert "3 × 3" in page.locator("#aside").inner_text()
    assert "_" not in page.locator("#settings tbody th").all_inner_texts()
    assert page.locator("#image-table tbody tr:not(.spacer)").count() == 5


def test_print_is_whole(painted, visit, tmp_path):
    page = visit(write_report(painted, select(painted, method="stratified"), tmp_path / "r.html"))
    page.emulate_media(media="print")
    heights = page.locator(".shares .canvas, .curve .canvas").evaluate_all("all => all.map(one => one.offsetHeight)")
    # A chart of shares is a strip under the curve, on paper too.
    assert heights[1] < heights[0] / 3
    assert page.locator("#choose").is_hidden()
    assert page.locator("#rejects").is_hidden()
    widths = page.locator("#cards .card img").evaluate_all("all => all.map(one => one.offsetWidth)")
    assert set(widths) == {48}
