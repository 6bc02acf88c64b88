"""``score --defects`` and ``--blockiness``: the same columns in every mode and engine, null where they cannot be known,
and ``--clean``."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import skimage.data
from PIL import Image

import srfast
from srfast.coreset.condition import passing
from srfast.coreset.rejects import rejected
from srfast.data.images import read_rgb
from srfast.errors import InputError
from srfast.ops.blockiness import blockiness
from srfast.ops.defects import COLUMNS, defects
from srfast.scoring import defect_columns as thresholds
from srfast.scoring.defect_columns import names
from srfast.scoring.rows import Rows
from srfast.scoring.table import SCHEMA, ScoreTable, concatenate

OPTIONS: dict[str, Any] = {"patch": 48, "scorer": "bicubic", "defects": True}
BLOCKS = {**OPTIONS, "defects": False, "blockiness": True}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Odd sizes, noise, a JPEG, and a flat image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = Image.fromarray(skimage.data.astronaut()).reduce(2)
    photo.crop((0, 0, 151, 133)).save(folder / "a.png")
    photo.crop((60, 60, 237, 191)).save(folder / "b.jpg", quality=30)
    noisy = np.asarray(photo.crop((100, 40, 201, 143)), np.float64)
    noisy = np.clip(noisy + np.random.default_rng(0).normal(0, 20, noisy.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(folder / "ç.png")
    Image.new("RGB", (60, 70), (90, 90, 90)).save(folder / "flat.png")
    return folder


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "dense"}, {"backend": "torch"}, {"backend": "torch", "mode": "dense"}, {"threads": 3, "stride": 14}],
)
def test_they_are_those_of_the_windows(options, photos):
    table = srfast.score(photos, **OPTIONS, **options)
    assert table.columns == [*SCHEMA.names, *names(pair=False)]
    assert table.meta["defects"] is True
    for column in names(pair=False):
        assert table.table.schema.field(column).type == pa.float32()
    rows = {name: i for i, name in enumerate(COLUMNS)}
    wanted = ("image", "x", "y", "blockiness", *COLUMNS)
    for name, x, y, blocks, *values in zip(*(table[c] for c in wanted), strict=True):
        image = read_rgb(photos / name)
        want = defects(image, np.array([x]), np.array([y]), 48)[0]
        assert np.array_equal(np.float32(values), want[[rows[c] for c in COLUMNS]], equal_nan=True)
        assert blocks == blockiness(image, [x], [y], 48)[0]
    for row in table.table.to_pylist():
        flat = row["image"] == "flat.png"
        assert row["blur"] is None or not flat
        assert (row["jpeg"] is None) == (row["image"] != "b.jpg")
        assert row["jpeg"] is None or abs(row["jpeg"] - 30) <= 1
    noise = {n: np.nanmean(table["noise"][table["image"] == n]) for n in ("a.png", "ç.png")}
    assert noise["ç.png"] > 2 * noise["a.png"]


def test_the_lower_quality_of_file_and_pixels(photos, tmp_path):
    with Image.open(photos / "b.jpg") as image:
        image.load()
        image.save(tmp_path / "again.png")
        image.save(tmp_path / "better.jpg", quality=95)
    table = srfast.score([tmp_path / "again.png", tmp_path / "better.jpg"], **OPTIONS)
    assert (np.abs(table["jpeg"] - 30) <= 1).all()


@pytest.mark.parametrize("how", [{}, {"mode": "dense"}, {"backend": "torch"}], ids=str)
def test_everything_else_stays(how, photos):
    with_them, without = (srfast.score(photos, **{**OPTIONS, **how, "defects": given}) for given in (True, False))
    assert without.table.schema.equals(SCHEMA)
    assert "defects" not in without.meta
    assert with_them.table.select(SCHEMA.names).equals(without.table)
    blocks = srfast.score(photos, **BLOCKS, **how)
    assert blocks.columns == [*SCHEMA.names, "blockiness"]
    assert blocks.meta["blockiness"] is True
    assert np.array_equal(with_them["blockiness"], blocks["blockiness"])
    assert blocks.table.select(SCHEMA.names).equals(without.table)


@pytest.mark.parametrize("column", ["defects", "blockiness"])
@pytest.mark.parametrize("name", ["s.parquet", "folder/"])
def test_resume_gives_the_same_rows(name, column, photos, tmp_path, interrupted):
    options = {**(OPTIONS if column == "defects" else BLOCKS), "output": f"{tmp_path}/{name}", "threads": 1}
    interrupted(srfast.score, photos, after=2, **options)
    with pytest.raises(InputError, match=rf"{column}: .* was scored with"):
        srfast.score(photos, resume=True, **{**options, column: False})
    begun: list[int] = []
    resumed = srfast.score(photos, resume=True, progress=lambda done, *_: begun.append(done), **options)
    assert min(begun) >= 2  # what was finished is not scored again, although not every patch has every column
    again, fresh = srfast.score(photos, resume=True, **options), srfast.score(photos, **{**options, "output": None})
    assert again.table.equals(resumed.table)
    assert resumed.table.equals(fresh.table)
    assert resumed.meta == fresh.meta


@pytest.mark.parametrize("options", [OPTIONS, BLOCKS], ids=["defects", "blockiness"])
def test_shards_go_together_only_when_all_have_it(options, photos):
    shards = [srfast.score(photos, shard=(i, 2), **options) for i in range(2)]
    assert concatenate(shards).table.equals(srfast.score(photos, **options).table)
    bare = srfast.score(photos, shard=(1, 2), **{**options, "blockiness": False, "defects": False})
    for together in (concatenate, srfast.select):
        with pytest.raises(InputError, match=r"(blockiness|defects) differs"):
            together([shards[0], bare])


def test_select_by_block_artefacts(photos, tmp_path):
    table = srfast.score(photos, output=tmp_path / "s.parquet", **BLOCKS)
    worst = srfast.select(tmp_path / "s.parquet", keep=0.2, method="blockiness")
    assert sorted(worst["blockiness"]) == sorted(table["blockiness"])[-len(worst) :]


def test_clean_is_the_condition_that_it_prints(photos, tmp_path, monkeypatch):
    path = tmp_path / "s.parquet"
    table = srfast.score(photos, output=path, **OPTIONS)
    kept = srfast.select(path, keep=1.0, clean=True)
    about = kept.meta["selection"]
    assert about["rejected"]["jpeg"] == (table["image"] == "b.jpg").sum()
    assert not {"b.jpg", "ç.png"} & set(kept["image"])
    pytest.importorskip("duckdb")
    by_condition = srfast.select(path, keep=1.0, where=about["cleaned"])
    assert by_condition.table.equals(kept.table)
    hardest = "row_number() OVER (PARTITION BY image ORDER BY loss DESC, x, y) <= 3"
    both = [srfast.select(scores, keep=1.0, clean=True, where=hardest) for scores in (table, path)]
    assert both[0].table.equals(both[1].table)
    assert both[0].meta["selection"]["rejected"] == both[1].meta["selection"]["rejected"]
    monkeypatch.setattr("srfast.scoring.stored.SMALL", 0)
    assert srfast.select(path, keep=1.0, clean=True).meta == kept.meta


def test_clean_needs_columns(photos):
    bare = srfast.score(photos, **{**OPTIONS, "defects": False})
    with pytest.raises(InputError, match="clean: the table has no columns of defects; `srfast score --defects` makes"):
        srfast.select(bare, clean=True)


def test_prune_cleans(photos, tmp_path):
    done = srfast.prune(photos, tmp_path / "out", patch=48, scorer="bicubic", clean=True, keep=1.0)
    assert "noise" in ScoreTable.read(tmp_path / "out" / "scores.parquet").columns
    kept = set(zip(done.coreset["image"], done.coreset["shrink"], strict=True))
    # An image with noise or of a low JPEG quality is kept only at the sizes at which these are gone.
    assert {size for image, size in kept if image == "a.png"} == {1, 0.75, 0.5}
    assert {size for image, size in kept if image == "b.jpg"} == {0.75, 0.5}
    assert {size for image, size in kept if image == "ç.png"} == {0.5}


def test_reject_by_a_list(photos, tmp_path, caplog):
    table = srfast.score(photos, **OPTIONS)
    first = table.table.slice(0, 1).to_pylist()[0]
    listed = tmp_path / "rejects.csv"
    with open(listed, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "x", "y", "size", "reason"])
        writer.writerow([first["image"], first["x"], first["y"], 48, "ugly"])
        writer.writerow(["ç.png", "", "", "", "noise"])
        writer.writerow(["gone.png", "", "", "", "noise"])
    kept = srfast.select(table, keep=1.0, reject=listed)
    of = (table["image"] == "ç.png").sum()
    assert len(kept) == len(table) - of - 1
    assert kept.meta["selection"]["rejected"] == {"ugly": 1, "noise": of}
    assert "1 of 3 entries match no patch of the table" in caplog.text
    listed.write_text("image,x,y\na,1,2\n")
    with pytest.raises(InputError, match="none called size"):
        srfast.select(table, reject=listed)
    with pytest.raises(InputError, match="no such file"):
        srfast.select(table, reject=tmp_path / "none.csv")


def made_columns(rng: np.random.Generator, image: np.ndarray) -> dict[str, np.ndarray]:
    """Values around the limits, so that some images are beyond them as a whole, some in patches, and some not."""
    level = rng.uniform(0.3, 1.7, int(image.max()) + 1)[image]
    columns = {}
    for t in thresholds.THRESHOLDS:
        values = t.image * level * rng.choice([0.8, 1, 1.2, 5], len(image))
        columns[t.column] = np.where((rng.random(len(image)) < 0.3) | (image == 0), np.nan, values).astype(np.float32)
    return columns


def test_conditions_and_reasons_say_the_same(monkeypatch):
    """Also of a table that is judged in stretches of whole images, and where missing values are nan instead of null."""
    rng = np.random.default_rng(0)
    image = np.sort(rng.integers(0, 90, 2000))
    columns = made_columns(rng, image)
    reasons = thresholds.reasons(columns, image)
    assert all(0 < rows.sum() < len(rows) for rows in reasons.values())
    pytest.importorskip("duckdb")
    for nan_is_null in (True, False):
        data = {k: pa.array(v, from_pandas=nan_is_null) for k, v in columns.items()}
        table = Rows(pa.table({"image": pa.array(image), **data}), {})
        for t in thresholds.THRESHOLDS:
            met = passing(table, thresholds.condition([t.column]))
            assert np.array_equal(met, np.flatnonzero(~reasons[t.column]))
        for stretch in (100, 10_000):
            monkeypatch.setattr("srfast.scoring.rows._STRETCH", stretch)
            out, counts = rejected(table, True, None)
            assert np.array_equal(out, np.any(list(reasons.values()), 0))
            assert counts == {k: int(v.sum()) for k, v in reasons.items()}


def test_what_a_share_of_the_patches_reaches():
    nan = np.nan
    image = np.repeat([0, 1, 2, 3], [20, 4, 2, 1])
    values = np.array([*range(20), nan, 3, 1, 2, nan, nan, 7.0])
    most = thresholds.Threshold("noise", image=5, patch=15, share=0.85, within=3)
    np.testing.assert_array_equal(most.of_images(values, image), [3, 1, nan, 7])  # 17 of 20 reach 3; 3 of 3 reach 1
    assert most.against_images(values, image).tolist() == [False, False, False, True]
    assert np.flatnonzero(most.against(values, image)).tolist() == [15, 16, 17, 18, 19, 26]
    few = thresholds.Threshold("overlay", image=19, share=0.05)
    np.testing.assert_array_equal(few.of_images(values, image), [19, 3, nan, 7])  # one of 20 reaches 19
    half = thresholds.Threshold("overlay", image=10, patch=18, share=0.05, most=0.5)
    assert half.against_images(values, image).tolist() == [True, False, False, False]  # 10 of 20, none, none, none
    more = thresholds.Threshold("overlay", image=11, patch=18, share=0.05, most=0.5)
    assert np.flatnonzero(more.against(values, image)).tolist() == [18, 19]
    least = thresholds.Threshold("jpeg", image=5, share=0.1, low=True)
    np.testing.assert_array_equal(least.of_images(values, image), [1, 1, nan, 7])  # two of 20 are at most 1
    away = np.where(image == 0, 0, values)
    assert not thresholds.Threshold("noise", image=50, patch=3, share=0.85, within=2).against(away, image)[20:26].any()


def test_each_size_is_an_image_of_its_own(photos, tmp_path):
    path = tmp_path / "s.parquet"
    table = srfast.score(photos, output=path, shrink="1,1/2", **OPTIONS)
    assert table.columns[4] == "shrink"
    at = {s: table["jpeg"][(table["image"] == "b.jpg") & (table["shrink"] == s)] for s in (1, 0.5)}
    assert (np.abs(at[1] - 30) <= 1).all()
    assert np.isnan(at[0.5]).all()
    kept = srfast.select(path, keep=1.0, clean=True, sizes="all")
    assert set(kept["shrink"][kept["image"] == "b.jpg"]) <= {0.5}
    pytest.importorskip("duckdb")
    assert srfast.select(path, keep=1.0, clean=True, sizes="all").table.equals(kept.table)
    assert srfast.select(path, keep=1.0, where=kept.meta["selection"]["cleaned"], sizes="all").table.equals(kept.table)


def test_the_page_has_the_thresholds():
    page = (Path(__file__).parents[2] / "docs" / "defects.md").read_text(encoding="utf-8")
    for t in thresholds.THRESHOLDS:
        patch = "" if t.patch is None else f"{t.of_patch_in_words()} "
        assert f"| `{t.column}` | {t.of_image_in_words()} | {patch}|" in page
