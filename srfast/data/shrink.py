"""Images at 16 bits a channel, and at a fraction of their size: the factors as exact fractions, and the pixels.

Pillow has no mode of three channels of 16 bits, and its unpackers keep one byte of each: the high one, by the byte
order of the file. With the other order they keep the low one, so that decoding PNG and TIFF files twice gives both.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import ImageOps

from srfast.data import tiff
from srfast.data.images import decoded, opened, read_image, refusing
from srfast.data.limits import regular_file
from srfast.errors import InputError
from srfast.ops.functional import imresize

WIDENED = 257
"""What 8 bits are multiplied by to become 16: 255 becomes 65535, as by MATLAB's im2uint16."""
_OTHER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}

COLUMN = "shrink"
WHOLE = ("1",)
"""The setting that shrinks nothing."""
_FINEST = 1000
"""Largest denominator; any two fractions up to it differ as float32."""


def parsed(value: Any) -> tuple[str, ...]:
    """Fractions as text, the largest first.

    "1,3/4,0.5", or a list of texts, numbers and ``Fraction``, gives "1", "3/4", "1/2". A float stands for the fraction
    to which it is the nearest float.

    Raises:
        ValueError: there is no fraction, one occurs twice, one is not in 0 < fraction <= 1, or a denominator is beyond
            1000.
    """
    given = value.split(",") if isinstance(value, str) else value
    items = list(given) if isinstance(given, (list, tuple)) else [given]
    factors = sorted(map(_fraction, items), reverse=True)
    if not factors or len(set(factors)) < len(factors):
        raise ValueError
    return tuple(map(str, factors))


def _fraction(item: Any) -> Fraction:
    if isinstance(item, bool):
        raise ValueError
    try:
        fraction = Fraction(item.strip() if isinstance(item, str) else item)
    except ZeroDivisionError:
        raise ValueError from None
    if isinstance(item, float) and float(fraction.limit_denominator(_FINEST)) == item:
        fraction = fraction.limit_denominator(_FINEST)
    if not 0 < fraction <= 1 or fraction.denominator > _FINEST:
        raise ValueError
    return fraction


def shrunk(image: np.ndarray, factor: float) -> np.ndarray:
    """``srfast.imresize(image, factor)`` of uint8 or uint16 [H, W, 3]; at a factor of 1 the image itself."""
    return image if factor == 1 else imresize(image, factor)


def read_shrunk(path: str | os.PathLike[str], factor: float, depth: int = 8) -> np.ndarray:
    """Reads an image with ``depth`` bits and shrinks it: the pixels in which the patches of that size lie."""
    return shrunk(read_at(path, depth), factor)


def side(length: int, factor: float) -> int:
    """Length in pixels of a side of the result of ``shrunk``."""
    return int(np.ceil(length * factor))


def fractions(table: pa.Table, meta: Mapping[str, Any], name: str | os.PathLike[str] = "scores") -> list[Fraction]:
    """The size of the image of each row of a table [n], as exactly as the table's metadata have it. Raises InputError
    if the column is not float32, or has a value that is not among those in the metadata."""
    sizes, code = sizes_of(table, meta, name)
    return [sizes[i] for i in code.tolist()]


def factors(table: pa.Table, meta: Mapping[str, Any], name: str | os.PathLike[str] = "scores") -> np.ndarray:
    """``fractions`` as ``srfast.imresize`` takes them, float64 [n]."""
    sizes, code = sizes_of(table, meta, name)
    return np.array([float(f) for f in sizes])[code]


def sizes_of(
    table: pa.Table, meta: Mapping[str, Any], name: str | os.PathLike[str] = "scores"
) -> tuple[list[Fraction], np.ndarray]:
    """The sizes of a table, the largest first, and the index of each row's size [n]. Raises InputError if ``fractions``
    refuses the column."""
    if COLUMN not in table.schema.names:
        if isinstance(meta.get(COLUMN), list):
            raise InputError(f"{name}: expected a column {COLUMN!r}, as its metadata say, got none")
        return [Fraction(1)], np.zeros(table.num_rows, np.int8)
    column = table.column(COLUMN)
    if column.type != pa.float32() or column.null_count:
        raise InputError(f"{name}: column {COLUMN!r}: expected float32 without missing values, got {column.type}")
    values = np.concatenate([np.zeros(0, np.float32), *(c.to_numpy() for c in column.chunks)])
    listed = meta.get(COLUMN)
    try:
        sizes = [Fraction(s) for s in parsed(listed)] if isinstance(listed, list) else [Fraction(1)]
    except (ValueError, TypeError):
        raise InputError(f"{name}: its metadata have been damaged: {COLUMN}: expected fractions") from None
    known = np.array([float(f) for f in sizes], np.float32)
    place = np.minimum(np.searchsorted(-known, -values), len(known) - 1).astype(np.int32)
    odd = np.flatnonzero(known[place] != values)
    if len(odd):
        raise InputError(
            f"{name}: column {COLUMN!r}: expected one of {', '.join(map(str, sizes))}, got {values[odd[0]]!s}"
        )
    return sizes, place


def read_deep(path: str | os.PathLike[str], *, colours: bool = True) -> np.ndarray:
    """Reads an image like ``read_rgb`` or ``read_image``, but as uint16: [H, W, 3] RGB, or [H, W] of a gray image
    without ``colours``.

    16 bits are read as they are; fewer are stretched to the range of 16, so that white is 65535. Raises InputError if
    ``read_rgb`` would refuse the file, or it has more than 8 bits and is neither PNG nor TIFF.
    """
    with refusing(path), regular_file(path) as file:
        content = file.read()
        with opened(io.BytesIO(content), path) as image:
            bits, kind = tiff.bits_of(image, content), image.format
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
