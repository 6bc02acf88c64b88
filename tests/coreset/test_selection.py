"""select against plain Python, its ties and its bytes."""

import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

import srfast
from srfast.coreset.methods.base import STRATA
from srfast.coreset.selection import CoreSet, select
from srfast.coreset.settings import METHODS
from srfast.errors import InputError
from srfast.scoring.settings import COMPARED
from srfast.scoring.table import ScoreTable, concatenate


def plain(
    loss, keep, order, drop, key = None, cap = None,
    images = None,
):  # fmt: skip
    """The rows of the core-set, hardest first, in Python's own sorts (stable, so ties break by row)."""
    n = len(loss)
    hardest = sorted(range(n), key=lambda i: -loss[i])
    left = sorted(hardest[int(drop * n + 0.5) :])
    key = loss if key is None else key
    ranked = sorted(left, key=lambda i: -key[i] if order == "des" else key[i])
    if cap is not None:
        seen = Counter()
        kept = []
        for i in ranked:
            if seen[images[i]] < cap:
                kept.append(i)
            seen[images[i]] += 1
        ranked = kept
    chosen = set(ranked[: max(1, int(keep * n + 0.5))])
    return [i for i in hardest if i in chosen]


def rows(coreset):
    return (coreset.column("x") // 96).tolist()


TABLE_METHODS = [m for m in METHODS if m not in ("hdc", "diverse", "influence", "similar")]  # those read no images
LOSSES = [round(random.Random(4).lognormvariate(3, 1.2), 1) for _ in range(157)]
IMAGES = sorted(random.Random(5).choices(["a.png", "b/c.png", "d é.jpg", "e.png"], k=157))


@pytest.mark.parametrize("keep", [0.001, 0.1, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("order", ["des", "asc"])
@pytest.mark.parametrize("drop", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("method", ["loss", "sobel"])
def test_des_asc_and_refined(method, keep, order, drop, make_table):
    table = make_table(LOSSES)
    if keep > 1 - drop:
        with pytest.raises(InputError, match=r"^keep: .* expected at most keep="):
            select(table, keep=keep, order=order, drop_hardest=drop, method=method)
        return
    got = select(table, keep=keep, order=order, drop_hardest=drop, method=method)
    assert rows(got) == plain(LOSSES, keep, order, drop, key=table.column(method).tolist())
    assert got.column("rank").tolist() == list(range(len(got)))
    assert (np.diff(got.column("loss")) <= 0).all()
    if drop:
        drawn = select(table, keep=min(keep, 0.5), method="random", drop_hardest=drop)
        assert not set(plain(LOSSES, 1.0, "des", 0.0)[: int(drop * 157 + 0.5)]) & set(rows(drawn))


@pytest.mark.parametrize("cap", [1, 3, 20])
@pytest.mark.parametrize("order", ["des", "asc"])
def test_max_per_image(cap, order, make_table):
    got = select(make_table(LOSSES, IMAGES), keep=0.5, order=order, max_per_image=cap)
    assert rows(got) == plain(LOSSES, 0.5, order, 0.0, cap=cap, images=IMAGES)
    assert max(Counter(got.column("image").tolist()).values()) <= cap


@pytest.mark.parametrize("order", ["des", "asc"])
@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_ties_break_by_row_order(n, order, make_table):
    losses = [5.0] * n
    got = select(make_table(losses), keep=0.5, order=order)
    assert rows(got) == list(range(max(1, int(n * 0.5 + 0.5))))
    tied = [float(i % 3) for i in range(n)]
    assert rows(select(make_table(tied), keep=0.6, order=order)) == plain(tied, 0.6, order, 0.0)


def test_random_is_a_uniform_draw_by_seed(make_table):
    table = make_table(LOSSES)
    first, again, other = (select(table, keep=0.3, method="random", seed=s) for s in (1, 1, 2))
    assert rows(first) == rows(again)
    assert rows(first) != rows(other)
    assert len(set(rows(first))) == int(157 * 0.3 + 0.5)
    counts = Counter(i for seed in range(300) for i in rows(select(table, keep=0.3, method="random", seed=seed)))
    # Binomial(300, 0.3): mean 90, standard deviation 8; six of them for 157 patches.
    assert all(abs(counts[i] - 90) < 48 for i in range(157))


@pytest.mark.parametrize("n", [40, 157, 1000])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_stratified_takes_the_same_number_of_every_quantile(n, keep, make_table):
    losses = [random.Random(i).lognormvariate(3, 1) for i in range(n)]
    got = rows(select(make_table(losses), keep=keep, method="stratified", seed=3))
    assert len(got) == int(keep * n + 0.5)
    easiest = sorted(range(n), key=lambda i: losses[i])
    stratum = {i: place * STRATA // n for place, i in enumerate(easiest)}
    size, taken = Counter(stratum.values()), Counter(stratum[i] for i in got)
    rounds = max(taken.values())
    for s in range(STRATA):
        # A quantile gives one a round until it is empty; the last round may stop half way.
        assert min(size[s], rounds - 1) <= taken[s] <= min(size[s], rounds)
    assert rows(select(make_table(losses), keep=keep, method="stratified", seed=4)) != got


@pytest.mark.parametrize("method", TABLE_METHODS)
def test_the_same_input_and_seed_give_the_same_bytes(method, tmp_path, make_table):
    table = make_table(LOSSES, IMAGES)
    table.write(tmp_path / "scores.parquet")
    written = []
    for i in range(2):
        path = tmp_path / f"coreset{i}.parquet"
        srfast.select(tmp_path / "scores.parquet", keep=0.5, method=method, seed=7).write(path)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_what_is_written_comes_back(tmp_path, make_table):
    coreset = select(make_table(LOSSES, IMAGES), keep=0.5, drop_hardest=0.05, max_per_image=50)
    coreset.write(tmp_path / "c.parquet")
    back = CoreSet.read(tmp_path / "c.parquet")
    assert back.table.equals(coreset.table)
    assert back.meta == coreset.meta
    assert back.meta["selection"] == {
        "method": "loss", "order": "des", "keep": 0.5, "keep_loss": None, "drop_hardest": 0.05,
        "max_per_image": 50, "seed": 0,
        "where": None, "window": None, "flat_floor": 0.0, "per_image": None, "nms": None, "sizes": "best",
        "one_size": False, "target": None, "clean": False, "reject": None,
        "patches": 157, "passing": 157, "kept": len(coreset), "dropped_hardest": 8,
        "short": None, "shares": back.meta["selection"]["shares"],
    }  # fmt: skip


def test_several_tables_are_one_dataset(make_table):
    halves = [[i for i in range(157) if (IMAGES[i] < "c") == first] for first in (True, False)]
    whole = make_table(LOSSES, IMAGES)
    parts = [
        ScoreTable(whole.table.take(pa.array(half, pa.int64())), {**whole.meta, "shard": [k, 2]})
        for k, half in enumerate(halves)
    ]
    want = select(whole, keep=0.5)
    for order in (parts, parts[::-1]):
        assert select(order, keep=0.5).table.equals(want.table)


def test_tables_of_other_settings_or_with_common_patches_are_refused(make_table, refused):
    table = make_table(LOSSES, IMAGES)
    for setting in ("root", *COMPARED):
        other = ScoreTable(table.table, {**table.meta, setting: "other"})
        refused(f"table 1: {setting} differs", select, [table, other])
    nan = make_table([1.0, float("nan")])
    for given, words in (([table, table], "more than one table"), ([], "at least one table"), (nan, "finite"),
                         (make_table([]), "empty table")):  # fmt: skip
        refused(words, select, given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": 0}, "keep"), ({"keep": 1.1}, "keep"), ({"keep": -0.5}, "keep"), ({"keep": float("nan")}, "keep"),
        ({"order": "up"}, "order"), ({"drop_hardest": 1.0}, "drop_hardest"), ({"drop_hardest": -0.1}, "drop_hardest"),
        ({"drop_hardest": float("nan")}, "drop_hardest"), ({"drop_hardest": 0.9999}, "drop_hardest"),
        ({"method": "best"}, "method"), ({"method": "image"}, "method"), ({"method": None}, "method"),
        ({"where": ""}, "where"), ({"where": 3}, "where"), ({"window": (0.5, 0.5)}, "window"),
        ({"window": 0.5}, "window"),
        ({"window": (0, 1.5)}, "window"), ({"window": (-0.1, 0.5)}, "window"), ({"window": ("a", "b")}, "window"),
        ({"flat_floor": 1.0}, "flat_floor"), ({"flat_floor": -0.1}, "flat_floor"), ({"per_image": "all"}, "per_image"),
        ({"nms": 1.0}, "nms"), ({"nms": -0.1}, "nms"), ({"nms": "a"}, "nms"),
        ({"max_per_image": 0}, "max_per_image"), ({"seed": -1}, "seed"),
        ({"keep": "half"}, "keep"), ({"seed": 1.5}, "seed"), ({"max_per_image": 1.5}, "max_per_image"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(options, words, make_table, refused):
    refused(f"^{words}: ", select, make_table(LOSSES), **options)


@pytest.mark.parametrize("order", ["des", "asc"])
def test_bicubic_reducible_and_relative(make_table, order):
    """``relative`` against float64; below a bicubic loss of 0.1 it is 0, also where the loss is higher."""
    for loss, bicubic, keep in (
        (np.array(LOSSES, np.float32), np.array(LOSSES[::-1], np.float32), 0.4),
        (np.array([50.0, 5.0, 0.09, 0.0, 90.0, 3.0, 0.11, 0.02, 20.0, 7.0], np.float32),
         np.array([60.0, 10.0, 0.0999, 0.0, 80.0, 30.0, 0.1, 0.01, 100.0, 7.0], np.float32), 0.5),
    ):  # fmt: skip
        table = make_table(loss, bicubic=bicubic)
        relative = (bicubic.astype(np.float64) - loss) / np.maximum(bicubic, 1e-9)
        relative[bicubic < np.float32(0.1)] = 0
        for method, key in (("bicubic", bicubic), ("reducible", bicubic - loss), ("relative", relative)):
            got = rows(select(table, keep=keep, method=method, order=order))
            assert got == plain(loss.tolist(), keep, order, 0.0, key=key.tolist()), method


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int8, np.uint8, np.int64, np.uint64])
@pytest.mark.parametrize("order", ["des", "asc"])
def test_any_numeric_column(make_table, kind, order):
    draw = np.random.default_rng(1)
    values = draw.integers(0, 9, 157).astype(kind)
    if np.issubdtype(kind, np.integer):
        values[[4, 50]] = np.iinfo(kind).min, np.iinfo(kind).max
    got = select(make_table(LOSSES, quality=values), keep=0.3, method="quality", order=order)
    assert rows(got) == plain(LOSSES, 0.3, order, 0.0, key=values.tolist())
    assert got.column("quality").tolist() == values[rows(got)].tolist()


@pytest.mark.parametrize("values", [[1.0, None, 2.0], [1.0, float("nan"), 2.0], [1, None, 2]])
def test_a_column_with_holes_cannot_be_sorted_by(make_table, values, refused):
    refused("column 'quality': expected finite", select, make_table([1.0, 2.0, 3.0], quality=values), method="quality")


def test_an_unknown_method_is_told_the_columns(make_table, refused):
    table = make_table([1.0, 2.0], quality=[1, 2], author=["a", "b"])
    for wrong in ("qualty", "author", "image"):
        refused(rf"^method: expected one of loss, .*quality.*, got '{wrong}'", select, table, method=wrong)


def test_extra_columns_are_kept_by_files_join_and_selection(make_table, tmp_path):
    halves = [
        make_table(LOSSES[:40], ["a.png"] * 40, q=np.arange(40)),
        make_table(LOSSES[40:], ["b.png"] * 117, q=np.arange(117)),
    ]
    for i, half in enumerate(halves):
        half.write(tmp_path / f"{i}.parquet")
        assert ScoreTable.read(tmp_path / f"{i}.parquet").table.equals(half.table)
    whole = concatenate([ScoreTable.read(tmp_path / f"{i}.parquet") for i in range(2)])
    assert whole.column("q").tolist() == [*range(40), *range(117)]
    coreset = select(whole, keep=0.5)
    coreset.write(tmp_path / "c.parquet")
    back = CoreSet.read(tmp_path / "c.parquet")
    assert back.table.equals(coreset.table)
    assert back.table.column_names[-2:] == ["rank", "q"]
    with pytest.raises(InputError, match=r"table 1: columns differ: table 0 has .*q, this table has"):
        concatenate([halves[0], make_table(LOSSES[40:], ["b.png"] * 117)])
