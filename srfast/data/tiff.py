"""TIFF files: what Pillow leaves to its caller; and what reading an image as uint8 RGB leaves out."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLE = 256, 257, 258, 262, 339
_SAMPLES = {1: "integers", 2: "integers", 3: "floats"}
_WHITE_IS_ZERO = 0


def is_turned(image: Image.Image) -> bool:
    """Whether the size of an image that is not decoded yet is already that after its orientation, as from Pillow 11
    on."""
    tags = _tags(image)
    return bool(tags) and image.size != (tags.get(_WIDTH), tags.get(_HEIGHT))


def high_bits(image: Image.Image) -> tuple[int, bool]:
    """How far the gray values of a decoded file of more than 8 bits are shifted to become 8, and whether they are
    inverted then: Pillow neither stretches 12 bits nor looks at what white is."""
    tags = _tags(image)
    bits = tags.get(_BITS, 16)
    return int(bits[0] if isinstance(bits, tuple) else bits) - 8, tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def deep(file: BinaryIO) -> str | None:
    """The type of a file's pixels in words, if it is a TIFF file of numbers that are not an image; else None."""
    file.seek(0)
    head = file.read(8)
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return None
    from PIL.TiffImagePlugin import ImageFileDirectory_v2  # which takes 20 ms

    try:
        tags = ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
        bits, kind = (np.ravel(tags.get(tag, 1))[0] for tag in (_BITS, _SAMPLE))
        return f"{int(bits)}-bit {_SAMPLES.get(int(kind), 'values')}" if bits > 16 or kind == 3 else None
    except Exception:  # whatever it raises, the file is no TIFF file that could be read
        return None


def _tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", None) or {}


@lru_cache(maxsize=1)
def silence() -> None:
    """Stops libtiff from printing to stderr what Pillow's exception already says."""
    with suppress(OSError, AttributeError):
        from PIL import _imaging

        library = ctypes.CDLL(_imaging.__file__)  # looks in what it is linked to as well
        for name in ("TIFFSetErrorHandler", "TIFFSetErrorHandlerExt", "TIFFSetWarningHandler",
                     "TIFFSetWarningHandlerExt"):  # fmt: skip
            getattr(library, name)(None)


ALPHA, DEEP = "alpha", "bits"
WORDS = (ALPHA, DEEP, f"{ALPHA},{DEEP}")
"""The values that a table may have for an image under ``reduced``."""


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
        return int(np.max(_tags(image).get(_BITS, 8)))
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
