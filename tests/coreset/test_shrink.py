"""Tables of images at several sizes: whoever reads them cuts the pixels that were scored."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import srfast
from srfast.coreset.duplicates import find_duplicates
from srfast.coreset.joining import join_columns
from srfast.coreset.limits import NEVER, separate
from srfast.data.images import read_rgb
from srfast.errors import InputError
from srfast.report.pictures import cut
from srfast.report.scores import KEPT, read_scores
from srfast.scoring.statistics import summary
from srfast.scoring.table import ScoreTable

SIZES = ("1", "3/4", "1/2")
SIZE = 48


@pytest.fixture(scope="module")
def scores(photographs, tmp_path_factory):
    """Two photographs, and one that stands at half its size under a name that an export might give the first."""
    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(photographs["astronaut"][20:171, 90:281]).save(folder / "a.png")
    Image.fromarray(photographs["coffee"][60:211, 80:283]).save(folder / "a_1of2.png")
    path = tmp_path_factory.mktemp("scores") / "scores.parquet"
    srfast.score(folder, patch=SIZE, scorer="bicubic", shrink=",".join(SIZES), output=path)
    return path


@pytest.fixture(scope="module")
def coreset(scores, tmp_path_factory):
    """Every row, so that places of all sizes are there."""
    path = tmp_path_factory.mktemp("coreset") / "coreset.parquet"
    srfast.select(scores, keep=1.0, sizes="all").write(path)
    return path


def tile(table, row):
    """LR and HR of a row by an offline resize: [h, w, 3]."""
    one = table[row]
    size = next(Fraction(s) for s in SIZES if np.float32(float(Fraction(s))) == np.float32(one["shrink"]))
    image = srfast.imresize(read_rgb(Path(table.meta["root"], one["image"])), float(size))
    image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    low, x, y = srfast.imresize(image, 0.5), one["x"], one["y"]
    return low[y // 2 : (y + SIZE) // 2, x // 2 : (x + SIZE) // 2], image[y : y + SIZE, x : x + SIZE]


def test_core_patches(coreset):
    table = srfast.CoreSet.read(coreset)
    assert table.columns[3:5] == ["size", "shrink"]
    pairs = srfast.CorePatches(coreset)
    for row in range(len(table)):
        low, high = tile(table, row)
        np.testing.assert_array_equal(pairs[row][0].permute(1, 2, 0), low)
        np.testing.assert_array_equal(pairs[row][1].permute(1, 2, 0), high)


@pytest.mark.parametrize("to", ["basicsr", "hf"])
def test_exported_tiles_are_an_offline_resize(to, coreset, tmp_path):
    srfast.export(coreset, tmp_path / "out", to=to, check=True)
    table = srfast.CoreSet.read(coreset)
    expected = sorted((low.tobytes(), high.tobytes()) for low, high in (tile(table, i) for i in range(len(table))))
    names = sorted(p.name for p in (tmp_path / "out" / "HR").iterdir())
    files = [[read_rgb(tmp_path / "out" / side / n).tobytes() for n in names] for side in ("LRx2", "HR")]
    assert sorted(zip(*files, strict=True)) == expected
    assert len(names) == len(set(names)) == len(table)
    assert {"a_000_000.png", "a_3of4_000_000.png", "a_1of2_000_000.png", "a_1of2_1of2_000_000.png"} <= set(names)


def test_an_export_is_found_again_by_size(coreset, tmp_path):
    srfast.export(coreset, tmp_path / "all", to="folder")
    kept = srfast.select(ScoreTable(*_scores_of(coreset)), keep=0.3, sizes="all")
    out = srfast.export(
        kept, tmp_path / "some", to="folder", existing=tmp_path / "all" / "HR", existing_lr=tmp_path / "all" / "LRx2",
        check=True,
    )  # fmt: skip
    assert out.compared == len(kept)
    srfast.export(kept, tmp_path / "list", to="list")
    words = [line.split("\t") for line in (tmp_path / "list" / "coreset.txt").read_text().splitlines()]
    assert {w[4] for w in words} <= set(SIZES)
    assert len({w[4] for w in words}) > 1


def _scores_of(coreset):
    stored = srfast.CoreSet.read(coreset)
    return stored.table.drop_columns(["rank"]), {k: v for k, v in stored.meta.items() if k != "selection"}


def test_two_sizes_of_a_place_are_no_duplicates(tmp_path):
    """A diagonal looks the same at every size; 48 pixels from 0 on at half the size reach over those from 48 on."""
    pytest.importorskip("faiss")
    Image.fromarray(np.where(np.tri(144, dtype=bool)[..., None], 200, 40).astype(np.uint8).repeat(3, 2)).save(
        tmp_path / "a.png"
    )
    table = srfast.score(tmp_path / "a.png", patch=SIZE, scorer="bicubic", shrink=SIZES)
    place = {(r["x"], r["y"], r["shrink"]): i for i, r in enumerate(table)}
    apart, over = (find_duplicates(table[[place[at], place[0, 0, 0.5]]]) for at in ((96, 96, 1.0), (48, 48, 1.0)))
    assert (apart.duplicates, over.duplicates) == (1, 0)


def test_report(coreset, scores):
    every = ScoreTable.read(scores)
    half = srfast.CoreSet.read(coreset)
    half = half[half["shrink"] == 0.5]
    read = read_scores(every, half)
    assert (read.status == KEPT).tolist() == (every["shrink"] == 0.5).tolist()
    rows = list(range(len(every)))
    pictures = cut(read, rows).patches
    for row in rows:
        assert _pixels(pictures[row]["hr"]) == tile(every, row)[1].tobytes()
        assert _pixels(pictures[row]["lr"]) == srfast.imresize(np.ascontiguousarray(tile(every, row)[1]), 0.5).tobytes()


def _pixels(picture):
    import io

    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).tobytes()


@pytest.fixture
def sized(make_table):
    """make(loss, x, shrink, ...): rows of one image at several sizes, each a patch of 96 pixels."""

    def make(loss, x, shrink, **columns):
        table = make_table(loss, x=np.array(x, np.int32), **columns)
        column = pa.array(shrink, pa.float32())
        return ScoreTable(table.table.add_column(4, "shrink", column), {**table.meta, "shrink": list(SIZES)})

    return make


def test_a_place_is_kept_at_its_best_size(sized):
    """At half the size, 96 pixels from 0 on are 0 to 192 of the whole image."""
    table = sized([9, 1, 5, 7, 8], [0, 96, 192, 0, 96], [1, 1, 1, 0.5, 0.5])
    kept = srfast.select(table, keep=1.0)
    assert list(zip(kept["x"].tolist(), kept["shrink"].tolist(), strict=True)) == [(0, 1.0), (96, 0.5), (96, 1.0)]
    assert "sizes=best allow" in kept.meta["selection"]["short"]
    assert kept.meta["selection"]["by_size"] == {
        "1": {"patches": 3, "kept": 2}, "3/4": {"patches": 0, "kept": 0}, "1/2": {"patches": 2, "kept": 1}
    }  # fmt: skip
    assert len(srfast.select(table, keep=1.0, sizes="all")) == 5
    assert srfast.select(table, keep=1.0, sizes="all", nms=0.2)["shrink"].tolist() == [1.0, 0.5, 1.0]
    assert srfast.select(table, keep=1.0, max_per_image=2)["loss"].tolist() == [9.0, 8.0]
    sizes_kept = summary(kept)["sizes"]
    assert sizes_kept["1"] == {"patches": 2, "share": 2 / 3, "of": 3}


def test_levels_against_a_plain_loop():
    draw = np.random.default_rng(0)
    n = 300
    image, level = draw.integers(0, 2, n), draw.integers(0, 3, n)
    x, y, size = draw.integers(0, 90, n), draw.integers(0, 60, n), np.array([12, 16, 24])[level]
    kept = []
    for i in range(n):
        free = True
        for k in kept:
            w, h = (min(c[i] + size[i], c[k] + size[k]) - max(c[i], c[k]) for c in (x, y))
            both = w * h if w > 0 and h > 0 else 0
            if image[i] == image[k] and level[i] != level[k] and 2 * both > min(size[i], size[k]) ** 2:
                free = False
        same = [k for k in kept if (image[k], level[k], x[k], y[k]) == (image[i], level[i], x[i], y[i])]
        if free and not same:
            kept.append(i)
    assert np.flatnonzero(separate(image, x, y, size, NEVER, level)).tolist() == kept


def test_files_select_the_same(scores):
    pytest.importorskip("duckdb")
    for settings in ({"keep": 0.4}, {"keep": 0.4, "max_per_image": 4, "sizes": "all"}, {"where": "shrink < 1"}):
        memory, large = (srfast.select(s, **settings) for s in (ScoreTable.read(scores), scores))
        assert large.table.equals(memory.table)
        assert large.meta["selection"]["by_size"] == memory.meta["selection"]["by_size"]


def test_one_size(sized):
    """a is soft at full size, b at none, c at all."""
    images = [f"{i}.png" for i in "abc" for _ in range(4)]
    shrink = [1, 1, 0.5, 0.5] * 3
    bicubic = np.array([1, 2, 90, 91, 50, 60, 90, 90, 0.1, 0.1, 2, 2], np.float32)
    table = sized([5.0] * 12, [0, 96] * 6, shrink, images=images, bicubic=bicubic)
    table = ScoreTable(table.table, {**table.meta, "scale": 2})
    kept = srfast.select(table, keep=1.0, one_size=True)
    of = dict(zip(kept["image"].tolist(), kept["shrink"].tolist(), strict=True))
    assert of == {"a.png": 0.5, "b.png": 1.0, "c.png": 0.5}
    assert kept.meta["selection"]["larger"] == {"images": 3, "larger": 2}
    assert kept.meta["selection"]["passing"] == 6
    blur = pa.array([0.2, 0.2, 0.1, None, 2, None, 0.1, 0.1, 2, 2, 2, 2], pa.float32())
    known = table.table.append_column("blur", blur).append_column("upscaled", pa.array(np.ones(12, np.float32)))
    kept = srfast.select(ScoreTable(known, table.meta), keep=1.0, one_size=True)
    of = dict(zip(kept["image"].tolist(), kept["shrink"].tolist(), strict=True))
    assert of == {"a.png": 1.0, "b.png": 0.5, "c.png": 0.5}
    with pytest.raises(InputError, match="expected scores of several sizes"):
        srfast.select(
            table[table["shrink"] < 2].__class__(table.table.drop_columns(["shrink"]), {"scale": 2}), one_size=True
        )


def test_join_by_size(scores, refused):
    table = ScoreTable.read(scores)
    other = table.table.select(["image", "x", "y", "shrink"]).append_column("new", pa.array(np.arange(len(table))))
    assert join_columns(table, other, ["image", "x", "y"]).table["new"].tolist() == list(range(len(table)))
    whole = other.drop_columns(["shrink"]).slice(0, 3)
    joined = join_columns(table, whole, ["image", "x", "y"])
    assert joined.matched == 3
    assert set(table["shrink"][~np.isnan(joined.table["new"].astype(float))]) == {1.0}
    plain = table[table["shrink"] == 1]
    plain = ScoreTable(plain.table.drop_columns(["shrink"]), {k: v for k, v in table.meta.items() if k != "shrink"})
    assert join_columns(plain, other, ["image", "x", "y"]).matched == len(plain)
    text = other.set_column(3, "shrink", pa.array(["1/2"] * len(other)))
    refused("column 'shrink': expected numbers", join_columns, table, text)
