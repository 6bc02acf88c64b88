"""How a file encodes its pixels, judged by its header, to find the better of two copies of an image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from srfast.data.images import FORMATS, header, turned

_LUMINANCE = np.array(
    [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
     87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
     72, 92, 95, 98, 112, 100, 103, 99]
)  # fmt: skip
"""ITU-T T.81, Table K.1, which libjpeg scales by its quality."""


@dataclass(frozen=True)
class Encoding:
    """Size and encoding of an image file."""

    width: int
    height: int
    """Height in pixels after the EXIF orientation is applied."""
    format: str
    lossless: bool
    """Whether the format keeps every pixel; a palette does not."""
    quality: int | None
    """Quality of a JPEG file, 1 to 100, by its quantisation tables."""

    def preference(self, name: str) -> tuple[int, bool, int, str]:
        """Sort key, the better of two copies first: larger, then lossless, then of higher JPEG quality, then by
        name."""
        return -self.width * self.height, not self.lossless, -(self.quality or 0), name


def encoding_of(path: str | os.PathLike[str]) -> Encoding:
    """Size, format and quality of an image file, from its header. Raises InputError if the file cannot be read, or has
    none of ``srfast.data.images.FORMATS``."""
    with header(path) as image:
        width, height = image.size
        if turned(image):
            width, height = height, width
        kind = str(image.format)
        tables = getattr(image, "quantization", None) if kind == "JPEG" else None
        lossless = kind in ("PNG", "BMP", "DIB", "PPM") or (
            kind == "TIFF" and image.info.get("compression") not in ("jpeg", "tiff_jpeg", "webp")
        )
        if kind == "WEBP":
            lossless = _is_lossless_webp(path)
        return Encoding(width, height, kind, lossless and image.mode not in ("P", "PA"), jpeg_quality(tables))


def jpeg_quality(tables: Mapping[int, Sequence[int]] | None) -> int | None:
    """The quality, 1 to 100, at which the mean of libjpeg's luminance table is nearest to that of the first table.

    After Kornblum (Using JPEG quantization tables to identify imagery processed by software, 2008). It is exact for
    encoders that scale the standard table. For other tables it is the quality with the nearest mean, the higher of two
    that are equally near.
    """
    if not tables:
        return None
    mean = float(np.mean(list(tables[min(tables)])))
    return max(range(1, 101), key=lambda quality: (-abs(_means()[quality - 1] - mean), quality))


@lru_cache(maxsize=1)
def _means() -> list[float]:
    """Mean of the standard table at each quality, by libjpeg's jpeg_quality_scaling."""
    scales = [5000 // q if q < 50 else 200 - 2 * q for q in range(1, 101)]
    return [float(np.clip((_LUMINANCE * s + 50) // 100, 1, 255).mean()) for s in scales]


def _is_lossless_webp(path: str | os.PathLike[str]) -> bool:
    """Whether the first chunk with pixels is VP8L (RFC 9649)."""
    with open(path, "rb") as file:
        at, end = 12, os.fstat(file.fileno()).st_size
        while at + 8 <= end:
            file.seek(at)
            head = file.read(8)
            if head[:4] in (b"VP8L", b"VP8 "):
                return head[:4] == b"VP8L"
            size = int.from_bytes(head[4:], "little")
            # The pixels of an animation lie inside its frames, 16 bytes after their beginning.
            at += 24 if head[:4] == b"ANMF" else 8 + size + size % 2
    return False


def is_plain(path: Path, pixels: np.ndarray, suffix: str) -> bool:
    """Whether every trainer reads a file as these pixels [C, H, W]: a file of that depth and those channels in the
    format of the suffix, and nothing else.

    Palettes, alpha and 16 bits (which KAIR keeps), colour profiles (which traiNNer-redux applies) and orientations
    differ.
    """
    if path.suffix.lower() != f".{suffix}":
        return False
    with open(path, "rb") as file:
        head = file.read(26)
    # PNG: depth, and colour type 2 (RGB) or 0 (gray); Pillow shows 16 bits as RGB too.
    mode = "RGB" if pixels.shape[0] == 3 else "L"
    if suffix == "png" and head[24:26] != bytes([8 * pixels.itemsize, 2 if mode == "RGB" else 0]):
        return False
    if path.stat().st_size > pixels.nbytes + 4096:
        return False
    with Image.open(path, formats=FORMATS) as image:
        plain = (
            image.format == suffix.upper()
            and (image.mode == mode or pixels.itemsize > 1)
            and not getattr(image, "is_animated", False)
        )
        return bool(plain and not {"icc_profile", "transparency", "exif"} & image.info.keys() and not image.getexif())
