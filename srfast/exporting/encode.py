"""Lossless encoders, from a batch of patches to the bytes of their files."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np

Encoder = Callable[[np.ndarray], list[bytes]]
"""[N, H, W, 3] RGB or [N, H, W, 1] gray, uint8 or (PNG only) uint16 -> the files' bytes."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_AVERAGE = 3
"""The PNG filter of every row."""


def encode_png(patches: np.ndarray) -> list[bytes]:
    """PNG (W3C, third edition): the Average filter on every row, for all patches at once, then deflate.

    On 96 x 96 crops of photographs, beside OpenCV at level 1 (as BasicSR's LMDB) on the same core: igzip takes 0.3 of
    the time at 1.04 of the bytes; zlib with run lengths only takes 0.8 at 1.05. OpenCV at level 3 takes 1.3 at 0.99,
    Pillow at level 1 1.4 at 1.0, fpng 0.1 at 1.19; Paeth instead of Average gains 3 % of the bytes and costs more than
    igzip itself.
    """
    n, h, w, channels = patches.shape
    depth, kind = 8 * patches.itemsize, 2 if channels == 3 else 0
    if depth == 16:  # the high byte first
        patches = patches.astype(">u2").view(np.uint8).reshape(n, h, w, 2 * channels)
        channels *= 2
    rows = patches.reshape(n, h, w * channels)
    left, up = np.zeros_like(rows), np.zeros_like(rows)
    left[:, :, channels:] = rows[:, :, :-channels]
    up[:, 1:] = rows[:, :-1]
    filtered = np.empty((n, h, 1 + w * channels), np.uint8)
    filtered[:, :, 0] = _AVERAGE
    # floor((left + up) / 2) in 8 bits: (left & up) + ((left ^ up) >> 1)
    np.bitwise_xor(left, up, out=filtered[:, :, 1:])
    filtered[:, :, 1:] >>= 1
    left &= up
    filtered[:, :, 1:] += left
    np.subtract(rows, filtered[:, :, 1:], out=filtered[:, :, 1:])
    deflate = _deflate()
    head = _SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, 0))
    end = _chunk(b"IEND", b"")
    return [head + _chunk(b"IDAT", deflate(lines)) + end for lines in filtered]


def encode_webp(patches: np.ndarray) -> list[bytes]:
    """Lossless WebP: 0.70 of the bytes of PNG in 5 times the time; more effort saves 5 % for 2 to 15 times the time."""
    from PIL import Image

    files = []
    for patch in patches:
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "WEBP", lossless=True, method=0, quality=20)
        files.append(file.getvalue())
    return files


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


@lru_cache(maxsize=1)
def _deflate() -> Callable[[np.ndarray], bytes]:
    """Compresses contiguous bytes to a zlib stream, by igzip if it is installed."""
    try:
        from isal import isal_zlib
    except ImportError:
        return _zlib_runs
    return lambda data: isal_zlib.compress(data, 1)


def _zlib_runs(data: np.ndarray) -> bytes:
    stream = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return stream.compress(data.data) + stream.flush()


ENCODERS: dict[str, Encoder] = {"png": encode_png, "webp": encode_webp}
"""By the suffix of the files."""
