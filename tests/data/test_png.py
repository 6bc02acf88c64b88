"""The fast PNG decoder: Pillow's pixels, and Pillow's judgement of whatever is not as it should be."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from srfast.data import png
from srfast.data.images import read_image

pytest.importorskip("isal", reason="isal has no wheel here")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(pixels: np.ndarray, kinds: list[int]) -> bytes:
    """The rows of an image [H, W, C], each by its filter: the equations of the standard as a plain loop."""
    h, _, c = pixels.shape
    rows = pixels.reshape(h, -1).astype(int)
    out = bytearray()
    for y in range(h):
        above = rows[y - 1] if y else np.zeros_like(rows[0])
        out.append(kinds[y])
        for x, value in enumerate(rows[y]):
            a, b, corner = (rows[y][x - c] if x >= c else 0), above[x], (above[x - c] if x >= c else 0)
            nearest = min((a, b, corner), key=lambda v: abs(a + b - corner - v))  # the first of equals
            out.append((value - (0, a, b, (a + b) // 2, nearest)[kinds[y]]) % 256)
    return bytes(out)


def file(pixels: np.ndarray, rows: bytes, *, split: int = 1 << 20, extra: bytes = b"") -> bytes:
    h, w, c = pixels.shape
    packed = zlib.compress(rows)
    parts = b"".join(chunk(b"IDAT", packed[i : i + split]) for i in range(0, len(packed), split))
    head = struct.pack(">IIBBBBB", w, h, 8, {1: 0, 3: 2, 4: 6}[c], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + parts + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("width", [1, 2, 5, 33])
def test_every_filter_on_every_row(width, channels, photographs):
    """Noise and a photograph; the first row, whose row above is zero, too."""
    rng = np.random.default_rng(width)
    noise = rng.integers(0, 256, (25, width, channels), dtype=np.uint8)
    photo = np.repeat(photographs["coffee"][50:75, 60 : 60 + width], 2, axis=2)[:, :, :channels]
    for pixels in (noise, photo, np.zeros_like(noise), np.full_like(noise, 255)):
        for first in range(5):
            kinds = [(first + y) % 5 for y in range(24)] + [first]
            got = png.decode(file(pixels, filtered(pixels, kinds), split=40))
            np.testing.assert_array_equal(got, pixels[:, :, 0] if channels == 1 else pixels[:, :, :3])
            assert got.flags.c_contiguous


def test_pillows_pixels(photographs, monkeypatch, tmp_path):
    """And that the plain kinds are really taken."""
    taken = 0
    decode = png.decode

    def counted(data):
        nonlocal taken
        decoded = decode(data)
        taken += decoded is not None
        return decoded

    photo = Image.fromarray(photographs["astronaut"][:150, :211])
    for mode in ("RGB", "L", "RGBA", "LA", "P", "1", "I;16"):
        image = photo.convert("L").convert(mode) if mode == "I;16" else photo.convert(mode)
        for level in (0, 1, 6, 9):
            image.save(tmp_path / "a.png", compress_level=level)
            monkeypatch.setattr(png, "decode", counted)
            got = read_image(tmp_path / "a.png")
            monkeypatch.setattr(png, "decode", lambda _: None)
            np.testing.assert_array_equal(got, read_image(tmp_path / "a.png"))
    assert taken == 3 * 4


def test_what_pillow_shall_decide():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    rows = filtered(pixels, [0] * 9)
    right = file(pixels, rows)
    assert png.decode(right + b"behind the end") is not None
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, moving, interlaced = io.BytesIO(), io.BytesIO(), bytearray(right)
    image = Image.fromarray(pixels)
    image.save(turned, "PNG", exif=exif)
    image.save(moving, "PNG", save_all=True, append_images=[Image.fromarray(pixels[::-1])])
    at = right.index(b"IDAT")
    head = struct.pack(">IIBBBBB", 7, 9, 8, 2, 0, 0, 1)
    interlaced[8 : 8 + 25] = chunk(b"IHDR", head)
    packed = zlib.compress(rows)
    for name, data in {
        "turned": turned.getvalue(),
        "moving": moving.getvalue(),
        "interlaced": bytes(interlaced),
        "orientation in a text": file(pixels, rows, extra=chunk(b"tEXt", b"Raw profile type exif\0x")),
        "one row less": file(pixels, rows[:-22]),
        "one byte more": file(pixels, rows + b"\0"),
        "a bomb": file(pixels, rows + b"\0" * (64 << 20)),
        "a filter of no name": file(pixels, b"\5" + rows[1:]),
        "a bit of the data": right[: at + 9] + bytes([right[at + 9] ^ 1]) + right[at + 10 :],
        "no data": file(pixels, rows)[: at - 4] + chunk(b"IEND", b""),
        "half of the data": right[: at - 4] + chunk(b"IDAT", packed[: len(packed) // 2]) + chunk(b"IEND", b""),
        "another sum": right[: at - 4] + chunk(b"IDAT", packed[:-1] + bytes([packed[-1] ^ 1])) + chunk(b"IEND", b""),
        "no end": right[:-12],
        "a length beyond the file": right[:8] + b"\x7f" + right[9:],
        "nothing": right[:8],
    }.items():
        assert png.decode(data) is None, name
