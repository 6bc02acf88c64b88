"""Near-duplicates and leaks among made copies of photographs."""

import logging

import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.coreset.duplicates import find_duplicates
from srfast.coreset.features import halved, likeness, rough_likeness
from srfast.coreset.selection import select
from srfast.errors import InputError
from srfast.scoring.table import ScoreTable

pytest.importorskip("faiss")
pytest.importorskip("scipy")


def photograph(seed, side=288):
    """Clouds and edges with the spectrum of a photograph (1 / f), in colour."""
    draw = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    f[0, 0] = 1
    planes = []
    for _ in range(3):
        noise = np.fft.irfft2(np.fft.rfft2(draw.normal(size=(side, side))) / f, s=(side, side))
        planes.append(noise / noise.std())
    mixed = np.stack([planes[0] + 0.3 * p for p in planes], axis=2)
    return Image.fromarray(np.clip(125 + 35 * mixed, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Four photographs, and of the first a flipped, a turned, a compressed and a moved copy; and a flat image."""
    root = tmp_path_factory.mktemp("dätä")
    for i in range(4):
        photograph(i).save(root / f"{i}.png")
    first = Image.open(root / "0.png")
    first.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "5 flipped.png")
    first.transpose(Image.Transpose.TRANSPOSE).save(root / "6 turned.png")
    first.save(root / "7 compressed.jpg", quality=50)
    Image.fromarray(np.roll(np.array(first), (6, -6), (0, 1))).save(root / "8 moved.png")
    Image.new("RGB", (192, 192), (90, 100, 110)).save(root / "9 flat.png")
    return root, srfast.score(root, mode="dense", scorer="bicubic")


def test_copies_are_found_and_nothing_else(dataset):
    _, table = dataset
    duplicates = find_duplicates(table)
    image = duplicates.table.column("image")
    duplicate, group = duplicates.table.column("duplicate"), duplicates.table.column("group")
    copies = np.array([name[:1] in "5678" for name in image])
    assert duplicate[copies].mean() > 0.9
    assert not duplicate[~copies].any()
    assert (group[np.isin(image, ["1.png", "2.png", "3.png", "9 flat.png"])] == -1).all()
    assert duplicates.groups == 9
    assert duplicates.flat == 4
    assert duplicates.duplicates == duplicate.sum()
    # A group holds one patch of every copy: the same place, turned with the image.
    for number in range(duplicates.groups):
        assert (group == number).sum() <= 5
    at = {
        (n, int(x), int(y)): int(g)
        for n, x, y, g in zip(image, *(duplicates.table.column(c) for c in "xy"), group, strict=True)
    }
    for x in (0, 96, 192):
        for y in (0, 96, 192):
            assert at["5 flipped.png", 192 - x, y] == at["0.png", x, y]
            assert at["6 turned.png", y, x] == at["0.png", x, y]
    assert {(one, two) for one, two, _, _ in duplicates.images} >= {
        ("5 flipped.png", "0.png"),
        ("7 compressed.jpg", "0.png"),
    }
    assert all(n <= of == 9 for _, _, n, of in duplicates.images)
    assert find_duplicates(table).table.table.equals(duplicates.table.table)
    assert duplicates.leaks == {}
    assert duplicates.leaking == 0


def test_the_better_copy_is_kept_whatever_sorts_first(tmp_path):
    photo = photograph(0)
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "a.jpg", quality=80)
    photo.save(tmp_path / "b.jpg", quality=95)
    photo.save(tmp_path / "c.png")
    duplicates = find_duplicates(srfast.score(tmp_path, mode="dense", scorer="bicubic"))
    image, duplicate = duplicates.table.column("image"), duplicates.table.column("duplicate")
    assert not duplicate[image == "c.png"].any()
    assert duplicate[image != "c.png"].mean() > 0.9
    # The sentences say the same: what repeats what.
    assert {(one, two) for one, two, _, _ in duplicates.images} == {
        ("a.jpg", "b.jpg"),
        ("a.jpg", "c.png"),
        ("b.jpg", "c.png"),
    }


def test_leaks_are_named_and_selected_away(dataset, tmp_path):
    """Test images: a turned, compressed crop at an odd place of one photograph, and one of another kind."""
    root, table = dataset
    tests = tmp_path / "Set é"
    tests.mkdir()
    crop = Image.open(root / "2.png").crop((37, 51, 288, 270)).transpose(Image.Transpose.ROTATE_90)
    crop.save(tests / "leak.jpg", quality=60)
    photograph(77).save(tests / "other.png")
    Image.new("RGB", (40, 40)).save(tests / "small.png")
    duplicates = find_duplicates(table, [tests])
    assert list(duplicates.leaks) == [f"{tests.name}/leak.jpg"]
    assert list(duplicates.leaks[f"{tests.name}/leak.jpg"]) == ["2.png"]
    leaking = duplicates.table.table.column("leak").is_valid().to_numpy()
    x, y = duplicates.table.column("x"), duplicates.table.column("y")
    whole = (duplicates.table.column("image") == "2.png") & (x >= 37) & (x + 96 <= 288) & (y >= 51) & (y + 96 <= 270)
    assert whole.sum() == 2
    assert (leaking >= whole).all()
    assert duplicates.leaking == leaking.sum() <= 4
    pytest.importorskip("duckdb")
    duplicates.table.write(tmp_path / "marked.parquet")
    kept = select(tmp_path / "marked.parquet", keep=1.0, where="not duplicate and leak is null")
    assert len(kept) == len(table) - (leaking | duplicates.table.column("duplicate")).sum()


def test_test_images_that_are_smaller_than_a_patch_are_said(dataset, tmp_path, caplog):
    (tests := tmp_path / "tests").mkdir()
    Image.new("RGB", (40, 400)).save(tests / "small.png")
    photograph(77).save(tests / "other.png")
    with caplog.at_level(logging.WARNING, "srfast"):
        duplicates = find_duplicates(dataset[1], [tests])
    assert duplicates.not_compared == ["tests/small.png"]
    said = "against: 1 of 2 test images are smaller than a patch of 96 pixels, and not compared: tests/small.png"
    assert said in caplog.text


def test_overlapping_windows_are_no_duplicates(dataset):
    root, _ = dataset
    table = srfast.score(
        [root / "1.png", root / "8 moved.png", root / "0.png"], mode="dense", scorer="bicubic", stride=24
    )
    duplicates = find_duplicates(table)
    image, group = duplicates.table.column("image"), duplicates.table.column("group")
    assert (group[image == "1.png"] == -1).all()
    assert duplicates.table.column("duplicate")[image == "8 moved.png"].mean() > 0.9


def plain_likeness(a, b):
    """Largest concordance over turns and shifts, in float64 loops, of copies that are smooth already."""
    from srfast.coreset.features import REACH, smoothed

    a, b = (smoothed(c[None])[0].astype(np.float64) for c in (a, b))
    inner = a.shape[0] - 2 * REACH
    middle = a[REACH : REACH + inner, REACH : REACH + inner]
    best = -1.0
    for turned in [np.rot90(f, k) for f in (middle, middle[:, ::-1]) for k in range(4)]:
        for i in range(2 * REACH + 1):
            for j in range(2 * REACH + 1):
                part = b[i : i + inner, j : j + inner]
                cov = ((turned - turned.mean()) * (part - part.mean())).mean()
                best = max(best, 2 * cov / (turned.var() + part.var() + (turned.mean() - part.mean()) ** 2 + 1e-6))
    return best


def test_likeness_against_plain_loops():
    draw = np.random.default_rng(3)
    a = draw.uniform(0, 255, (6, 32, 32)).astype(np.uint8)
    b = a.copy()
    b[1] = np.rot90(a[1])
    b[2] = np.roll(a[2], (2, -2), (0, 1))
    b[3] = a[3] // 2 + 60
    b[4] = draw.uniform(0, 255, (32, 32))
    got = likeness(a, b)
    # float32 sums of 676 squares of 255.
    assert got == pytest.approx([plain_likeness(x, y) for x, y in zip(a, b, strict=True)], abs=2e-4)
    assert got[:3] == pytest.approx([1, 1, 1], abs=2e-4)
    assert got[3] < 0.9
    rough = rough_likeness(halved(a)[0], halved(b)[0])
    assert (rough[:2] > 0.999).all()
    assert rough[2] > 0.9
    assert rough[4] < 0.5
    assert got[4] < 0.3
    assert likeness(a[:0], b[:0]).shape == (0,)
    small, flat = halved(np.full((1, 32, 32), 7, np.uint8))
    assert flat.all()
    assert (small == 7).all()


def test_what_is_refused(dataset, tmp_path, refused):
    _, table = dataset
    refused("alike: expected", find_duplicates, table, alike=1.5)
    refused("no such file or folder", find_duplicates, table, [tmp_path / "nothing"])
    refused("column 'duplicate' exists already", find_duplicates, find_duplicates(table).table)
    with pytest.raises(InputError, match="expected a score table, got a core-set; take the table it was selected from"):
        find_duplicates(select(table, keep=0.5))
    refused("empty table", find_duplicates, ScoreTable(table.table.slice(0, 0), table.meta))
    (tmp_path / "t.png").write_text("no image")
    refused(r"t\.png", find_duplicates, table, [tmp_path])
