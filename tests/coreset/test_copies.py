"""Copies of whole images, and which of them is kept."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from srfast.coreset.copies import find_copies
from srfast.data.encoding import encoding_of, jpeg_quality
from srfast.data.images import find_images

COPIES = {
    "the same": lambda image: image,
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "transposed": lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "three quarters, mirrored": lambda i: ImageOps.mirror(i.resize((i.width * 3 // 4, i.height * 3 // 4))),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "gray": lambda image: image.convert("L"),
    "cropped by 2 % at one side": lambda image: image.crop((image.width // 50, 0, image.width, image.height)),
}


@pytest.fixture
def folder(tmp_path, photographs):
    """Photographs, two parts of one of them, and what is no copy: stripes, noise, flat images."""
    path = tmp_path / "images"
    path.mkdir()
    for name, photo in photographs.items():
        Image.fromarray(photo).save(path / f"{name}.png")
    coffee = Image.fromarray(photographs["coffee"])
    coffee.crop((0, 0, 300, 200)).save(path / "left part.png")
    coffee.crop((250, 150, 550, 350)).save(path / "right part.png")
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (300, 400, 3), np.uint8)).save(path / f"noise {i}.png")
        Image.fromarray(np.full((300, 400, 3), 90 * i, np.uint8)).save(path / f"flat {i}.png")
        stripes = np.where(np.arange(400) // (7 + 3 * i) % 2, 200, 40).astype(np.uint8)
        Image.fromarray(np.tile(stripes, (300, 1))).save(path / f"stripes {i}.png")
    return path


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_found_and_nothing_else(kind, folder, photographs):
    for name, photo in photographs.items():
        COPIES[kind](Image.fromarray(photo)).save(folder / f"{name} again.jpg", quality=40)
    assert find_copies(find_images(folder)) == ({f"{name} again.jpg": f"{name}.png" for name in photographs}, {})


def test_nothing_is_a_copy_of_something_else(folder):
    assert find_copies(find_images(folder)) == find_copies([]) == ({}, {})


def test_the_best_is_kept(tmp_path, photographs):
    photo = Image.fromarray(photographs["astronaut"][:360, :480])
    photo.save(tmp_path / "z.png")
    photo.save(tmp_path / "y.webp", lossless=True)
    photo.save(tmp_path / "b.jpg", quality=95)
    photo.save(tmp_path / "a.jpg", quality=60)
    photo.resize((240, 180)).save(tmp_path / "0.png")
    ImageOps.mirror(photo.resize((960, 720))).save(tmp_path / "large.jpg", quality=50)
    for best in ("large.jpg", "y.webp", "z.png", "b.jpg", "a.jpg"):
        copies = [file.name for file in find_images(tmp_path) if file.name != best]
        assert find_copies(find_images(tmp_path)) == (dict.fromkeys(copies, best), {})
        (tmp_path / best).unlink()


def test_leaks_and_unreadable_files(folder, photographs, refused):
    tests = folder.parent / "tests"
    tests.mkdir()
    ImageOps.mirror(Image.fromarray(photographs["chelsea"])).save(tests / "cat.jpg")
    assert find_copies(find_images(folder), [tests]) == ({}, {"chelsea.png": "tests/cat.jpg"})
    files = find_images(folder)
    (folder / "chelsea.png").write_bytes(b"no image")
    assert find_copies(files, [tests]) == ({}, {})
    (tests / "cat.jpg").unlink()
    refused("no image files found", find_copies, files, [tests])


@pytest.mark.parametrize("quality", [1, 10, 35, 50, 75, 90, 95, 99, 100])
def test_quality_of_a_jpeg_file(quality, tmp_path, photographs):
    photo = Image.fromarray(photographs["rocket"][:64, :96])
    photo.save(tmp_path / "a.jpg", quality=quality)
    encoding = encoding_of(tmp_path / "a.jpg")
    assert (encoding.quality, encoding.width, encoding.height, encoding.lossless) == (quality, 96, 64, False)
    assert jpeg_quality(None) is None


def test_what_keeps_every_pixel(tmp_path, photographs):
    photo = Image.fromarray(photographs["rocket"][:64, :96])
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.png", exif=exif)
    assert (encoding_of(tmp_path / "turned.png").width, encoding_of(tmp_path / "turned.png").height) == (64, 96)
    for name, lossless, options in (
        ("a.bmp", True, {}),
        ("a.tif", True, {}),
        ("jpeg.tif", False, {"compression": "jpeg"}),
        ("a.webp", False, {}),
        ("b.webp", True, {"lossless": True}),
        ("c.webp", True, {"lossless": True, "exif": exif}),
    ):
        photo.save(tmp_path / name, **options)
        assert encoding_of(tmp_path / name).lossless is lossless, name
    photo.quantize(64).save(tmp_path / "palette.png")
    assert encoding_of(tmp_path / "palette.png").lossless is False
