"""Columns from elsewhere: every kind of file, every way of naming images, and what is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srfast.coreset.joining import COMPUTED, join_columns, located
from srfast.coreset.selection import select
from srfast.coreset.settings import METHODS, SCORES, TARGETED
from srfast.errors import InputError
from srfast.scoring.table import ScoreTable

IMAGES = ["a/1 ä.png"] * 3 + ["a/2.png"] * 2 + ["b/3, x.jpg"] * 4


@pytest.fixture
def table(make_table):
    x = np.array([0, 96, 192, 0, 96, 0, 96, 0, 96], np.int32)
    y = np.array([0, 0, 0, 0, 0, 0, 0, 96, 96], np.int32)
    return make_table([float(v) for v in range(9)], IMAGES, x=x, y=y)


WANT = [0.5, 0.5, 0.5, None, None, -2.0, -2.0, -2.0, -2.0]


@pytest.mark.parametrize(
    ("file", "text", "column", "by"),
    [
        ("s.csv", "image,q\na/1 ä.png,0.5\nc.png,9\n\"b/3, x.jpg\",-2\n", "q", "path"),
        ("s.csv", "image,q\n1 ä.png,0.5\n\"3, x.jpg\",-2\n", "q", "file name"),
        ("s.csv", "image,q\ntiles\\1 ä.webp,0.5\n\"tiles\\3, x.webp\",-2\n", "q", "file name without its suffix"),
        ("ic 9600.txt", "# of 2024\na/1 ä.png 0.5\n\nb/3, x.jpg -2e0\n", "ic 9600", "path"),
        ("q.txt", "a/1 ä.png: 0.5\nb/3, x.jpg: -2\n", "q", "path"),
        ("q.txt", "a/1 ä.png\t0.5\nb/3, x.jpg\t-2\n", "q", "path"),
        ("q.txt", "a/1 ä.png, 0.5\r\nb/3, x.jpg, -2.0\r\n", "q", "path"),
    ],
)  # fmt: skip
def test_files_and_names(table, tmp_path, file, text, column, by):
    (tmp_path / file).write_text(text, encoding="utf-8")
    got = join_columns(table, tmp_path / file)
    assert got.table.table.column(column).to_pylist() == WANT
    assert (got.added, got.matched, got.by) == ([column], 7, by)
    assert got.table.table.drop_columns([column]).equals(table.table)


def test_parquet_by_position(table, tmp_path):
    order = np.random.default_rng(0).permutation(9)[:7]
    other = pa.table(
        {
            "file": [IMAGES[i] for i in order],
            "left": pa.array(table.column("x")[order].astype(np.int64)),
            "top": pa.array(table.column("y")[order].astype(np.float64)),
            "iqa": order * 1.5,
            "label": [f"row {i}" for i in order],
        }
    )
    pq.write_table(other, tmp_path / "o.parquet")
    got = join_columns(table, tmp_path / "o.parquet", ["image=file", "x=left", "y=top"])
    want = {int(i): i * 1.5 for i in order}
    assert got.table.table.column("iqa").to_pylist() == [want.get(i) for i in range(9)]
    assert got.added == ["iqa", "label"]
    got.table.write(tmp_path / "joined.parquet")
    assert ScoreTable.read(tmp_path / "joined.parquet").table.equals(got.table.table)


def test_a_joined_column_is_selected_by(table):
    other = pa.table({"image": ["a/1 ä.png", "a/2.png", "b/3, x.jpg"], "blockiness": [10, 40, 20]})
    joined = join_columns(table, other).table
    got = select(joined, keep=3 / 9, method="blockiness", order="asc")
    assert set(got.column("image").tolist()) == {"a/1 ä.png"}


@pytest.mark.parametrize(
    ("file", "text", "on", "words"),
    [
        ("s.csv", "image,loss\na/2.png,1\n", ["image"], "column 'loss': the score table has one of that name"),
        ("s.csv", "image,rank\na/2.png,1\n", ["image"], "column 'rank': the score table has one"),
        (
            "s.csv",
            "image,Loss\na/2.png,1\n",
            ["image"],
            "column 'Loss': the score table has 'loss', which differs only",
        ),
        ("s.csv", "image,q,Q\na/2.png,1,2\n", ["image"], "columns 'q' and 'Q' differ only in case; rename one"),
        ("s.csv", "image,relative\na/2.png,1\n", ["image"], "column 'relative': the method of that name does not read"),
        ("random.txt", "a/2.png 1\n", ["image"], "column 'random': the method of that name does not read a column"),
        ("s.csv", "name,q\na/2.png,1\n", ["image"], "expected a column 'image' to join on, got name, q"),
        ("s.csv", "image,q\na/2.png,1\n", ["image", "x"], "on: expected image or image,x,y"),
        ("s.csv", "image,q\na/2.png,1\n", ["loss"], "on: expected image"),
        ("s.csv", "image\na/2.png\n", ["image"], "expected columns beside image, got none"),
        ("s.csv", "image,q\nz.png,1\n", ["image"], "no row matches the score table; it has 'z.png' where"),
        ("s.csv", "image,q\na/2.png,1\na/2.png,2\n", ["image"], "an earlier row has the same patches"),
        ("s.csv", "image,q\n1,2\n", ["image"], "expected names of images, got int64"),
        ("s.csv", "image,x,y,q\na/2.png,l,0,1\n", ["image", "x", "y"], "column 'x': expected whole numbers"),
        ("s.csv", "image,q\n", ["image"], "expected"),
        ("s.csv", "", ["image"], "not a readable table"),
        ("q.txt", "a/2.png good\n", ["image"], "line 1: expected a name and a number, got 'a/2.png good'"),
        ("q.json", "{}", ["image"], "expected a .csv, .parquet or .txt file"),
        ("q.parquet", "no", ["image"], "not a readable parquet file"),
    ],
)
def test_bad_tables_are_refused_in_one_line(table, tmp_path, file, text, on, words):
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError) as caught:
        join_columns(table, tmp_path / file, on)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_core_set_is_refused(table, tmp_path, refused):
    (tmp_path / "q.csv").write_text("image,q\na/2.png,1\n")
    refused("expected a score table, got a core-set", join_columns, select(table, keep=0.5), tmp_path / "q.csv")


def test_names_shared_by_two_of_our_images_tell_nothing(make_table, refused):
    table = make_table([1.0, 2.0], ["a/1.png", "b/1.png"])
    refused("no row matches", join_columns, table, pa.table({"image": ["1.png"], "q": [1]}))


def test_columns_may_not_hide_behind_methods(table):
    assert set(COMPUTED) == METHODS.keys() - {*SCORES, *TARGETED}
    joined = join_columns(table, pa.table({"image": ["a/2.png"], "influence": [1.0], "similar": [2.0]}))
    assert joined.added == ["influence", "similar"]


def test_rows_are_matched_by_the_size_of_the_image_and_the_side_of_the_patch(make_table):
    at = {"x": np.array([0, 0, 96], np.int32)}

    def scored(shrink, of, side):
        made = make_table([1.0] * 3, **at, shrink=np.array(of, np.float32)).table
        made = made.set_column(3, "size", pa.array(side, pa.int32()))
        return ScoreTable(made, {"root": "/data", "shrink": shrink})

    table = scored(["1", "1/2"], [1, 0.5, 0.5], [96, 96, 96])
    assert located(table, table).tolist() == [0, 1, 2]
    assert located(table, scored(["1/2", "1/3"], [0.5, 1 / 3, 0.5], [96, 96, 48])).tolist() == [1, -1, -1]
