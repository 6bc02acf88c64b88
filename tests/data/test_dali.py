"""DALI's patch stream on the CPU (device_id None): every patch exactly once, the bytes that our own reader gives."""

import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image

from srfast.data import dali
from srfast.data.dali import PatchStream
from srfast.data.grid import Grid
from srfast.data.images import find_images, read_rgb
from srfast.errors import InputError, RunError

photographs = pytest.importorskip("skimage.data", reason="needs the demo extra")

needs_dali = pytest.mark.skipif(
    importlib.util.find_spec("nvidia") is None or importlib.util.find_spec("nvidia.dali") is None,
    reason="DALI is not installed (pip install 'srfast[dali]')",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven PNG files of different sizes (one gray, one with alpha, one smaller than a patch)."""
    path = tmp_path_factory.mktemp("images")
    sizes = [(70, 90), (64, 64), (101, 57), (48, 120), (33, 90), (97, 96), (66, 50)]
    for i, (h, w) in enumerate(sizes):
        image = Image.fromarray(photographs.coffee()[i : i + h, i : i + w])
        image = image.convert({1: "L", 3: "RGBA"}.get(i, "RGB"))
        image.save(path / f"{i}.png")
    return path


def expected(files, stride):
    """(index, x, y) -> patch."""
    patches = {}
    for i, file in enumerate(files):
        image = read_rgb(file.path)
        grid = Grid.over(*image.shape[:2], 2, 48, stride)
        patches |= {(i, int(x), int(y)): image[y : y + 48, x : x + 48] for y in grid.ys for x in grid.xs}
    return patches


@needs_dali
@pytest.mark.parametrize(("batch", "images"), [(1, 1), (4, 3), (5, 4), (1000, 16)])
def test_every_patch_exactly_once(folder, batch, images, monkeypatch):
    monkeypatch.setattr(dali, "IMAGES", images)
    stream = PatchStream(find_images(folder), patch=48, stride=18, batch=batch, device_id=None)
    wanted = expected(stream.files, 18)
    for _ in range(2):  # the second epoch starts at the first file again
        seen = {}
        sizes = []
        for part in stream:
            sizes.append(len(part.patches))
            assert part.patches.dtype == torch.uint8
            for patch, image, (x, y) in zip(part.patches, part.image.tolist(), part.xy.tolist(), strict=True):
                assert (image, x, y) not in seen
                seen[image, x, y] = patch.numpy().copy()
        assert list(seen) == list(wanted)
        assert all(np.array_equal(seen[key], wanted[key]) for key in wanted)
        assert all(n == batch for n in sizes[:-1])


@needs_dali
def test_jpeg_follows_orientation(tmp_path):
    image = Image.fromarray(photographs.astronaut()[:80, :120])
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    image.save(tmp_path / "a.jpg", quality=92, exif=exif)
    [part] = PatchStream(find_images(tmp_path), patch=48, device_id=None)
    wanted = expected(find_images(tmp_path), 48)
    assert [(i, *xy) for i, xy in zip(part.image.tolist(), part.xy.tolist(), strict=True)] == list(wanted)
    # Two builds of libjpeg-turbo: the same algorithm, at most a rounding apart.
    difference = part.patches.numpy().astype(int) - np.stack(list(wanted.values()))
    assert np.abs(difference).max() <= 2


@needs_dali
def test_a_broken_file_names_the_library(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(RunError, match="DALI"):
        list(PatchStream(find_images(tmp_path), patch=48, device_id=None))


@needs_dali
def test_no_files():
    assert list(PatchStream([], patch=48, device_id=None)) == []


def test_wrong_arguments(folder):
    with pytest.raises(InputError, match="patch"):
        PatchStream(find_images(folder), patch=47, device_id=None)
    with pytest.raises(InputError, match="batch"):
        PatchStream(find_images(folder), patch=48, batch=0, device_id=None)
