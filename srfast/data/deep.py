"""Images of 16 bits a channel, as they are: PNG and TIFF files.

Pillow has no mode of three channels of 16 bits, and its unpackers keep one byte of each: the high one, by the byte
order of the file. With the other order they keep the low one, so that decoding twice gives both.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import numpy as np
from PIL import ImageOps

from srfast.data import tiff
from srfast.data.images import decoded, opened, read_image, refusing
from srfast.data.limits import regular_file
from srfast.data.tiff import bits_of
from srfast.errors import InputError

WIDENED = 257
"""What 8 bits are multiplied by to become 16: 255 becomes 65535, as by MATLAB's im2uint16."""
_OTHER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def read_deep(path: str | os.PathLike[str], *, colours: bool = True) -> np.ndarray:
    """Reads an image like ``read_rgb`` or ``read_image``, but as uint16: [H, W, 3] RGB, or [H, W] of a gray image
    without ``colours``.

    16 bits are read as they are; fewer are stretched to the range of 16, so that white is 65535. Raises InputError if
    ``read_rgb`` would refuse the file, or it has more than 8 bits and is neither PNG nor TIFF.
    """
    with refusing(path), regular_file(path) as file:
        content = file.read()
        with opened(io.BytesIO(content), path) as image:
            bits, kind = bits_of(image, content), image.format
        if bits > 8 and kind not in ("PNG", "TIFF"):
            raise InputError(f"expected a PNG or TIFF file of more than 8 bits, got {kind}")
        pixels = pixels_of(content, path, bits) if bits > 8 else decoded(content, path).astype(np.uint16) * WIDENED
    if colours and pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    return pixels


def read_at(path: str | os.PathLike[str], depth: int, *, colours: bool = True) -> np.ndarray:
    """Reads an image as uint8 by ``read_image``, or with a depth of 16 as uint16 by ``read_deep``."""
    if depth == 16:
        return read_deep(path, colours=colours)
    image = read_image(path)
    return np.repeat(image[:, :, None], 3, axis=2) if colours and image.ndim == 2 else image


def pixels_of(content: bytes, path: str | os.PathLike[str], bits: int) -> np.ndarray:
    """The pixels of a PNG or TIFF file of more than 8 bits, uint16 [H, W, 3], or [H, W] of a gray image."""
    high = _bytes(content, path, swapped=False)
    if high.dtype != np.uint8:  # gray, which Pillow holds in 16 bits
        with opened(io.BytesIO(content), path) as image:
            inverted = image.format == "TIFF" and tiff.high_bits(image)[1]
        most = 2**bits - 1
        gray = ((high.astype(np.uint32) * 65535 + most // 2) // most).astype(np.uint16)
        return ~gray if inverted else gray
    if bits != 16:
        raise InputError(f"expected colours of 8 or 16 bits, got {bits}")
    return high.astype(np.uint16) << 8 | _bytes(content, path, swapped=True)


def _bytes(content: bytes, path: str | os.PathLike[str], swapped: bool) -> np.ndarray:
    """One byte of each value of three channels; or all of gray, as uint16 or int32."""
    with opened(io.BytesIO(content), path) as image:
        if swapped:
            image.tile = [tile._replace(args=_exchanged(tile.args)) for tile in image.tile]
        tiff.silence()
        image.load()
        turned = ImageOps.exif_transpose(image)
        if turned.mode.startswith("I"):
            return np.asarray(turned).astype(np.uint16)
        if turned.mode == "LA":
            raise InputError("expected 16-bit gray without alpha", hint="convert the file")
        return np.ascontiguousarray(np.asarray(turned)[:, :, :3])


def _exchanged(args: Any) -> Any:
    """The arguments of a decoder with the other byte order."""
    mode = args if isinstance(args, str) else args[0]
    if ";16" not in mode:
        raise InputError(f"expected pixels of 16 bits one after the other, got {mode}", hint="convert the file")
    other = mode[:-1] + _OTHER[mode[-1]]
    return other if isinstance(args, str) else (other, *args[1:])
