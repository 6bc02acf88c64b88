"""Features of patches against plain means, and the two methods that cluster by them."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from srfast.coreset import features
from srfast.coreset.methods import textures
from srfast.coreset.selection import select
from srfast.ops.blockiness import summed_area
from srfast.scoring.table import ScoreTable

pytest.importorskip("sklearn")

KINDS = 4
COLUMNS, LINES = 12, 10


def texture(kind, draw):
    """48 x 48 uint8: smooth, horizontal and vertical stripes, noise."""
    i = np.arange(48)
    phase, level = draw.uniform(0, 6), draw.uniform(100, 140)
    planes = [
        np.broadcast_to(i * draw.uniform(0.2, 0.4), (48, 48)),
        np.broadcast_to(50 * np.sin(i * draw.uniform(0.75, 0.85) + phase)[:, None], (48, 48)),
        np.broadcast_to(50 * np.sin(i * draw.uniform(0.75, 0.85) + phase)[None, :], (48, 48)),
        draw.normal(0, 30, (48, 48)),
    ]
    return np.clip(level + planes[kind], 0, 255).astype(np.uint8)


@pytest.fixture
def textured(tmp_path, make_table):
    """A table over one image, and the kind of texture of each patch: 90 smooth ones and ten of each other kind."""
    draw = np.random.default_rng(5)
    kind = draw.permutation(np.repeat(np.arange(KINDS), [90, 10, 10, 10]))
    image = np.zeros((LINES * 48, COLUMNS * 48), np.uint8)
    x, y = np.arange(120) % COLUMNS * 48, np.arange(120) // COLUMNS * 48
    for k, left, top in zip(kind, x, y, strict=True):
        image[top : top + 48, left : left + 48] = texture(k, draw)
    Image.fromarray(image).save(tmp_path / "bild ä.png")
    sobel = np.where(kind == 0, 1, 10 + kind).astype(np.float32) + draw.random(120).astype(np.float32)
    table = make_table(
        draw.lognormal(3, 1, 120).tolist(), ["bild ä.png"] * 120, size=48, x=x.astype(np.int32), y=y.astype(np.int32),
        sobel=sobel,
    )  # fmt: skip
    return ScoreTable(table.table, {**table.meta, "root": str(tmp_path)}), kind


def kinds_of(coreset, kind):
    at = coreset.column("y") // 48 * COLUMNS + coreset.column("x") // 48
    return Counter(kind[at].tolist())


@pytest.mark.parametrize("size", [32, 96, 50, 33, 20, 1])
def test_small_copies_are_means_of_cells(size):
    plane = np.random.default_rng(size).uniform(0, 255, (110, 130)).astype(np.float32)
    x, y = np.array([0, 7, 130 - size]), np.array([3, 0, 110 - size])
    got = features.copies(summed_area(plane, 1), x, y, np.full(3, size))
    for n in range(3):
        for i in range(32):
            for j in range(32):
                top, left = i * size // 32, j * size // 32
                bottom, right = max((i + 1) * size // 32, top + 1), max((j + 1) * size // 32, left + 1)
                cell = plane[y[n] + top : y[n] + bottom, x[n] + left : x[n] + right]
                # Sums of up to 14,300 values of 255 in float64, stored as float32: 2^-24 of 255.
                assert abs(got[n, i, j] - cell.mean(dtype=np.float64)) < 2e-5


def turned(copy, k):
    copy = copy[:, ::-1] if k & 1 else copy
    copy = copy[::-1] if k & 2 else copy
    return copy.T if k & 4 else copy


def test_folded_spectra_do_not_see_flips_and_turns():
    draw = np.random.default_rng(0)
    small = draw.uniform(16, 235, (32, 32)).astype(np.float32).cumsum(axis=1) / 20
    got = features.spectrum(np.stack([turned(small, k) for k in range(8)]), folded=True)
    # float32 energies of sums of 1,024 terms, of which the logarithm is taken.
    assert np.abs(got - got[0]).max() < 1e-4
    assert np.abs(features.spectrum(small[None]) - features.spectrum(small.T[None].copy())).max() > 0.1


def test_spectra_hardly_see_brightness_and_small_shifts_but_see_direction():
    i = np.arange(34)
    wave = np.broadcast_to((100 + 40 * np.sin(i * 0.8)).astype(np.float32), (34, 34))
    base, moved, brighter, across = (
        features.spectrum(np.ascontiguousarray(w)[None])
        for w in (wave[:32, :32], wave[2:, 2:], wave[:32, :32] + 50, wave.T[:32, :32])
    )
    assert np.abs(base - brighter).max() < 1e-3
    # The window does not quite hide where the wave starts: a fifth of the energy of a band, its logarithm 0.2.
    assert np.abs(base - moved).mean() < 0.2
    assert np.abs(base - across).mean() > 1
    assert np.isfinite(features.spectrum(np.full((2, 32, 32), 128, np.float32))).all()  # of flat patches, too
    assert features.spectrum(np.empty((0, 32, 32), np.float32)).shape == (0, 25)


@pytest.mark.parametrize("many", [False, True])
def test_diverse_takes_one_of_every_kind_first(textured, many, monkeypatch):
    table, kind = textured
    if many:
        pytest.importorskip("faiss")
        monkeypatch.setattr(textures, "MANY", 10)
    got = select(table, keep=8 / 120, method="diverse", seed=1)
    assert set(kinds_of(got, kind)) == set(range(KINDS))
    random = select(table, keep=8 / 120, method="random", seed=1)
    assert len(set(kinds_of(random, kind))) < KINDS
    again = select(table, keep=8 / 120, method="diverse", seed=1)
    assert again.table.equals(got.table)


def test_hdc_draws_alike_from_the_clusters_of_the_complex_half(textured, monkeypatch):
    table, kind = textured
    monkeypatch.setattr(textures, "HDC_CLUSTERS", 3)
    monkeypatch.setattr(textures, "HDC_COMPLEX", 0.25)  # the thirty patches that are not smooth
    got = select(table, keep=0.1, method="hdc", seed=2)
    assert kinds_of(got, kind) == {1: 4, 2: 4, 3: 4}
    assert select(table, keep=0.1, method="hdc", seed=2).table.equals(got.table)
    assert not select(table, keep=0.1, method="hdc", seed=3).table.equals(got.table)
    simple = select(table, keep=0.1, method="hdc", order="asc")
    assert set(kinds_of(simple, kind)) == {0}


def test_hdc_of_more_than_half_is_sobel(textured):
    table, _ = textured
    for keep in (0.5, 0.8, 1.0):
        assert select(table, keep=keep, method="hdc").table.equals(select(table, keep=keep, method="sobel").table)


def test_images_that_moved_or_changed(textured, tmp_path, refused):
    table, _ = textured
    away = ScoreTable(table.table, {**table.meta, "root": "/nowhere"})
    refused(r"^root: expected the folder the images lie in, got '/nowhere'", select, away, method="diverse")
    assert select(away, method="diverse", root=tmp_path).table.equals(select(table, method="diverse").table)
    Image.new("L", (100, 100)).save(tmp_path / "bild ä.png")
    refused("has changed since it was scored", select, table, method="hdc")
