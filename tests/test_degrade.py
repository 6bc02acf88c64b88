"""Made defects: the same wherever they are made, and what their names say."""

import csv
import hashlib
import importlib
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srfast.data.images import read_rgb

sys.path.append(str(Path(__file__).resolve().parents[1]))
made = importlib.import_module("experiments.degrade")  # not in the package
KINDS, degrade, of_name, pool = made.KINDS, made.degrade, made.of_name, made.pool


def photograph(height=67, width=90):
    """Edges, ramps and texture."""
    y, x = np.mgrid[:height, :width]
    texture = np.random.default_rng(3).normal(0, 12, (height, width))
    plane = 120 + 60 * np.sign(np.sin(x / 7) * np.cos(y / 9)) + 0.3 * x + texture
    return np.clip(np.stack([plane, plane + 8, 240 - plane], -1), 0, 255).astype(np.uint8)


def test_the_bytes_are_those_of_the_published_pools():
    """They also trained the columns of defects. Another NumPy, SciPy, Pillow or libjpeg-turbo may change them: then the
    pools of studies/results/dirty* cannot be made again."""
    digest = hashlib.sha256()
    for kind in [*KINDS, "wild"]:
        digest.update(degrade(photograph(), kind, rng=of_name("a")).tobytes())
    assert digest.hexdigest() == "cba1bb5b100356bb811c54c9be9a603ef5ff512c8f81ce02164e307d380519c5"


def test_strengths_are_what_they_say():
    flat = np.full((200, 200, 3), 128, np.uint8)
    for sigma in (5, 20):
        noisy = degrade(flat, "noise", sigma, colour=True).astype(float)
        assert noisy.std() == pytest.approx(sigma, rel=0.02)  # of 120,000 draws: 0.2 %
    gray = degrade(flat, "noise", 10, colour=False).astype(int)
    assert (gray[..., 0] == gray[..., 2]).all()
    nearest = degrade(photograph(64, 64), "upscaled", 4, kernel="nearest")
    assert (nearest[0::4] == nearest[3::4]).all()
    assert (nearest[:, 0::4] == nearest[:, 3::4]).all()
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 200
    slopes = [np.abs(np.diff(degrade(edge, "blur", s, shape="gaussian")[32, :, 0].astype(float))).max() for s in (1, 3)]
    # The slope of an edge of 200 blurred by sigma: 200 / (sigma sqrt(2 pi)), less where a pixel is wide for it.
    assert slopes[1] == pytest.approx(200 / (3 * np.sqrt(2 * np.pi)), rel=0.05)
    assert slopes[0] > 2 * slopes[1]
    line = degrade(edge, "blur", 9, shape="motion", angle=0.0)
    assert (degrade(edge, "blur", 9, shape="motion", angle=90.0) == edge).all()
    assert 7 <= ((line[32, :, 0] > 0) & (line[32, :, 0] < 200)).sum() <= 10
    halo = degrade(np.clip(edge.astype(int) + 20, 0, 255).astype(np.uint8), "halo", 2.0, radius=2.0)
    assert halo.max() > 220
    assert halo.min() < 20


def test_a_pool_says_what_was_done_to_each_image(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(6):
        Image.fromarray(np.roll(photograph(), 3 * i, 1)).save(tmp_path / "in" / f"p{i}.png")
    assert pool(tmp_path / "in", tmp_path / "out", "noise", 0.5) == 3
    with (tmp_path / "out.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    for row in rows:
        where = "out/clean" if row["kind"] == "clean" else "out/spoilt"
        was, now = (read_rgb(tmp_path / folder / f"{row['image']}.png") for folder in ("in", where))
        assert (was == now).all() == (row["kind"] == "clean")
    assert [r["kind"] for r in rows].count("noise") == 3
    assert all(r["strength"] == "0.0" or 8 <= float(r["strength"]) <= 25 for r in rows)
    assert pool(tmp_path / "in", tmp_path / "half", "clean", 1.0, shrink=Fraction(1, 2)) == 0
    assert read_rgb(tmp_path / "half" / "clean" / "p0.png").shape == (34, 45, 3)
