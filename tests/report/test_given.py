"""What a report says of the core-set that it was given: which patches were dropped, and the command that makes it."""

import logging
import os
import shlex
import subprocess

import numpy as np
import pytest
import skimage.data
from PIL import Image

import srfast
from srfast.cli.prune import select as select_command
from srfast.coreset.pairs import read_patches
from srfast.coreset.settings import Selection
from srfast.errors import InputError
from srfast.report.explorer import explorer
from srfast.report.scores import DROPPED, KEPT, read_scores
from srfast.report.writing import write_report
from srfast.scoring.table import concatenate


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two sizes of three photographs, one of them noisy, with the columns of defects."""
    folder = tmp_path_factory.mktemp("photos")
    photo = np.asarray(Image.fromarray(skimage.data.astronaut()).reduce(2), np.float64)
    noise = np.random.default_rng(0).normal(0, 25, (112, 112, 3))
    parts = {"a": photo[:112, :112], "b": photo[112:224, 60:172] + noise, "c": photo[100:212, 130:242]}
    for name, part in parts.items():
        Image.fromarray(np.clip(part, 0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    return srfast.score(folder, patch=32, stride=8, shrink="1,1/2", defects=True, output=folder / "scores.parquet")


SELECTIONS = [
    {"where": "image = 'c.png'", "drop_hardest": 0.2, "keep": 0.4},
    {"clean": True, "drop_hardest": 0.1, "keep": 0.3, "nms": 0.0},
    {"reject": "b.png", "drop_hardest": 0.1, "keep": 0.5, "sizes": "all"},
    {"one_size": True, "drop_hardest": 0.1, "keep": 0.5},
    {"window": (0.05, 0.55), "order": "asc", "method": "sobel", "where": "blur is not null", "max_per_image": 9},
    {"method": "random", "seed": 3, "keep": 0.2, "flat_floor": 0.1, "per_image": "even"},
]


@pytest.fixture
def selections(tmp_path):
    (tmp_path / "rejects.csv").write_text("image,x,y,size,reason\nb.png,,,,noise\n")
    return [{**s, **({"reject": tmp_path / "rejects.csv"} if "reject" in s else {})} for s in SELECTIONS]


def test_dropped_patches_are_of_those_that_pass(table, selections):
    for settings in selections:
        core = srfast.select(table, **settings)
        about, status = core.meta["selection"], read_scores(table, core).status
        # A list that only the metadata name is not opened, so that what it left out is not known.
        assert (status == DROPPED).sum() == (0 if "reject" in settings else about["dropped_hardest"]), settings
        assert (status == KEPT).sum() == len(core)
        limits = {name: settings[name] for name in ("where", "clean", "reject", "one_size") if name in settings}
        whole = srfast.select(table, keep=1.0, sizes="all", **limits)
        passing = {(r["image"], r["x"], r["y"], r["shrink"]) for r in whole.table.to_pylist()}
        rows = table.table.to_pylist()
        assert all((rows[i]["image"], rows[i]["x"], rows[i]["y"], rows[i]["shrink"]) in passing
                   for i in np.flatnonzero(status == DROPPED))  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({"reject": "a pipe"}, "the list of rejects that its metadata name is not opened"),
        ({"where": "(select count(*) from range(1000000000000)) > 0"}, "the condition in its metadata is not run"),
        ({"where": "len(range(3000000000)) > 0"}, "is not run, since it has 'len'"),
    ],
)
def test_nothing_that_only_the_metadata_name_is_opened_or_run(theirs, said, table, tmp_path, caplog):
    core = srfast.select(table, keep=0.3, drop_hardest=0.2)
    if "reject" in theirs:
        theirs = {"reject": str(tmp_path / theirs["reject"])}
        os.mkfifo(theirs["reject"])
    core.meta["selection"].update(theirs)
    with caplog.at_level(logging.WARNING, "srfast"):
        status = read_scores(table, core).status
    assert set(np.unique(status)) == {0, KEPT}
    assert said in caplog.text


WRONG = {
    "keep": "half", "where": 3, "reject": 5, "method": [], "order": "up", "window": [1], "nms": "x", "clean": "yes",
    "dropped_hardest": "1", "patches": 1.5, "passing": -1, "rejected": [1], "by_size": 3,
}  # fmt: skip


@pytest.mark.parametrize("key", WRONG)
def test_wrong_types_name_the_file_and_the_key(key, table, tmp_path, refused):
    core = srfast.select(table, keep=0.3)
    core.meta["selection"][key] = WRONG[key]
    core.write(path := tmp_path / "c.parquet")
    for look in (srfast.CoreSet.read, read_patches):
        refused(rf"c\.parquet: selection: {key}: expected .*, got ", look, path)
    refused(rf"core-set: selection: {key}: expected .*, got ", read_scores, table, core)


@pytest.mark.parametrize("method", ["loss\ncurl evil | sh\n", "a'b\n\x03\x1b[2K", "\u202etxt\u2028", "$(id)`id`!x"])
def test_what_is_copied_is_one_line_and_one_word(method, table, tmp_path, visit):
    core = srfast.select(table, keep=0.3)
    core.meta["selection"]["method"] = method
    page = visit(write_report(table, core, tmp_path / "given.html"))
    command = page.locator("#command").text_content()
    assert all(c.isprintable() for c in command)
    word = command.removeprefix("# ").removesuffix(" was a function; select with it in Python")
    line = ["bash", "-c", f"printf %s {word}"]
    assert subprocess.run(line, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}).stdout.decode() == method


def test_the_command_makes_the_core_set_again(table, selections, tmp_path):
    for settings in selections:
        core = srfast.select(table, **settings)
        options = given(table, core)["options"]
        parsed = select_command.make_context("select", ["scores.parquet", "-o", str(tmp_path / "c.parquet"), *options])
        again = {name: parsed.params[name] for name in Selection.__dataclass_fields__}
        assert srfast.select(table, **again).table.equals(core.table), settings
    core = srfast.select(table, keep=0.3, method=lambda rows: rows.column("bicubic"))
    assert given(table, core)["options"] is None, "a function is no command"


def test_a_slider_keeps_what_is_left_out_by_a_list(table, tmp_path, visit):
    listed = tmp_path / "rejects.csv"
    listed.write_text("image,x,y,size,reason\nb.png,,,,noise\n")
    core = srfast.select(table, keep=0.3, clean=True, reject=listed)
    page = visit(write_report(table, core, tmp_path / "given.html"))
    page.locator("#choose-by").select_option("loss")
    page.locator("#choose-keep").fill("20")
    page.locator("#choose-keep").press("Enter")
    # The page's own policy forbids the eval that wait_for_function polls with.
    page.locator("#command", has_text="--keep 0.2").wait_for()
    words = shlex.split(page.locator("#command").inner_text())
    assert words[-3:] == ["--clean", "--reject", str(listed)]
    select_command.make_context("select", [*words[2:3], "-o", str(tmp_path / "c.parquet"), *words[5:]])
    assert f"by --clean --reject {listed}" in page.locator("#precision").inner_text()
    page.locator("#cards .card button").first.focus()
    page.keyboard.press("x")
    assert f"add its rows to {listed}" in page.locator("#rejects").inner_text()
    assert shlex.split(page.locator("#command").inner_text()).count("--reject") == 1


@pytest.mark.parametrize("core", [True, False])
def test_on_a_phone_the_curve_begins_in_the_first_screen(core, table, tmp_path, visit):
    made = srfast.select(table, keep=0.3) if core else None
    page = visit(write_report(table, made, tmp_path / "phone.html"), viewport={"width": 420, "height": 900})
    assert page.locator("#plot").bounding_box()["y"] < 900 - 100
    assert page.evaluate("document.documentElement.scrollWidth") <= 420


def given(table, core):
    return explorer(read_scores(table, core), np.arange(3), {}, ["scores.parquet"])["given"]


def test_what_the_page_counts_is_of_all_sizes(table, tmp_path, visit):
    """Without a core-set: the page does not know which of two sizes is the better one of a place."""
    path = write_report(table, None, tmp_path / "report.html")
    page = visit(path)
    words = shlex.split(page.locator("#command").inner_text())
    assert words[-2:] == ["--sizes", "all"]
    kept = int(page.locator("#legend .kept b").get_attribute("data-count"))
    assert kept == len(srfast.select(table, keep=0.5, sizes="all"))
    core = srfast.select(table, keep=0.3, clean=True, nms=0.0)
    page = visit(write_report(table, core, tmp_path / "given.html"))
    assert page.locator("#command").inner_text().endswith("--keep 0.3 --nms 0.0 --clean")


def test_a_core_set_of_other_scores_is_refused_by_the_setting(photo_folder, tmp_path, refused):
    table = srfast.score(photo_folder, patch=48, scorer="bicubic")
    other = srfast.score(photo_folder, patch=48, scorer="bicubic", stride=24)
    with pytest.raises(InputError, match="core-set: stride differs: the score table has"):
        srfast.write_report(table, srfast.select(other), tmp_path / "r.html")
    refused("core-set: expected a core-set, got a score table", srfast.write_report, table, table, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_missing_pictures_are_said(photo_folder, tmp_path, caplog):
    table = srfast.score(photo_folder, patch=48, scorer="bicubic")
    photo_folder.rename(tmp_path / "moved")
    with caplog.at_level(logging.WARNING, "srfast"):
        srfast.write_report(table, None, tmp_path / "r.html")
        assert "pictures cannot be shown: the image is no longer there; `root` names the folder" in caplog.text
        caplog.clear()
        srfast.write_report(table, None, tmp_path / "r.html", root=tmp_path / "moved")
        assert caplog.text == ""


def test_an_image_that_fails_between_two_pictures_is_said(photo_folder, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("srfast.report.report.source", lambda *_: (None, "the image cannot be read"))
    with caplog.at_level(logging.WARNING, "srfast"):
        srfast.prune(photo_folder, tmp_path / "out", patch=48, scorer="bicubic")
    assert "the image cannot be read" in caplog.text


def test_missing_shards_of_tables_in_memory(photo_folder, refused):
    """The commands, and tables of one file: scoring/test_folders.py."""
    shards = [srfast.score(photo_folder, patch=48, scorer="bicubic", shard=(i, 3)) for i in range(3)]
    two = concatenate([shards[0], shards[2]], allow_missing_shards=True)
    assert two.meta["missing_shards"] == [[1, 3]]
    whole = concatenate([two, shards[1]])
    assert whole.meta.get("missing_shards") is None
    assert whole.table == concatenate(shards).table
    finer = srfast.score(photo_folder, patch=48, scorer="bicubic", shard=(1, 6))
    refused(r"1 of 6 shards is missing \(4/6\)", srfast.stats, [shards[0], finer, shards[2]])
