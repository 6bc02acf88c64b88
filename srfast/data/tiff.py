"""TIFF files: what Pillow leaves to its caller."""

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


def eight_bits(image: Image.Image, shift: int, inverted: bool) -> np.ndarray:
    """Gray values as uint8 [H, W], by what ``high_bits`` says."""
    values = (np.asarray(image) >> shift).astype(np.uint8)
    return ~values if inverted else values


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
