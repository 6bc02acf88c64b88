"""``score --shrink``: the patches of smaller copies of each image, made in memory."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.data.grid import Grid
from srfast.data.images import read_rgb
from srfast.errors import InputError
from srfast.scoring.defect_columns import SIZES as RULE_SIZES
from srfast.scoring.metadata import read_meta
from srfast.scoring.table import ScoreTable, concatenate

SIZES = ["1", "3/4", "1/2", "1/3"]
OPTIONS: dict[str, Any] = {"patch": 48, "scorer": "bicubic", "threads": 1}


@pytest.fixture(scope="module")
def photos(photographs: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd sizes: one that is as large as a patch at every size, one at two, one gray and turned by its EXIF."""
    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(photographs["astronaut"][20:173, 90:281]).save(folder / "a.png")
    Image.fromarray(photographs["chelsea"][60:131, 80:283]).save(folder / "b.jpg", quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photographs["coffee"][90:240, 200:371]).convert("L").save(folder / "c.jpg", exif=exif)
    return folder


@pytest.fixture(scope="module")
def table(photos: Path) -> ScoreTable:
    return srfast.score(photos, shrink="1/2,1,1/3,3/4", **OPTIONS)


def test_rows_are_those_of_files_made_small_offline(photos, table, tmp_path):
    assert table.meta["shrink"] == SIZES
    assert table.columns == ["image", "x", "y", "size", "shrink", "loss", "bicubic", "sobel"]
    rows = []
    for path in sorted(photos.iterdir()):
        for size in SIZES:
            small = srfast.imresize(read_rgb(path), float(Fraction(size)))
            if min(small.shape[:2]) < 48:
                continue
            Image.fromarray(small).save(tmp_path / "small.png")
            offline = srfast.score(tmp_path / "small.png", **OPTIONS)
            assert len(offline) == len(Grid.over(*small.shape[:2], 2, 48, 48))
            for row in offline:
                rows.append({**row, "image": path.name, "shrink": float(np.float32(float(Fraction(size))))})
    names = table.columns
    assert [{n: row[n] for n in names} for row in rows] == list(table)


def test_small_sizes_are_listed(table):
    assert table.meta["small"] == [
        {"image": "b.jpg", "shrink": "1/2", "height": 36, "width": 102},
        {"image": "b.jpg", "shrink": "1/3", "height": 24, "width": 68},
    ]


@pytest.mark.parametrize(
    "options", [{"threads": 3}, {"backend": "torch"}, {"mode": "dense", "backend": "torch"}, {"blockiness": True}]
)
def test_threads_engines_and_modes(options, photos, table):
    expected = table
    if options.get("mode"):
        expected = srfast.score(photos, shrink=SIZES, **OPTIONS, mode="dense")
    scored = srfast.score(photos, shrink=SIZES, **{**OPTIONS, **options})
    assert scored.table.select(["image", "x", "y", "size", "shrink"]).equals(
        expected.table.select(["image", "x", "y", "size", "shrink"])
    )
    np.testing.assert_allclose(scored["loss"], expected["loss"], rtol=1e-4)
    if "threads" in options:
        assert scored.table.equals(expected.table)


def test_what_is_small_is_listed_in_one_order(photos, tmp_path, interrupted):
    """A run that goes on reads the sizes from its parts, whose JSON sorts them."""
    options = {**OPTIONS, "patch": 60, "shrink": SIZES}
    (tmp_path / "photos").mkdir()
    for name in ("b.jpg", "c.jpg"):
        os.link(photos / name, tmp_path / "photos" / name)
    out = [tmp_path / name for name in ("whole.parquet", "resumed.parquet")]
    whole = srfast.score(tmp_path / "photos", output=out[0], **options)
    assert [e["shrink"] for e in whole.meta["small"] if e["image"] == "b.jpg"] == ["1/2", "1/3", "3/4"]
    interrupted(srfast.score, tmp_path / "photos", output=out[1], after=1, **options)
    srfast.score(tmp_path / "photos", output=out[1], resume=True, **options)
    assert out[0].read_bytes() == out[1].read_bytes()


