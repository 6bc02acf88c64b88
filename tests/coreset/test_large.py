"""Selections from files, read by column, are those from tables in memory; folders of parts; what is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import srfast
from srfast.coreset.selection import CoreSet, select, write_selection
from srfast.coreset.settings import SelectArguments
from srfast.report.server import View
from srfast.runtime import progress
from srfast.scoring import stored
from srfast.scoring.settings import COMPARED
from srfast.scoring.table import SCHEMA, ScoreTable

pytest.importorskip("duckdb")

META = {
    "version": 1,
    "root": "/data",
    **dict.fromkeys(COMPARED, 1),
    "scorer": {},
    "lr": None,
    "lr_template": None,
    "images": {},
    "skipped": [],
    "small": [],
}


def random_table(seed, images, per_image=211, **extra):
    """Scores with many ties, zeros of both signs and a wide range; a quarter is flat."""
    rng = np.random.default_rng(seed)
    n = len(images) * per_image
    loss = np.float32(10.0) ** rng.integers(-3, 4, n).astype(np.float32)
    loss[rng.random(n) < 0.5] *= rng.random(1, np.float32)
    loss[rng.random(n) < 0.25] = 0.0
    columns = {
        "image": [f"folder/it's {i:04d} ü.png" for i in images for _ in range(per_image)],
        "x": np.tile(np.arange(per_image, dtype=np.int32) % 15 * 96, len(images)),
        "y": np.tile(np.arange(per_image, dtype=np.int32) // 15 * 96, len(images)),
        "size": np.full(n, 96, np.int32),
        "loss": loss,
        "bicubic": loss * rng.random(n, np.float32) * 3,
        "sobel": np.where(rng.random(n) < 0.5, np.float32(-0.0), np.float32(0.0)) + rng.integers(0, 9, n),
    }
    table = pa.table({k: pa.array(v, SCHEMA.field(k).type) for k, v in columns.items()}, schema=SCHEMA)
    table = table.append_column("count", pa.array(rng.integers(-(2**60), 2**60, n)))
    table = table.append_column("quality", pa.array(rng.normal(size=n)))
    for name, values in extra.items():
        table = table.append_column(name, values(n))
    return ScoreTable(table, dict(META))


@pytest.fixture(autouse=True)
def _by_column(monkeypatch):
    monkeypatch.setattr(stored, "SMALL", 0)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "scores é.parquet"
    random_table(1, range(30)).write(path)
    return path


@pytest.mark.parametrize("flags", [False, True], ids=["plain", "flags"])
def test_statistics_and_pages_are_those_of_tables_in_memory(flags, tmp_path, monkeypatch):
    more = {
        "odd": lambda n: pa.array(np.where(np.arange(n) % 7, np.arange(n) % 5, np.nan).astype(np.float32)),
        "seen": lambda n: pa.array(np.arange(n) % 3 == 0),
        "word": lambda n: pa.array([["a", None, "b"][i % 3] for i in range(n)]),
    }
    table = random_table(3, range(12), **(more if flags else {}))
    (tmp_path / "parts").mkdir()
    table[:1000].write(tmp_path / "parts" / "part-00000000.parquet")
    table[1000:].write(tmp_path / "parts" / "part-00000001.parquet")
    table.write(tmp_path / "one.parquet")
    core = select(table, keep=0.4, drop_hardest=0.1, method="bicubic")
    core.write(tmp_path / "core.parquet")
    found = []
    for small in (0, 1 << 30):
        monkeypatch.setattr(stored, "SMALL", small)
        for name in ("one.parquet", "parts", "core.parquet"):
            found.append(srfast.stats(tmp_path / name))
        for name in ("one.parquet", "parts"):
            chosen = CoreSet.opened(tmp_path / "core.parquet")
            assert isinstance(chosen, stored.Stored) == (not small)
            page = tmp_path / f"{small}-{name}.html"
            srfast.write_report(stored.opened_rows(tmp_path / name), chosen, page)
            found.append(page.read_bytes())
            view = View(stored.opened_rows(tmp_path / name), chosen, [name])
            asked = {"by": "bicubic", "keep": "0.3", "where": "loss > 0.01", "drop": "0.1"}
            found.append(
                (view.chosen(asked)[1], view.rows({**asked, "show": "kept"}), view.rows(asked | {"sort": "name"}))
            )
    assert found[: len(found) // 2] == found[len(found) // 2 :]


SELECTIONS = [
    {}, {"keep": 1.0}, {"keep": 0.0001}, {"order": "asc", "keep": 0.3}, {"drop_hardest": 0.05, "keep": 0.5},
    {"method": "bicubic", "keep": 0.37}, {"method": "sobel", "keep": 0.21, "order": "asc"},
    {"method": "reducible", "keep": 0.4}, {"method": "reducible", "keep": 0.4, "order": "asc"},
    {"method": "relative", "keep": 0.4}, {"method": "relative", "keep": 0.8, "order": "asc"},
    {"method": "count", "keep": 0.25}, {"method": "quality", "keep": 0.25, "drop_hardest": 0.2, "order": "asc"},
    {"window": (0.05, 0.55)}, {"window": (0.0, 0.3), "method": "sobel", "order": "asc"},
    {"window": (0.2, 0.9), "keep": 0.3, "drop_hardest": 0.1, "method": "quality"},
    {"where": "quality < 0 and x >= 96 or loss > 5", "keep": 0.5},
    {"where": "image like '%0003%'", "keep": 0.5, "method": "reducible"},
    {"where": "row_number() OVER (PARTITION BY image ORDER BY loss, x, y) <= 20", "keep": 0.5},
    {"max_per_image": 40, "keep": 0.5}, {"max_per_image": 100, "keep": 0.25, "method": "sobel", "order": "asc"},
    {"max_per_image": 90, "keep": 0.3, "drop_hardest": 0.1, "where": "x < 960"}, {"flat_floor": 0.1, "keep": 0.5},
    {"flat_floor": 0.3, "keep": 0.4, "order": "asc", "drop_hardest": 0.1, "method": "bicubic"},
]  # fmt: skip


@pytest.mark.parametrize("arguments", SELECTIONS, ids=str)
def test_same_rows_as_in_memory(one, tmp_path, arguments, monkeypatch):
    expected = srfast.select(ScoreTable.read(one), **arguments)
    got = srfast.select(one, **arguments)
    assert got.table.equals(expected.table)
    assert got.meta == expected.meta
    expected.write(tmp_path / "memory.parquet")
    for held in (0, stored.HELD):  # on disk, and in memory
        monkeypatch.setattr(stored, "HELD", held)
        write_selection([one], tmp_path / f"{held}.parquet", SelectArguments(**arguments))
        assert (tmp_path / f"{held}.parquet").read_bytes() == (tmp_path / "memory.parquet").read_bytes()
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("order", ["des", "asc"])
def test_integers_beyond_what_a_float_holds(tmp_path, order):
    rng = np.random.default_rng(7)
    columns = {
        "taken": lambda n: pa.array(1_700_000_000_000_000_000 + rng.integers(0, 100, n)),
        "near": lambda n: pa.array(2**53 + rng.integers(0, 2, n)),
        "hash": lambda n: pa.array(rng.integers(0, 2**64, n, np.uint64, endpoint=False)),
        "holes": lambda n: pa.array(2**60 + rng.integers(0, 50, n), mask=rng.random(n) < 0.1),
    }
    random_table(7, range(4), **columns).write(tmp_path / "s.parquet")
    for name in columns:
        settings = {"method": name, "keep": 0.4, "order": order, "where": f"{name} is not null"}
        expected = srfast.select(ScoreTable.read(tmp_path / "s.parquet"), **settings)
        assert srfast.select(tmp_path / "s.parquet", **settings).table.equals(expected.table)


@pytest.mark.parametrize("arguments", SELECTIONS[::3], ids=str)
def test_shards_come_in_the_order_of_one_run(tmp_path, arguments):
    paths = [tmp_path / f"shard-{i}.parquet" for i in range(3)]
    for i, path in enumerate(paths):
        random_table(i, range(i, 20, 3)).write(path)
    expected = srfast.select([ScoreTable.read(path) for path in paths], **arguments)
    assert srfast.select(paths, **arguments).table.equals(expected.table)
    folder = tmp_path / "scores"
    folder.mkdir()
    for i, path in enumerate(paths):
        path.rename(folder / f"part-{i:08d}.parquet")
    assert srfast.select(ScoreTable.read(folder), **arguments).table.equals(expected.table)
    assert srfast.select(folder, **arguments).table.equals(expected.table)


@pytest.mark.parametrize(
    "settings",
    [
        {"where": "loss + 1"},
        {"where": "nothing > 1"},
        {"where": "image::int > 1"},
        {"where": "loss < -1"},
        {"where": "exists (select 1 from '/etc/passwd')"},
        {"where": "exists (select 1 from names)"},
        {"method": "holes"},
        {"keep": 0.9, "drop_hardest": 0.3},
    ],
    ids=str,
)
def test_refusals(tmp_path, settings, refused):
    holes = random_table(3, range(2), holes=lambda n: pa.array([None, *range(n - 1)]))
    holes.write(tmp_path / "scores.parquet")
    for scores in (tmp_path / "scores.parquet", holes):
        refused("column" if "method" in settings else next(iter(settings)), srfast.select, scores, **settings)


def test_parts_follow_each_other(tmp_path):
    whole, rows = random_table(5, range(24)), 211 * 6
    for i in range(4):
        whole[i * rows : (i + 1) * rows].write(tmp_path / f"part-{i:08d}.parquet")
    assert ScoreTable.read(tmp_path).table.equals(whole.table)
    assert srfast.select(tmp_path, keep=0.3).table.equals(srfast.select(whole, keep=0.3).table)


def test_refuses_what_memory_refuses(one, tmp_path, refused):
    refused("engine: ", srfast.select, one, engine="spark")
    table = ScoreTable.read(one)
    twice = tmp_path / "twice.parquet"
    table.write(twice)
    refused("occurs in more than one table", srfast.select, [one, twice])
    ScoreTable(table.table, {**table.meta, "scale": 3}).write(twice)
    refused("scale differs", srfast.select, [one, twice])
    odd = table.table.set_column(5, "bicubic", pa.array([np.nan] * len(table), pa.float32()))
    pq.write_table(odd.replace_schema_metadata(pq.read_schema(one).metadata), twice)
    refused("'bicubic': expected finite values", srfast.select, twice)
    coreset = tmp_path / "coreset.parquet"
    srfast.select(one).write(coreset)
    refused("expected a score table, got a core-set", srfast.select, coreset)
    refused("without part-", srfast.select, tmp_path)


def test_a_row_group_of_more_rows_than_memory(one, tmp_path, monkeypatch, refused):
    monkeypatch.setattr("srfast.data.parquet._memory", lambda: 100_000)
    refused(r"refused, its 6,330 rows would take 0 MiB", srfast.select, one)
    pq.write_table(pq.read_table(one), tmp_path / "groups.parquet", row_group_size=1000)
    assert len(srfast.select(tmp_path / "groups.parquet")) == 3165
    refused(r"refused, its 6,330 rows", ScoreTable.read, tmp_path / "groups.parquet")


def test_how_far_it_is(one, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(stored, "BATCH", 512)
    seen = []
    options = {"keep": 0.5}
    settings = SelectArguments(**options, progress=lambda *n: seen.append(n))
    kept = write_selection([one], tmp_path / "c.parquet", settings)
    total = kept[0]["kept"]
    assert seen[-1] == (total, total, total)
    assert [n[0] for n in seen] == sorted(n[0] for n in seen)
    assert len(seen) > 1
    monkeypatch.setattr(progress, "EVERY", 0.0001)
    assert len(srfast.select(one, **options, progress=True)) == total
    out, err = capfd.readouterr()
    assert out == ""
    assert "srfast: selecting: " in err
