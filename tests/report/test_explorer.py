"""The sliders, galleries, maps and marks of a report, driven in a browser; what it counts is what ``select`` keeps."""

import re

import numpy as np
import pyarrow as pa
import pytest

from srfast.coreset.selection import select
from srfast.report.writing import write_report
from srfast.scoring.table import ScoreTable


@pytest.fixture(scope="module")
def report(painted, tmp_path_factory):
    return write_report(painted, None, tmp_path_factory.mktemp("report") / "report.html")


def put(page, name, value):
    field = page.locator(f"#choose-{name}")
    if name in ("by", "order", "error"):
        field.select_option(str(value))
    else:
        field.fill(str(value))
        field.press("Enter")


def kept(page):
    # Two frames: one for the state, one for what follows it.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")
    page.wait_for_timeout(200)  # the counts per image follow when the sliders rest
    return int(page.locator("#legend .kept b").get_attribute("data-count"))


CHOICES = [
    ({"error": "1", "keep": 88}, {"keep_loss": 0.88}),
    ({"keep": 60, "drop": 5}, {"keep_loss": 0.6, "drop_hardest": 0.05}),
    ({"order": "asc"}, {"keep_loss": 0.6, "drop_hardest": 0.05, "order": "asc"}),
    ({"by": "sobel"}, {"keep_loss": 0.6, "drop_hardest": 0.05, "order": "asc", "method": "sobel"}),
    ({"by": "loss", "order": "des", "drop": 0, "error": "", "keep": 50}, {"keep": 0.5}),
    ({"keep": 30}, {"keep": 0.3}),
    ({"drop": 7.5}, {"keep": 0.3, "drop_hardest": 0.075}),
    ({"by": "sobel"}, {"keep": 0.3, "drop_hardest": 0.075, "method": "sobel"}),
    ({"order": "asc", "by": "loss"}, {"keep": 0.3, "drop_hardest": 0.075, "order": "asc"}),
    ({"low": 20, "high": 60, "drop": 0}, {"keep": 0.3, "order": "asc", "window": (0.2, 0.6)}),
    ({"by": "reducible"}, {"keep": 0.3, "order": "asc", "window": (0.2, 0.6), "method": "reducible"}),
    (
        {"order": "des", "low": 0, "high": 100, "by": "loss", "drop": 10, "keep": 45},
        {"keep": 0.45, "drop_hardest": 0.1},
    ),
]


def test_counts_are_those_of_select(painted, report, visit):
    page = visit(report)
    assert kept(page) == 50
    rows = page.locator("#image-table tbody tr:not(.spacer)")
    for change, arguments in CHOICES:
        for name, value in change.items():
            put(page, name, value)
        core = select(painted, **arguments)
        assert kept(page) == len(core), arguments
        names, counts = np.unique(core["image"], return_counts=True)
        shown = {row.locator("th").inner_text(): int(row.locator("td").nth(1).inner_text()) for row in rows.all()}
        assert {k: v for k, v in shown.items() if v} == dict(zip(names.tolist(), counts.tolist(), strict=True))
        error = float(core["loss"].sum() / painted["loss"].sum())
        # The page says whole percents, or tenths of one.
        said = page.locator("#legend .kept i").inner_text().split(", ")[1]
        assert float(said.split(" %")[0]) == pytest.approx(100 * error, abs=0.51)
    command = page.locator("#command").inner_text()
    assert command == ("srfast select scores.parquet -o coreset.parquet --keep 0.45 --drop-hardest 0.1")
    page.locator("#choose-keep").fill("95")
    page.locator("#choose-keep").press("Enter")
    kept(page)
    assert "keep at most 90 %" in page.locator("#refused").inner_text()
    assert page.locator("#choose-where").count() == 0  # conditions are counted by `srfast view`


def test_a_link_carries_what_was_chosen(report, visit):
    page = visit(report.as_uri() + "#keep=0.2&by=sobel&sort=noise&name=cats&show=kept")
    assert page.locator("#choose-keep").input_value() == "20"
    assert page.locator("#choose-by").input_value() == "sobel"
    assert "--keep 0.2 --method sobel" in page.locator("#command").inner_text()
    assert set(page.locator("#cards .card .name").all_inner_texts()) <= {"cats/a 1.png", "cats/café & co.png"}
    page.locator(".sliders input[type=range]").first.focus()
    page.keyboard.press("ArrowRight")
    kept(page)
    page.wait_for_url(re.compile(r"keep=0\.201"))  # the link follows when the slider rests


