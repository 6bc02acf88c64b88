"""What reading an image as uint8 RGB leaves out: alpha, and all but the high 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

ALPHA, DEEP = "alpha", "bits"
WORDS = (ALPHA, DEEP, f"{ALPHA},{DEEP}")
"""The values that a table may have for an image under ``reduced``."""
_BITS = 258
"""TIFF tag BitsPerSample."""


def left_out(image: Image.Image, data: bytes) -> str:
    """The part of an open image, not decoded yet, that reading leaves out: one of ``WORDS``, or nothing."""
    if image.format == "JPEG":
        return ""
    alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    return ",".join([*((ALPHA,) if alpha else ()), *((DEEP,) if bits_of(image, data) > 8 else ())])


def bits_of(image: Image.Image, data: bytes) -> int:
    """Bits per channel. Pillow's mode does not say this for colours."""
    if image.format == "PNG":
        return data[24] if len(data) > 24 else 8
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        return int(np.max(tags.get(_BITS, 8)))
    if image.format == "PPM":
        tiles: Any = getattr(image, "tile", None)
        args = tiles[0][3] if tiles else ""
        return 16 if image.mode.startswith("I") or (isinstance(args, tuple) and args[1] > 255) else 8
    if image.format == "JPEG2000":
        at = data.find(b"\xff\x51") + 40  # marker SIZ: the precision of the first component (ISO 15444-1, A.5.1)
        return (data[at] & 127) + 1 if 40 <= at < len(data) else 8
    if image.format == "AVIF":
        at = data.find(b"av1C") + 6  # high_bitdepth (AV1 in ISO base media files, 2.3.3)
        return 10 if 6 <= at < len(data) and data[at] & 0x40 else 8
    return 16 if image.mode.startswith("I") else 8
