"""TIFF files that Pillow alone would read as too dark, or as negatives."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srfast.data.images import read_rgb


def tiff(values: np.ndarray, bits: int, white_is_zero: bool) -> bytes:
    """An uncompressed file of gray values [H, W] of 12 or 16 bits."""
    h, w = values.shape
    if bits == 12:
        a, b = values[:, 0::2].ravel(), values[:, 1::2].ravel()
        data = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], 1).astype(np.uint8).tobytes()
    else:
        data = values.astype("<u2").tobytes()
    tags = {256: w, 257: h, 258: bits, 259: 1, 262: int(not white_is_zero), 277: 1, 278: h, 279: len(data)}
    tags[273] = 8 + 2 + 12 * (len(tags) + 1) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data


@pytest.mark.parametrize(("bits", "white_is_zero"), [(12, False), (16, True), (16, False)])
def test_gray_values_are_stretched_and_black_is_black(bits: int, white_is_zero: bool, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 1 << bits, (6, 8))
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(values, bits, white_is_zero))
    with Image.open(path) as image:
        assert image.mode == "I;16"
    want = values >> (bits - 8)
    np.testing.assert_array_equal(read_rgb(path)[..., 1], 255 - want if white_is_zero else want)
