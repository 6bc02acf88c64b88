"""Conditions on columns: what passes, what is refused, and that nothing but the columns can be reached."""

import sys

import numpy as np
import pyarrow as pa
import pytest

import srfast
from srfast.coreset.selection import select
from srfast.errors import InputError, RunError

pytest.importorskip("duckdb")


LOSSES = [float(v) for v in np.random.default_rng(2).permutation(120)]
QUALITY = [None if i % 17 == 3 else i % 10 for i in range(120)]


def table_of(make_table):
    return make_table(LOSSES, ["a é.png"] * 50 + ["it's.png"] * 70, quality=QUALITY)


def test_fractions_are_of_what_passes(make_table):
    table = table_of(make_table)
    passing = [i for i in range(120) if QUALITY[i] is not None and QUALITY[i] < 6 and LOSSES[i] > 10]
    got = select(table, keep=0.25, drop_hardest=0.1, where="quality < 6 and loss > 10")
    ranked = sorted(passing, key=lambda i: -LOSSES[i])
    first = int(0.1 * len(passing) + 0.5)
    assert (got.column("x") // 96).tolist() == ranked[first : first + int(0.25 * len(passing) + 0.5)]
    selection = got.meta["selection"]
    assert (selection["patches"], selection["passing"]) == (120, len(passing))
    assert selection["where"] == "quality < 6 and loss > 10"


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("image = 'a é.png'", 50), ("image like 'it''s%'", 70), ("quality is null", 7), ("true", 120),
        ("not current_setting('enable_progress_bar')", 120),  # which is printed on stdout
        ("x between 96 and 960", 10), ("loss > 10 -- a comment", 109), ("quality in (1, 2)", 23),
    ],
)  # fmt: skip
def test_conditions(make_table, where, count):
    got = select(table_of(make_table), keep=1.0, where=where)
    assert len(got) == count == len(set(got.column("x").tolist()))


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("qualty < 6", r'"qualty" not found.*the columns are image, x, y, size, loss, bicubic, sobel, quality'),
        ("loss >", "syntax error"), ("loss", "expected a condition that is true or false, got 'loss'"),
        ("loss + 1", "true or false"), ("loss > 1; drop table t", "statement"), ("loss > 1) or (true", "syntax error"),
        ("loss > avg(loss)", "where: "), ("image > 3", "where: "), ("loss > 1, loss > 2", "where: "),
        ("loss > 1 union select true", "set operation"), ("loss > 1e9", "none of the 120 patches meets 'loss > 1e9'"),
        ("cast(image as integer) > 3", "where: "),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused_in_one_line(make_table, where, words):
    with pytest.raises(InputError, match=words) as caught:
        select(table_of(make_table), where=where)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("where: ")


def test_nothing_but_the_table_can_be_read(make_table, tmp_path, refused):
    secret = tmp_path / "secret.txt"
    secret.write_text("a é.png")
    table = table_of(make_table)
    for where in (
        f"image in (select content from read_text('{secret}'))",
        f"image in (select * from '{secret}')",
        "image in (select value from duckdb_settings())",
    ):
        refused(r"^where: ", select, table, where=where)


def test_without_duckdb_the_reason_is_named(make_table, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(RunError, match=r"where: needs duckdb.*pip install srfast"):
        select(table_of(make_table), where="loss > 1")


def test_names_that_differ_only_in_case_are_refused(make_table, tmp_path):
    table = make_table([1.0, 2.0], Loss=[2.0, 1.0])
    table.write(tmp_path / "s.parquet")
    for scores in (table, tmp_path / "s.parquet"):
        with pytest.raises(InputError, match=r"columns 'loss' and 'Loss' differ only in case; rename one of the two$"):
            select(scores, where="Loss > 1")


@pytest.mark.parametrize("small", [0, 1 << 26])
@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_a_column_with_holes_sorts_what_has_none(make_table, tmp_path, missing, small, monkeypatch):
    monkeypatch.setattr("srfast.scoring.stored.SMALL", small)
    make_table([1.0, 2.0, 3.0], blur=[1.0, missing, 2.0], n=[5, None, 4]).write(tmp_path / "s.parquet")
    for method, first in (("blur", 192), ("n", 0)):
        got = select(tmp_path / "s.parquet", keep=0.5, method=method, where="x <> 96")
        assert got.column("x").tolist() == [first]
        with pytest.raises(InputError, match=f"column '{method}': expected finite values to sort by"):
            select(tmp_path / "s.parquet", keep=0.5, method=method, where="x > 0")


def test_columns_of_any_name_and_type(make_table, tmp_path, monkeypatch):
    names = [
        "file_row_number", "file_index", "bin", "srfast row", "srfast met", "constructor", "__proto__", 'a"b', "data",
    ]  # fmt: skip
    far = np.where(np.arange(120) % 2, 1.7e308, -1.7e308)
    half = pa.array((np.arange(120) / 8).astype(np.float16))
    words = pa.array([f"w{i % 3}" for i in range(120)], pa.string_view())
    table = make_table(LOSSES, **{n: pa.array(np.arange(120) % 7) for n in names}, far=pa.array(far))
    other = pa.table({"image": table.table["image"], "x": table["x"], "y": table["y"], "half": half, "words": words})
    joined = srfast.join(table, other, on="image,x,y")
    joined.write(tmp_path / "s.parquet")
    raw = table.with_rows(table.table.append_column("half", half).append_column("words", words))
    monkeypatch.setattr("srfast.scoring.stored.SMALL", 0)
    for scores in (tmp_path / "s.parquet", joined, raw):
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            assert len(select(scores, keep=1.0, where=f"{quoted} = 3")) == 17
            assert set(select(scores, keep=17 / 120, method=name)[name].tolist()) == {6}
        assert len(select(scores, keep=1.0, where="half < 2 and words = 'w1'")) == 5
        assert (select(scores, keep=0.5, method="far")["far"] > 0).all()
        assert len(select(scores, keep=1.0, where="COLUMNS('loss|sobel') >= 0 and true")) == 120


def test_a_condition_is_given_up(make_table, refused):
    from srfast.coreset.condition import passing

    endless = "(select sum(sqrt(a * b)) from range(1000000) t(a), range(1000000) u(b)) > 0"
    refused("given up after", passing, table_of(make_table), endless, seconds=0.2)
