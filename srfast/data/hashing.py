"""Hashes by which images and patches are known again, whatever their names are.

Both are SHA-256, as 64 lower-case hexadecimal digits:

* that of a file: of its bytes,
* that of pixels: of the ASCII text ``RGB8 <width> <height>``, a line feed (0x0A), and then one byte each for R, G and B
  of every pixel, rows from the top, pixels from the left. Width and height are decimal, without leading zeros.

The pixels of an image are those that ``srfast.data.images.read_rgb`` returns. Their hash survives a lossless
re-packing, such as from BMP to PNG, and other metadata. It does not survive another JPEG decoder.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np

_BLOCK = 1 << 20


def of_bytes(data: bytes) -> str:
    """The hash of a file with this content."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: str | os.PathLike[str]) -> str:
    """The hash of a file, which is read block by block.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def of_pixels(pixels: np.ndarray) -> str:
    """The hash of pixels, uint8 [H, W, 3] RGB, or uint8 [H, W], whose gray counts as R, G and B.

    Raises:
        TypeError: the array has another dtype or shape.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise TypeError(f"pixels: expected uint8 [H, W, 3] or [H, W], got {pixels.dtype} {list(pixels.shape)}")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(b"RGB8 %d %d\n" % (width, height))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