def test_resume_shards_and_folders(photos, table, tmp_path):
    """The same bytes whether a run was begun anew, went on, or was put together."""
    out = tmp_path / "s.parquet"
    srfast.score(photos, shrink=SIZES, output=out, **OPTIONS)
    whole = out.read_bytes()
    (copy := tmp_path / "photos").mkdir()
    for path in photos.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    srfast.score([copy / "a.png", copy / "b.jpg"], shrink=SIZES, output=out, **OPTIONS)
    went_on = srfast.score(copy, shrink=SIZES, output=out, resume=True, **OPTIONS)
    assert went_on.table.equals(table.table)
    assert went_on.meta["small"] == table.meta["small"]
    with pytest.raises(InputError, match=r"shrink: .* was scored with \['1', '3/4', '1/2', '1/3'\], got None"):
        srfast.score(copy, output=out, resume=True, **OPTIONS)
    srfast.score(photos, shrink=SIZES, output=out, resume=False, **{**OPTIONS, "threads": 3})
    assert out.read_bytes() == whole
    (tmp_path / "parts").mkdir()
    assert srfast.score(photos, shrink=SIZES, output=tmp_path / "parts", **OPTIONS).table.equals(table.table)
    shards = [srfast.score(photos, shrink=SIZES, shard=(i, 2), **OPTIONS) for i in (0, 1)]
    assert concatenate(shards).table.equals(table.table)
    with pytest.raises(InputError, match="occurs in more than one table"):
        concatenate([shards[0], shards[0]])
    with pytest.raises(InputError, match="shrink differs"):
        concatenate([shards[0], srfast.score(photos, shard=(1, 2), **OPTIONS)])


def test_full_size_alone_changes_nothing(photos):
    assert "shrink" not in srfast.score(photos, shrink=1, **OPTIONS).columns
    half = srfast.score(photos, shrink=0.5, **OPTIONS)
    assert set(half["shrink"]) == {0.5}
    with pytest.raises(InputError, match=r"nothing to score: 1 smaller .* b.jpg is 26 x 9 at 1/8"):
        srfast.score(photos / "b.jpg", shrink="1/8", **OPTIONS)


def test_what_does_not_go_together(photos, table):
    with pytest.raises(InputError, match="shrink: expected 1 with `lr_images`"):
        srfast.score(photos, shrink="1/2", lr_images=photos)
    with pytest.raises(InputError, match="shrink: expected 1 with `loader` dali"):
        srfast.score(photos, shrink="1/2", loader="dali")
    odd = table.table.set_column(4, "shrink", [np.full(len(table), 0.4, np.float32)])
    for damaged in (odd, table.table.drop_columns(["shrink"])):
        with pytest.raises(InputError, match="column 'shrink'"):
            srfast.CorePatches(ScoreTable(damaged, table.meta))


# The sizes at which an image is scored, by its own measures.


def test_the_table_records_what_was_tried(photographs, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    sharp = srfast.imresize(photographs["astronaut"], 1 / 2)
    soft = np.asarray(Image.fromarray(sharp).resize((2 * sharp.shape[1], 2 * sharp.shape[0]), Image.Resampling.BICUBIC))
    for name, pixels in (
        ("flat", np.full_like(sharp, 90)),
        ("sharp", sharp),
        ("soft", soft),
        ("tiny", sharp[:40, :40]),
    ):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    settings = {"patch": 64, "stride": 32, "mode": "dense", "scorer": "bicubic", "defects": True}
    table = srfast.score(folder, shrink="auto", output=tmp_path / "scores.parquet", **settings)
    tried = {name: list(state.get("tried", {})) for name, state in table.meta["images"].items()}
    assert sorted(tried["sharp.png"]) == sorted(RULE_SIZES)
    assert tried["tiny.png"] == []
    assert sorted(tried["soft.png"]) == sorted(RULE_SIZES)
    assert table.meta["small"] == [{"image": "tiny.png", "shrink": "1", "height": 40, "width": 40}]
    sizes = {name: set(table.column("shrink")[table.column("image") == name].tolist()) for name in tried}
    assert len(sizes["sharp.png"]) == len(sizes["flat.png"]) == 4
    assert 1.0 not in sizes["soft.png"]
    assert not sizes["tiny.png"]
    # At one size the rows are those of a table of that size alone.
    half = srfast.score(folder, shrink="1/2", **settings).table
    rows = [r for r in table.table.to_pylist() if r["image"] == "soft.png" and r["shrink"] == 0.5]
    assert rows == [r for r in half.to_pylist() if r["image"] == "soft.png"]
    # Several sizes for all images are another run.
    assert read_meta(tmp_path / "scores.parquet")["shrink_rule"]
    with pytest.raises(InputError, match="shrink_rule: "):
        srfast.score(folder, shrink=",".join(RULE_SIZES), output=tmp_path / "scores.parquet", resume=True, **settings)


def test_auto_takes_the_columns_of_defects(tmp_path):
    with pytest.raises(InputError, match=r"shrink: auto chooses .* needs `defects`"):
        srfast.score(tmp_path, shrink="auto")
