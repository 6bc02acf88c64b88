"""The column ``blockiness``: the same in every mode and engine, and never mixed with tables without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

import srfast
from srfast.data.images import read_rgb
from srfast.errors import InputError
from srfast.ops.blockiness import blockiness
from srfast.scoring.table import ScoreTable, concatenate, schema_with

OPTIONS: dict[str, Any] = {"patch": 48, "scorer": "bicubic", "blockiness": True}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Odd sizes, two qualities, and a PNG."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = Image.fromarray(skimage.data.astronaut())
    photo.crop((0, 0, 151, 133)).save(folder / "a.png")
    photo.crop((100, 100, 277, 231)).save(folder / "b.jpg", quality=15)
    photo.crop((200, 40, 301, 143)).convert("L").save(folder / "ç.jpg", quality=60)
    return folder


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "dense"}, {"backend": "torch"}, {"backend": "torch", "mode": "dense"}, {"threads": 3, "stride": 14}],
)
def test_it_is_that_of_the_windows(options: dict[str, Any], photos: Path) -> None:
    table = srfast.score(photos, **OPTIONS, **options)
    assert table.table.schema.equals(schema_with(["blockiness"], False))
    assert table.columns.index("blockiness") == table.columns.index("sobel") + 1
    assert table.meta["blockiness"] is True
    for name, x, y, value in zip(*(table[c] for c in ("image", "x", "y", "blockiness")), strict=True):
        assert value == blockiness(read_rgb(photos / name), [x], [y], 48)[0]
    means = {n: table["blockiness"][table["image"] == n].mean() for n in ("a.png", "b.jpg")}
    assert means["b.jpg"] > 20 > 10 > means["a.png"]


def test_existing_pairs(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "lr").mkdir()
    for path in photos.iterdir():
        lr = srfast.imresize(read_rgb(path), 0.5)
        h, w = (side // 2 for side in read_rgb(path).shape[:2])
        Image.fromarray(lr[:h, :w]).save(tmp_path / "lr" / (path.stem + ".png"))
    pairs = srfast.score(photos, lr_images=tmp_path / "lr", **OPTIONS)
    assert np.array_equal(pairs["blockiness"], srfast.score(photos, **OPTIONS)["blockiness"])


@pytest.mark.parametrize("name", ["s.parquet", "folder/"])
def test_resume_gives_the_same_bytes(name: str, photos: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int, patches: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    output = f"{tmp_path}/{name}"
    with pytest.raises(KeyboardInterrupt):
        srfast.score(photos, output=output, progress=stop, threads=1, **OPTIONS)
    resumed = srfast.score(photos, output=output, resume=True, threads=1, **OPTIONS)
    fresh = srfast.score(photos, threads=1, **OPTIONS)
    assert resumed.table.equals(fresh.table)
    assert resumed.meta == fresh.meta
    again = srfast.score(photos, output=output, resume=True, threads=1, **OPTIONS)
    assert again.table.equals(fresh.table)


def test_shards_go_together_only_when_all_have_it(photos: Path) -> None:
    shards = [srfast.score(photos, shard=(i, 2), **OPTIONS) for i in range(2)]
    assert concatenate(shards).table.equals(srfast.score(photos, **OPTIONS).table)
    bare = srfast.score(photos, shard=(1, 2), **{**OPTIONS, "blockiness": False})
    with pytest.raises(InputError, match="blockiness differs"):
        concatenate([shards[0], bare])
    with pytest.raises(InputError, match="blockiness differs"):
        srfast.select([shards[0], bare])


def test_select_by_it(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    srfast.score(photos, output=tmp_path / "s.parquet", **OPTIONS)
    table = ScoreTable.read(tmp_path / "s.parquet")
    kept = srfast.select(tmp_path / "s.parquet", keep=1.0, where="blockiness < 10")
    assert 0 < len(kept) == (table["blockiness"] < 10).sum() < len(table)
    worst = srfast.select(tmp_path / "s.parquet", keep=0.2, method="blockiness")
    assert sorted(worst["blockiness"]) == sorted(table["blockiness"])[-len(worst) :]
