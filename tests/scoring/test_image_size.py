"""The sizes at which an image is scored, by its own measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.errors import InputError
from srfast.scoring.defect_columns import SIZES, choose
from srfast.scoring.metadata import read_meta


def measures(blur: list[float], upscaled: list[float]) -> dict[str, np.ndarray]:
    return {"blur": np.array(blur, np.float32), "upscaled": np.array(upscaled, np.float32)}


SHARP = measures([0.2, 0.3], [1.0, 1.1])
SOFT = measures([1.5, 1.2], [1.0, 1.0])
ENLARGED = measures([0.1, 0.1], [2.0, 2.0])
FLAT = measures([np.nan], [np.nan])


@pytest.mark.parametrize(
    ("at", "sizes", "tried"),
    [
        ([SHARP, SHARP, SHARP, SHARP], SIZES, 4),
        ([FLAT, FLAT, FLAT, FLAT], SIZES, 4),
        ([SOFT, ENLARGED, SHARP, SHARP], ("1/2", "1/3"), 4),
        ([ENLARGED, SOFT, SOFT, SOFT], ("1/3",), 4),
        ([SOFT, SOFT, None, None], ("3/4",), 2),
        ([None, None, None, None], (), 0),
    ],
)
def test_an_image_is_scored_at_every_size_at_which_it_is_not_soft(
    at: list[dict[str, np.ndarray] | None], sizes: tuple[str, ...], tried: int
) -> None:
    chosen = choose(lambda size: at[SIZES.index(size)])
    assert chosen.sizes == sizes
    assert tuple(chosen.tried) == SIZES[:tried]


def test_the_table_records_what_was_tried(photographs: dict[str, np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    sharp = srfast.imresize(photographs["astronaut"], 1 / 2)
    soft = np.asarray(Image.fromarray(sharp).resize((2 * sharp.shape[1], 2 * sharp.shape[0]), Image.Resampling.BICUBIC))
    for name, pixels in (("sharp", sharp), ("soft", soft), ("tiny", sharp[:40, :40])):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    settings = {"patch": 64, "stride": 32, "mode": "dense", "scorer": "bicubic", "defects": True}
    table = srfast.score(folder, shrink="auto", output=tmp_path / "scores.parquet", **settings)
    tried = {name: list(state.get("tried", {})) for name, state in table.meta["images"].items()}
    assert sorted(tried["sharp.png"]) == sorted(SIZES)
    assert tried["tiny.png"] == []
    assert sorted(tried["soft.png"]) == sorted(SIZES)
    assert table.meta["small"] == [{"image": "tiny.png", "shrink": "1", "height": 40, "width": 40}]
    sizes = {name: set(table.column("shrink")[table.column("image") == name].tolist()) for name in tried}
    assert len(sizes["sharp.png"]) == 4
    assert 1.0 not in sizes["soft.png"]
    assert not sizes["tiny.png"]
    # At one size the rows are those of a table of that size alone.
    half = srfast.score(folder, shrink="1/2", **settings).table
    rows = [r for r in table.table.to_pylist() if r["image"] == "soft.png" and r["shrink"] == 0.5]
    assert rows == [r for r in half.to_pylist() if r["image"] == "soft.png"]
    # Several sizes for all images are another run.
    assert read_meta(tmp_path / "scores.parquet")["shrink_rule"]
    with pytest.raises(InputError, match="shrink_rule: "):
        srfast.score(folder, shrink=",".join(SIZES), output=tmp_path / "scores.parquet", resume=True, **settings)


def test_auto_takes_the_columns_of_defects(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"shrink: auto chooses .* needs `defects`"):
        srfast.score(tmp_path, shrink="auto")
