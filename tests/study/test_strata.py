"""Strata: tiles of the test images by difficulty and flatness, and the squared error on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.evaluation.evaluator import evaluate
from srfast.study.cell import TILE, TileErrors


def test_thirds_by_the_error_of_bicubic(photo_folder: Path) -> None:
    files = sorted(map(str, photo_folder.rglob("*.*")))
    errors = TileErrors(files, 2, "classic")
    shown: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def inspect(name: str, sr: np.ndarray, hr: np.ndarray) -> None:
        shown[name] = sr, hr
        errors.inspect(name, sr, hr)

    evaluate("bicubic", files, 2, "classic", inspect=inspect)
    tiles = {s: sum(r.pixels for r in errors.rows if r.stratum == s) // TILE**2 for s in ("easy", "middle", "hard")}
    total = sum(((h.shape[0] - 4) // TILE) * ((h.shape[1] - 4) // TILE) for _, h in shown.values())
    assert sum(tiles.values()) == total
    assert max(tiles.values()) - min(tiles.values()) <= 1
    mse = {s: [r.mse for r in errors.rows if r.stratum == s] for s in tiles}
    assert max(mse["easy"]) < min(mse["middle"]) < max(mse["middle"]) < min(mse["hard"])
    # An image of one stratum only is its PSNR over the tiles.
    sr, hr = (a.astype(np.float64) for a in shown["astronaut.png"])
    rows = [r for r in errors.rows if r.image == "astronaut.png" and r.stratum != "flat"]
    h, w = ((n - 4) // TILE * TILE for n in hr.shape)
    expected = np.mean((sr - hr)[2 : 2 + h, 2 : 2 + w] ** 2)
    assert sum(r.mse * r.pixels for r in rows) / sum(r.pixels for r in rows) == pytest.approx(expected)


def test_flat_areas(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = np.full((68, 68, 3), 120, np.uint8)
    image[:34] = rng.integers(0, 256, (34, 68, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "half.png")
    errors = TileErrors([str(tmp_path / "half.png")], 2, "classic")
    evaluate("bicubic", tmp_path, 2, "classic", inspect=errors.inspect)
    assert {r.stratum: r.pixels for r in errors.rows}["flat"] == 2 * TILE**2


def test_an_image_smaller_than_a_tile_has_no_strata(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "small.png")
    errors = TileErrors([str(tmp_path / "small.png")], 2, "classic")
    assert len(srfast.evaluate("bicubic", tmp_path, 2, "classic", inspect=errors.inspect).images) == 1
    assert errors.rows == []
