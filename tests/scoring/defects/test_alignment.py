"""``shift`` and ``colour``: whether LR images lie on their HR images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy import ndimage

import srfast
from srfast.scoring.defects.measure import pair_columns


def moved(dy: float, dx: float, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """A photograph, and its LR image moved by LR pixels."""
    hr = skimage.data.coffee()[: 96 * 4, : 96 * 4]
    whole = ndimage.shift(hr.astype(np.float64), (dy * scale, dx * scale, 0), order=3, mode="reflect")
    return hr, srfast.imresize(np.clip(np.rint(whole), 0, 255).astype(np.uint8), 1 / scale)


STARTS = np.array([0, 96, 192, 288])


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (0.25, 0), (0.5, 0), (0, -0.75), (1.5, -1.5), (-3, 2)])
def test_how_far_it_was_moved(scale: int, dy: float, dx: float) -> None:
    columns = pair_columns(*moved(dy, dx, scale), STARTS, STARTS, 96, scale)["shift"]
    assert columns.dtype == np.float32
    # One step of Lucas and Kanade: what is a fraction of a pixel is met to a third of it.
    assert np.nanmedian(columns) == pytest.approx(np.hypot(dy, dx), abs=0.02 + 0.3 * max(abs(dy) % 1, abs(dx) % 1))


def test_a_flat_patch_has_no_shift_and_a_tint_is_told() -> None:
    hr = np.full((96, 192, 3), 100, np.uint8)
    lr = srfast.imresize(hr, 0.5)
    lr[..., 2] += 7
    columns = pair_columns(hr, lr, np.array([0, 96]), np.array([0]), 96, 2)
    assert np.isnan(columns["shift"]).all()
    assert np.allclose(columns["colour"], 7)


def test_through_score(tmp_path: Path) -> None:
    for folder in ("hr", "lr"):
        (tmp_path / folder).mkdir()
    for name, shift in (("good.png", 0), ("bad.png", 1)):
        hr, lr = moved(shift, 0, 2)
        Image.fromarray(hr).save(tmp_path / "hr" / name)
        Image.fromarray(lr).save(tmp_path / "lr" / name)
    table = srfast.score(tmp_path / "hr", lr_images=tmp_path / "lr", defects=True, scorer="bicubic")
    assert table.columns[-2:] == ["shift", "colour"]
    kept = srfast.select(table, keep=1.0, clean=True)
    assert kept.meta["selection"]["rejected"]["shift"] == (table["image"] == "bad.png").sum()