def test_galleries_maps_brush_and_marks(painted, report, visit):
    page = visit(report, accept_downloads=True)
    cards = page.locator("#cards .card")
    # One an image, the others behind it; the hardest first.
    assert cards.count() == 5
    hardest = int(painted["loss"].argmax())
    assert cards.first.locator(".name").inner_text() == painted["image"][hardest]
    page.locator("#cards .more").first.click()
    assert cards.count() > 5
    page.get_by_label("one an image").uncheck()
    kept(page)
    first = [float(v.split()[0].replace(",", "")) for v in page.locator("#cards .scores b").all_inner_texts()]
    assert first == sorted(first, reverse=True)
    assert first[0] == pytest.approx(painted["loss"].max(), rel=1e-2)  # four digits
    page.locator("#sort-by").select_option("noise")
    page.locator("#sort-turn").click()
    kept(page)
    page.locator("#filter-name").fill("PLAIN")
    kept(page)
    assert set(page.locator("#cards .card .name").all_inner_texts()) == {"plain.png"}
    page.locator("#filter-name").fill("")

    # The place on the curve: the easiest patches lie at its end.
    page.locator("#plot .canvas").click(position={"x": 5, "y": 200})
    kept(page)
    assert page.locator("[data-view=at]").get_attribute("aria-checked") == "true"
    page.locator("#plot .canvas").press("PageDown")
    kept(page)
    assert "by loss" not in page.locator("#found").inner_text()

    # A patch: four panels, a wipe, its numbers, why.
    cards.first.locator("button").first.click()
    dialog = page.locator("#patch")
    dialog.locator(".wipe input").wait_for()
    assert dialog.locator(".panel img").count() == 6
    assert dialog.locator(".panel.hr img").evaluate("one => one.naturalWidth") == 48
    assert dialog.locator(".panel.lr img").evaluate("one => one.naturalWidth") == 24
    assert "of 100 by loss" in dialog.inner_text()
    dialog.locator(".wipe input").fill("20")
    assert "80%" in dialog.locator(".over").get_attribute("style")
    dialog.get_by_text("Map of the image").click()
    chart = page.locator("#map")
    chart.locator("canvas").wait_for()
    assert "20 patches" in chart.inner_text()
    chart.get_by_role("radio", name="Heat map of the loss").click()
    chart.locator("canvas").hover(position={"x": 20, "y": 20})
    assert "loss" in chart.locator("output").inner_text()
    page.keyboard.press("Escape")

    # The brush: what lies inside is counted and shown.
    page.locator("#across").select_option("sobel")
    kept(page)
    canvas = page.locator("#cloud .canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.02 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.99 * box["width"], box["y"] + 0.9 * box["height"], steps=3)
    page.mouse.up()
    kept(page)
    a, b, c, d = (float(v) for v in page.locator("#axes input").evaluate_all("all => all.map(one => one.value)"))
    sobel, loss = painted["sobel"], painted["loss"]
    inside = int(((sobel >= a) & (sobel <= b) & (loss >= c) & (loss <= d)).sum())
    assert f"{inside} of all lie inside" in page.locator("#found").inner_text()
    assert 0 < inside < 100

    # Marks: two patches and an image, one taken back; what a list of them holds: test_galleries.py.
    page.get_by_role("radio", name="All", exact=True).click()
    kept(page)
    cards.first.locator("button").first.focus()
    for key in ("x", "x", "X"):
        page.keyboard.press(key)
        page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("u")
    assert "2 patches, 1 image rejected" in page.locator("#rejects").inner_text()
    assert "--reject rejects.csv" in page.locator("#command").inner_text()


def test_a_cut_of_a_sample_says_its_interval(synthetic, visit, tmp_path):
    n = 120_000
    loss = np.exp(np.random.default_rng(1).normal(3, 2, n))
    table = synthetic(loss, images=300)
    page = visit(write_report(table, None, tmp_path / "r.html"))
    put(page, "keep", 33.3)
    assert kept(page) == len(select(table, keep=0.333))
    put(page, "error", "1")
    put(page, "keep", 88)
    # The curve has a thousand points, between which it is a line.
    assert kept(page) == pytest.approx(len(select(table, keep_loss=0.88)), rel=1e-3)
    assert "--keep-loss 0.88" in page.locator("#command").inner_text()
    put(page, "error", "")
    put(page, "keep", 33.3)
    put(page, "by", "sobel")
    put(page, "drop", 5)
    put(page, "low", 10)
    about = kept(page)
    assert "95 % confidence" in page.locator("#precision").inner_text()
    said = page.locator("#precision").inner_text().split("file: ")[1].split(" are")[0]
    low, high = (int(v.replace(",", "")) for v in said.split(" to "))
    exact = len(select(table, keep=0.333, method="sobel", drop_hardest=0.05, window=(0.1, 1.0)))
    assert low <= exact <= high
    assert low <= about <= high
    assert high - low < 0.02 * n


def test_columns_may_have_the_names_of_what_every_object_has(synthetic, visit, tmp_path):
    table = synthetic(np.arange(1.0, 41.0), images=2)
    names = ("constructor", "toString", "hasOwnProperty", "__proto__")
    data = table.table
    for i, name in enumerate(names):
        data = data.append_column(name, pa.array(np.random.default_rng(i).random(40)))
    odd = ScoreTable(data, table.meta)
    page = visit(write_report(odd, None, tmp_path / "r.html"))
    for name in names:
        put(page, "by", name)
        put(page, "drop", 10)
        assert kept(page) == 20
        about = select(odd, method=name, drop_hardest=0.1)["loss"].sum() / table["loss"].sum()
        said = page.locator("#legend .kept i").inner_text().split(", ")[1]
        assert float(said.split(" %")[0]) == pytest.approx(100 * about, abs=0.51)


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
