"""Lists of rejects: a patch, a whole image, one size of an image, and lines that are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from srfast.coreset.selection import select
from srfast.errors import InputError
from srfast.scoring.table import ScoreTable

MakeTable = Callable[..., ScoreTable]


@pytest.fixture
def sized(make_table: MakeTable) -> ScoreTable:
    """Four places of two images, each image at its own size and at a third."""
    names = ["a.png"] * 4 + ["b.png"] * 4
    table = make_table([9.0, 8, 7, 6, 5, 4, 3, 2], names, x=np.array([0, 96, 0, 96] * 2, np.int32))
    sizes = pa.array([1, 1, 1 / 3, 1 / 3] * 2, pa.float32())
    return ScoreTable(table.table.add_column(4, "shrink", sizes), {**table.meta, "shrink": ["1", "1/3"]})


@pytest.mark.parametrize(
    ("lines", "gone"),
    [
        ("image,x,y,size,reason\na.png,0,0,96,noise\n", {("a.png", 0, 1.0), ("a.png", 0, 0.333)}),
        ("image,x,y,size,reason,shrink\na.png,0,0,96,noise,0.3333333432674408\n", {("a.png", 0, 0.333)}),
        ("image,x,y,size,reason,shrink\na.png,0,0,96,noise,1\n", {("a.png", 0, 1.0)}),
        ("image,x,y,size,reason,shrink\nb.png,,,,text,0.333333\n", {("b.png", 0, 0.333), ("b.png", 96, 0.333)}),
        ("image,x,y,size,reason\nb.png,,,,text\n", {("b.png", x, s) for x in (0, 96) for s in (1.0, 0.333)}),
    ],
)
def test_a_line_says_which_size(
    sized: ScoreTable, lines: str, gone: set[tuple[str, int, float]], tmp_path: Path
) -> None:
    (tmp_path / "rejects.csv").write_text(lines)
    kept = select(sized, keep=1.0, reject=tmp_path / "rejects.csv", sizes="all")

    def rows(table: ScoreTable) -> set[tuple[str, int, float]]:
        return {(r["image"], r["x"], round(r["shrink"], 3)) for r in table}

    assert rows(sized) - rows(kept) == gone


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (",0,0,96,noise,1", "line 2: expected the name of an image"),
        ("a.png,0,0,,noise,1", "line 2: expected x, y and size as whole numbers, or none of them"),
        ("a.png,0,0,96,noise,half", "line 2: expected shrink as a number, got 'half'"),
    ],
)
def test_lines_that_are_refused(sized: ScoreTable, line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(f"image,x,y,size,reason,shrink\n{line}\n")
    with pytest.raises(InputError, match=message):
        select(sized, reject=tmp_path / "r.csv")


@pytest.mark.parametrize(
    ("line", "left"), [(" q.jpg,,,,noise", ["q.jpg", "a.png"]), ("q.jpg ,,,,noise", [" q.jpg", "a.png"])]
)
def test_outer_spaces_count_if_an_image_has_them(
    make_table: MakeTable, line: str, left: list[str], tmp_path: Path
) -> None:
    table = make_table([3.0, 2.0, 1.0], [" q.jpg", "q.jpg", "a.png"])
    (tmp_path / "r.csv").write_text(f"image,x,y,size,reason\n{line}\n")
    assert select(table, keep=1.0, reject=tmp_path / "r.csv")["image"].tolist() == left
