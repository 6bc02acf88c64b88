"""The hashes of files and of pixels, whose definition must never change: published manifests hold them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srfast.data.hashing import of_bytes, of_file, of_pixels
from srfast.data.images import read_rgb


def test_the_hash_of_pixels_is_that_of_its_documented_bytes() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)  # 3 wide, 2 high
    by_hand = b"RGB8 3 2\n" + bytes(range(18))
    assert of_pixels(pixels) == hashlib.sha256(by_hand).hexdigest()
    assert of_pixels(pixels) == "9a396f1e6e694d54daadbcd804e76b13d7098b3b4afefd729cafdc5905f8d512"


def test_shape_and_order_count_and_memory_does_not() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert of_pixels(pixels) != of_pixels(pixels.reshape(3, 2, 3))
    assert of_pixels(pixels) != of_pixels(pixels[::-1])
    big = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert of_pixels(big[3:11, 4:9]) == of_pixels(big[3:11, 4:9].copy())
    gray = big[:, :, 0]
    assert of_pixels(gray) == of_pixels(np.stack([gray] * 3, axis=2))


def test_the_hash_of_pixels_survives_a_lossless_repacking(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (17, 23, 3), np.uint8)
    hashes = set()
    for name in ("a.png", "a.bmp", "a.tif", "a.ppm"):
        Image.fromarray(pixels).save(tmp_path / name)
        hashes.add(of_pixels(read_rgb(tmp_path / name)))
    assert hashes == {of_pixels(pixels)}
    files = {of_file(tmp_path / n) for n in ("a.png", "a.bmp")}
    assert files == {of_bytes((tmp_path / n).read_bytes()) for n in ("a.png", "a.bmp")}
    assert len(files) == 2


@pytest.mark.parametrize("wrong", [np.zeros((2, 2, 3)), np.zeros((2, 2, 4), np.uint8), np.zeros(3, np.uint8)])
def test_what_is_no_picture_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(TypeError, match="expected uint8"):
        of_pixels(wrong)
