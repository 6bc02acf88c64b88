"""Each method against a plain loop, and the columns of a table as methods."""

import random

import numpy as np
import pytest

from srfast.coreset.selection import CoreSet, select
from srfast.errors import InputError
from srfast.scoring.rows import descending
from srfast.scoring.table import ScoreTable, concatenate

_DRAW = random.Random(4)
LOSSES = [round(_DRAW.lognormvariate(3, 1.2), 1) for _ in range(83)]
BICUBIC = [round(_DRAW.lognormvariate(3, 1.2), 1) for _ in range(83)]


def rows(coreset):
    return (coreset.column("x") // 96).tolist()


def plain(key, keep, order):
    ranked = sorted(range(len(key)), key=lambda i: -key[i] if order == "des" else key[i])
    return set(ranked[: int(keep * len(key) + 0.5)])


@pytest.mark.parametrize("order", ["des", "asc"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint8, np.uint64])
def test_descending_is_the_stable_order(dtype, order):
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=4000) * 30).astype(np.int64).astype(dtype)  # many ties
    if values.dtype.kind == "f":
        odd = [0.0, -0.0, np.inf, -np.inf, 1e-45, -1e-45, *np.finfo(np.float32).max * np.array([1, -1])]
        values[rng.choice(len(values), 400, replace=False)] = np.array(odd * 50, np.float32)
        values[:40] = rng.normal(size=40) * 1e-3
    plain = sorted(range(len(values)), key=values.tolist().__getitem__)
    if order == "des":
        plain = sorted(range(len(values)), key=values.tolist().__getitem__, reverse=True)
    assert descending(values, order).tolist() == plain
    missing = descending(np.array([np.nan, 1, -np.nan, 2], np.float32), order).tolist()
    assert missing == ([3, 1, 0, 2] if order == "des" else [1, 3, 0, 2])
    assert descending(values[:0], order).tolist() == []
    assert descending(values[::-3], order).tolist() == descending(values[::-3].copy(), order).tolist()


@pytest.mark.parametrize("order", ["des", "asc"])
def test_bicubic_reducible_and_relative(make_table, order):
    """``relative`` against float64; below a bicubic loss of 0.1 it is 0, also where the loss is higher."""
    for loss, bicubic, keep in (
        (np.array(LOSSES, np.float32), np.array(BICUBIC, np.float32), 0.4),
        (np.array([50.0, 5.0, 0.09, 0.0, 90.0, 3.0, 0.11, 0.02, 20.0, 7.0], np.float32),
         np.array([60.0, 10.0, 0.0999, 0.0, 80.0, 30.0, 0.1, 0.01, 100.0, 7.0], np.float32), 0.5),
    ):  # fmt: skip
        table = make_table(loss, bicubic=bicubic)
        relative = (bicubic.astype(np.float64) - loss) / np.maximum(bicubic, 1e-9)
        relative[bicubic < np.float32(0.1)] = 0
        for method, key in (("bicubic", bicubic), ("reducible", bicubic - loss), ("relative", relative)):
            got = rows(select(table, keep=keep, method=method, order=order))
            assert set(got) == plain(key.tolist(), keep, order), method


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int8, np.uint8, np.int64, np.uint64])
@pytest.mark.parametrize("order", ["des", "asc"])
def test_any_numeric_column(make_table, kind, order):
    draw = np.random.default_rng(1)
    values = draw.integers(0, 9, 83).astype(kind)
    if np.issubdtype(kind, np.integer):
        values[[4, 50]] = np.iinfo(kind).min, np.iinfo(kind).max
    got = select(make_table(LOSSES, quality=values), keep=0.3, method="quality", order=order)
    assert set(rows(got)) == plain(values.tolist(), 0.3, order)
    assert got.column("quality").tolist() == values[rows(got)].tolist()


@pytest.mark.parametrize("values", [[1.0, None, 2.0], [1.0, float("nan"), 2.0], [1, None, 2]])
def test_a_column_with_holes_cannot_be_sorted_by(make_table, values):
    with pytest.raises(InputError, match="column 'quality': expected finite"):
        select(make_table([1.0, 2.0, 3.0], quality=values), method="quality")


def test_an_unknown_method_is_told_the_columns(make_table):
    table = make_table([1.0, 2.0], quality=[1, 2], author=["a", "b"])
    for wrong in ("qualty", "author", "image"):
        with pytest.raises(InputError, match=rf"^method: expected one of loss, .*quality.*, got '{wrong}'"):
            select(table, method=wrong)


def test_extra_columns_are_kept_by_files_join_and_selection(make_table, tmp_path):
    halves = [
        make_table(LOSSES[:40], ["a.png"] * 40, q=np.arange(40)),
        make_table(LOSSES[40:], ["b.png"] * 43, q=np.arange(43)),
    ]
    for i, half in enumerate(halves):
        half.write(tmp_path / f"{i}.parquet")
        assert ScoreTable.read(tmp_path / f"{i}.parquet").table.equals(half.table)
    whole = concatenate([ScoreTable.read(tmp_path / f"{i}.parquet") for i in range(2)])
    assert whole.column("q").tolist() == [*range(40), *range(43)]
    coreset = select(whole, keep=0.5)
    coreset.write(tmp_path / "c.parquet")
    back = CoreSet.read(tmp_path / "c.parquet")
    assert back.table.equals(coreset.table)
    assert back.table.column_names[-2:] == ["rank", "q"]
    with pytest.raises(InputError, match=r"table 1: columns differ: table 0 has .*q, this table has"):
        concatenate([halves[0], make_table(LOSSES[40:], ["b.png"] * 43)])
