"""What a report says of the core-set that it was given: which patches were dropped, and the command that makes it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

import srfast
from srfast.cli.select import command as select_command
from srfast.coreset.settings import Selection
from srfast.report.explorer import explorer
from srfast.report.scores import DROPPED, KEPT, Scores, read_scores
from srfast.report.writing import write_report
from srfast.scoring.metadata import file_metadata
from srfast.scoring.table import ScoreTable


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ScoreTable:
    """Two sizes of three photographs, one of them noisy, with the columns of defects."""
    folder = tmp_path_factory.mktemp("photos")
    photo = np.asarray(Image.fromarray(skimage.data.astronaut()).reduce(2), np.float64)
    noise = np.random.default_rng(0).normal(0, 25, (112, 112, 3))
    for name, part in {
        "a.png": photo[:112, :112],
        "b.png": photo[112:224, 60:172] + noise,
        "c.png": photo[100:212, 130:242],
    }.items():
        Image.fromarray(np.clip(part, 0, 255).astype(np.uint8)).save(folder / name)
    return srfast.score(
        folder, patch=32, stride=8, shrink="1,1/2", defects=True, output=folder.parent / "scores.parquet"
    )


SELECTIONS: list[dict[str, Any]] = [
    {"where": "image = 'c.png'", "drop_hardest": 0.2, "keep": 0.4},
    {"clean": True, "drop_hardest": 0.1, "keep": 0.3, "nms": 0.0},
    {"reject": "b.png", "drop_hardest": 0.1, "keep": 0.5, "sizes": "all"},
    {"one_size": True, "drop_hardest": 0.1, "keep": 0.5},
    {"window": (0.05, 0.55), "order": "asc", "method": "sobel", "where": "blur is not null", "max_per_image": 9},
    {"method": "random", "seed": 3, "keep": 0.2, "flat_floor": 0.1, "per_image": "even"},
]


@pytest.fixture
def selections(tmp_path: Path) -> list[dict[str, Any]]:
    (tmp_path / "rejects.csv").write_text("image,x,y,size,reason\nb.png,,,,noise\n")
    return [{**s, **({"reject": tmp_path / "rejects.csv"} if "reject" in s else {})} for s in SELECTIONS]


def read(table: ScoreTable, core: ScoreTable) -> Scores:
    return read_scores(*(t.table.replace_schema_metadata(file_metadata(t.meta)) for t in (table, core)))


def test_dropped_patches_are_of_those_that_pass(table: ScoreTable, selections: list[dict[str, Any]]) -> None:
    """They were the hardest of all patches, also of those that a condition or a list had left out before."""
    for asked in selections:
        core = srfast.select(table, **asked)
        about, status = core.meta["selection"], read(table, core).status
        assert status is not None
        assert (status == DROPPED).sum() == about["dropped_hardest"], asked
        assert (status == KEPT).sum() == len(core)
        limits = {name: asked[name] for name in ("where", "clean", "reject", "one_size") if name in asked}
        whole = srfast.select(table, keep=1.0, sizes="all", **limits)
        passing = {(r["image"], r["x"], r["y"], r["shrink"]) for r in whole.table.to_pylist()}
        rows = table.table.to_pylist()
        assert all((rows[i]["image"], rows[i]["x"], rows[i]["y"], rows[i]["shrink"]) in passing
                   for i in np.flatnonzero(status == DROPPED))  # fmt: skip


def test_a_list_that_is_gone_marks_nothing(table: ScoreTable, tmp_path: Path) -> None:
    rejects = tmp_path / "r.csv"
    rejects.write_text("image,x,y,size\nb.png,,,\n")
    core = srfast.select(table, keep=0.3, drop_hardest=0.2, reject=rejects)
    for change in (lambda: rejects.write_text("image,x,y,size\na.png,,,\nb.png,,,\n"), rejects.unlink):
        change()
        status = read(table, core).status
        assert status is not None
        assert set(np.unique(status)) == {0, KEPT}


def test_the_command_makes_the_core_set_again(
    table: ScoreTable, selections: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Options that are not those of the sliders were left out of it: clean, reject, sizes, one_size, and nms of 0."""
    for asked in selections:
        core = srfast.select(table, **asked)
        options = given(table, core)["options"]
        assert options is not None
        parsed = select_command.make_context("select", ["scores.parquet", "-o", str(tmp_path / "c.parquet"), *options])
        again = {name: parsed.params[name] for name in Selection.__dataclass_fields__}
        assert srfast.select(table, **again).table.equals(core.table), asked


def test_a_function_is_no_command(table: ScoreTable) -> None:
    core = srfast.select(table, keep=0.3, method=lambda rows: rows.column("bicubic"))
    assert given(table, core)["options"] is None


def given(table: ScoreTable, core: ScoreTable) -> Any:
    return explorer(read(table, core), np.arange(3), {}, ["scores.parquet"])["given"]


def test_what_the_page_counts_is_of_all_sizes(table: ScoreTable, tmp_path: Path, visit: Callable[..., Any]) -> None:
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
