"""Made defects: the same wherever they are made, and what their names say."""

import csv
import hashlib
import importlib
import io
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srfast.data.images import read_rgb

sys.path.append(str(Path(__file__).resolve().parents[1]))
made = importlib.import_module("experiments.degrade")  # not in the package
FACTORS, KERNELS, KINDS, degrade, described, of_name, pool, spoilt = (
    getattr(made, n) for n in ("FACTORS", "KERNELS", "KINDS", "degrade", "described", "of_name", "pool", "spoilt")
)

NAMES = [f"image{i}" for i in range(40)]


def photograph(height=67, width=90):
    """Edges, ramps and texture."""
    y, x = np.mgrid[:height, :width]
    texture = np.random.default_rng(3).normal(0, 12, (height, width))
    plane = 120 + 60 * np.sign(np.sin(x / 7) * np.cos(y / 9)) + 0.3 * x + texture
    return np.clip(np.stack([plane, plane + 8, 240 - plane], -1), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", [*KINDS, "wild"])
@pytest.mark.parametrize("shape", [(67, 90), (9, 200)])
def test_every_kind_is_the_same_twice_and_changes_the_image(kind, shape):
    image = photograph(*shape)
    before = image.copy()
    first, second = (degrade(image, kind, rng=of_name("a")) for _ in range(2))
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert (first == second).all()
    assert (first != image).any()
    assert (image == before).all()


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


@pytest.mark.parametrize("shift", [(0, 0), (3, 5)])
def test_the_grid_of_a_jpeg_lies_where_it_is_asked_for(tmp_path, shift):
    """Of a saved image, the 8 x 8 blocks on its own grid are those of the file that was decoded."""
    image = np.repeat(np.random.default_rng(0).integers(90, 166, (64, 64, 1), np.uint8), 3, 2)  # no edges of its own
    got = degrade(image, "jpeg", 20, shift=shift, subsampling=0)[..., 0].astype(float)
    down, right = np.abs(np.diff(got, axis=0)).mean(1), np.abs(np.diff(got, axis=1)).mean(0)
    x, y = shift
    for jumps, offset in ((right, x), (down, y)):
        by_place = [jumps[k::8].mean() for k in range(8)]
        # Between pixel 7 and 8 of the padded image, that is 7 - offset of this one.
        assert int(np.argmax(by_place)) == (7 - offset) % 8
    file = io.BytesIO()
    if shift == (0, 0):
        Image.fromarray(image).save(file, "JPEG", quality=20, subsampling=0)
        (tmp_path / "saved.jpg").write_bytes(file.getvalue())
        assert (degrade(image, "jpeg", 20, shift=shift, subsampling=0) == read_rgb(tmp_path / "saved.jpg")).all()


def test_an_overlay_of_half_opacity_lets_the_image_through():
    image = photograph(120, 160)
    whole = degrade(image, "overlay", 20, of_name("b"), opacity=1.0, lines=3)
    half = degrade(image, "overlay", 20, of_name("b"), opacity=0.5, lines=3)
    touched = (whole != image).any(-1)
    assert 0.01 < touched.mean() < 0.6
    assert not (half != image).any(-1)[~touched].any()
    assert np.abs(half.astype(int) - image)[touched].mean() < 0.6 * np.abs(whole.astype(int) - image)[touched].mean()


def test_what_is_not_given_is_drawn_from_the_documented_ranges():
    drawn = [described(photograph(), "upscaled", rng=of_name(n))[1][0] for n in NAMES]
    assert {s for _, s, _ in drawn} == set(map(float, FACTORS))
    assert {o["kernel"] for *_, o in drawn} == set(KERNELS)
    with pytest.raises(ValueError, match="no option kernal"):
        degrade(photograph(), "upscaled", kernal="nearest")


def test_a_smaller_share_lies_in_every_larger_one():
    half, most = spoilt(NAMES, 0.5), spoilt(NAMES, 0.75)
    assert len(half) == 20
    assert len(most) == 30
    assert half < most
    assert spoilt(NAMES, 0.5, seed=1) != half


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
