"""Pixels as small files, and these as the sources of img elements, for pages and notebooks."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image, features

WHOLE = 288
"""Longest side of a reduced whole image."""


def encoded(pixels: np.ndarray) -> bytes:
    """A lossless WebP file of uint8 [H, W, 3] or [H, W], or PNG if Pillow has no WebP.

    Method 0 takes a tenth of the time of method 4 (0.7 ms for 96 x 96 instead of 8) and 11 % more bytes.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    buffer = io.BytesIO()
    if features.check("webp"):
        picture.save(buffer, "WEBP", lossless=True, quality=20, method=0)
    else:
        picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def reduced(image: np.ndarray, side: int = WHOLE) -> bytes:
    """A whole image, its longest side at most ``side``, as a small JPEG file."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=70)
    return buffer.getvalue()


def media_type(data: bytes) -> str:
    """That of a file of ``encoded`` or ``reduced``."""
    kinds = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}
    return f"image/{next(kind for start, kind in kinds.items() if data.startswith(start))}"


def uri(data: bytes) -> str:
    """A picture as the source of an img element."""
    return f"data:{media_type(data)};base64,{base64.b64encode(data).decode('ascii')}"
