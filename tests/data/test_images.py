"""Reading image files as OpenCV's IMREAD_COLOR reads them, and every way in which a file can be bad."""

import io
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from srfast.data import images
from srfast.data.images import image_size, read_image, read_rgb
from srfast.errors import InputError

cv2 = pytest.importorskip("cv2", reason="OpenCV is what the reader is compared with")

ORIENTATION = 0x0112


def opencv(path: Path) -> np.ndarray:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None, f"OpenCV does not read {path}"
    return image[:, :, ::-1]


@pytest.fixture
def photo(photographs: dict[str, np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(photographs["coffee"][100:181, 150:263])


SAVED: dict[str, Callable[[Image.Image, Path], None]] = {
    "rgb.png": lambda i, p: i.save(p),
    "gray.png": lambda i, p: i.convert("L").save(p),
    "rgba.png": lambda i, p: _with_alpha(i).save(p),
    "gray alpha.png": lambda i, p: _with_alpha(i).convert("LA").save(p),
    "palette.png": lambda i, p: i.quantize(64).save(p),
    "palette transparent.png": lambda i, p: i.quantize(64).save(p, transparency=3),
    "palette transparencies.png": lambda i, p: i.quantize(64).save(p, transparency=bytes(range(64))),
    "rgb transparent.png": lambda i, p: i.save(p, transparency=(10, 20, 30)),
    "gray transparent.png": lambda i, p: i.convert("L").save(p, transparency=17),
    "one bit.png": lambda i, p: i.convert("1").save(p),
    "four colours.png": lambda i, p: i.quantize(4).save(p, bits=2),
    "interlaced.png": lambda i, p: _interlaced(i, p),
    "rgb.bmp": lambda i, p: i.save(p),
    "palette.bmp": lambda i, p: i.quantize(32).save(p),
    "rgb.tif": lambda i, p: i.save(p),
    "lzw.tiff": lambda i, p: i.save(p, compression="tiff_lzw"),
    "gray.tif": lambda i, p: i.convert("L").save(p),
    "rgb.ppm": lambda i, p: i.save(p),
    "rgb.avif": lambda i, p: i.save(p),
    "rgba.avif": lambda i, p: _with_alpha(i).save(p),
    "gray.pgm": lambda i, p: i.convert("L").save(p),
    "lossless.webp": lambda i, p: i.save(p, lossless=True),
    "lossy.webp": lambda i, p: i.save(p, quality=80),
    "alpha.webp": lambda i, p: _with_alpha(i).save(p, lossless=True, exact=True),
    "profile.png": lambda i, p: i.save(p, icc_profile=_profile()),
}


def _with_alpha(image: Image.Image) -> Image.Image:
    alpha = np.random.default_rng(0).integers(0, 256, (image.height, image.width), dtype=np.uint8)
    return Image.merge("RGBA", (*image.split(), Image.fromarray(alpha)))


def _interlaced(image: Image.Image, path: Path) -> None:
    ok, data = cv2.imencode(".png", np.asarray(image)[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3])
    assert ok
    path.write_bytes(data.tobytes())


def _profile() -> bytes:
    """A profile that would swap colours visibly if it were applied."""
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize("strip", [1 << 30, 1000])
def test_what_opencv_reads(name, strip, photo, tmp_path, monkeypatch):
    """A large image is converted strip by strip; no kind of pixel shows where strips meet."""
    monkeypatch.setattr(images, "_STRIP", strip)
    path = tmp_path / name
    SAVED[name](Image.fromarray(photo), path)
    got = read_rgb(path)
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    assert got.flags.writeable
    np.testing.assert_array_equal(got, opencv(path))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_become_the_high_eight(channels, tmp_path):
    samples = np.random.default_rng(1).integers(0, 1 << 16, (9, 14, channels), np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), samples)
    want = np.broadcast_to((samples[:, :, 2::-1] >> 8).astype(np.uint8), (9, 14, 3))
    names = ["a.png"]
    if channels == 1:
        want = np.broadcast_to((samples >> 8).astype(np.uint8), (9, 14, 3))
        (tmp_path / "a.pgm").write_bytes(b"P5 14 9 65535\n" + samples.astype(">u2").tobytes())
        Image.fromarray(samples[:, :, 0]).save(tmp_path / "a.tif")
        names += ["a.pgm", "a.tif"]
    for name in names:
        np.testing.assert_array_equal(read_rgb(tmp_path / name), want, err_msg=name)


def test_alpha_of_tiff_is_dropped_too(photo, tmp_path):
    """OpenCV multiplies a TIFF's colours by alpha, and a PNG's not: one rule for all formats is kept here."""
    image = _with_alpha(Image.fromarray(photo))
    image.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.tif"), photo)
    assert (opencv(tmp_path / "a.tif") != photo).any()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
@pytest.mark.parametrize("name", ["a.tga", "a.dds", "packed.tga"])
def test_formats_that_opencv_lacks(name, mode, photo, tmp_path):
    image = Image.fromarray(photo)
    image = image.convert(mode) if mode in ("RGB", "L") else _with_alpha(image).convert(mode)
    image.save(tmp_path / name, **({"compression": "tga_rle"} if name == "packed.tga" else {}))
    want = np.repeat(np.asarray(image.convert("L"))[..., None], 3, 2) if mode in ("L", "LA") else photo
    np.testing.assert_array_equal(read_rgb(tmp_path / name), want)
    assert image_size(tmp_path / name) == image.size
    data = (tmp_path / name).read_bytes()
    for short in (data[: len(data) // 2], data[:10], b"\0" * 60):
        (tmp_path / name).write_bytes(short)
        with pytest.raises(InputError, match=rf"{name}: "):
            read_rgb(tmp_path / name)


def test_other_data_are_no_tga_file(tmp_path):
    """Nothing at the beginning of a TGA file tells it from other data, so that any file may look like one."""
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.tga")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.tga").read_bytes())
    with pytest.raises(InputError, match="not an image in a known format"):
        read_rgb(tmp_path / "a.png")


@pytest.mark.parametrize(("dtype", "said"), [("float32", "32-bit floats"), ("float64", "64-bit floats")])
@pytest.mark.parametrize("channels", [1, 3])
def test_floats_of_a_tiff_file_are_named(channels, dtype, said, tmp_path):
    cv2.imwrite(str(tmp_path / "a.tif"), np.zeros((8, 8, channels), dtype))
    for read in (read_rgb, image_size) if (channels, dtype) != (1, "float32") else (read_rgb,):
        with pytest.raises(InputError, match=rf"a\.tif: expected pixels of 8 or 16 bits, got {said}; convert the file"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}, {"optimize": True}])
def test_jpeg(options, subsampling, photo, tmp_path):
    for mode in ("RGB", "L"):
        path = tmp_path / f"{mode}.jpg"
        Image.fromarray(photo).convert(mode).save(path, subsampling=subsampling, **options)
        np.testing.assert_array_equal(read_rgb(path), opencv(path))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", [*range(1, 9), 42])
def test_jpeg_orientation(orientation, mode, photo, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "turned.jpg"
    Image.fromarray(photo).convert(mode).save(path, exif=exif, quality=95)
    got = read_rgb(path)
    assert got.shape[:2] == (photo.shape[1::-1] if 5 <= orientation <= 8 else photo.shape[:2])
    assert image_size(path) == got.shape[1::-1]
    if mode == "L":
        np.testing.assert_array_equal(np.repeat(read_image(path)[:, :, None], 3, 2), got)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, opencv(path))


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_orientation_of_other_formats(suffix, orientation, photo, tmp_path):
    """Applied in every format, as OpenCV 5 does."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"turned.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(photo).save(path, exif=exif, **options)
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}[orientation]
    np.testing.assert_array_equal(read_rgb(path), np.asarray(Image.fromarray(photo).transpose(turn)))
    assert image_size(path) == read_rgb(path).shape[1::-1]
    if int(cv2.__version__.split(".")[0]) >= 5:
        np.testing.assert_array_equal(read_rgb(path), opencv(path))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\0\x01"]
)
def test_damaged_exif_is_no_reason_to_refuse_a_photograph(exif, photo, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG")
    data = buffer.getvalue()
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path = tmp_path / "damaged exif.jpg"
    path.write_bytes(data[:2] + segment + data[2:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of the damage
        np.testing.assert_array_equal(read_rgb(path), opencv(path))


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
def test_an_orientation_in_xmp_alone_is_ignored(suffix, photo, tmp_path):
    """Pillow applies it, OpenCV does not: patches lay elsewhere than in the image that a trainer reads."""
    xmp = '<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp)
    options: dict = {
        "png": {"pnginfo": text}, "tif": {"tiffinfo": {700: xmp.encode()}}, "jpg": {"xmp": xmp.encode()},
        "webp": {"xmp": xmp.encode(), "lossless": True},
    }[suffix]  # fmt: skip
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(photo).save(path, **options)
    np.testing.assert_array_equal(read_rgb(path), opencv(path))
    assert image_size(path) == photo.shape[1::-1]


def test_cmyk(photo, tmp_path):
    """Pillow's plain formula. OpenCV's rounds otherwise, so single values differ by one grey level."""
    Image.fromarray(photo).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    got = read_rgb(tmp_path / "cmyk.jpg").astype(int)
    assert np.abs(got - opencv(tmp_path / "cmyk.jpg")).max() <= 1


@pytest.mark.parametrize("suffix", ["webp", "gif", "png"])
def test_the_first_frame_of_an_animation(suffix, photo, tmp_path):
    frames = [Image.fromarray(np.roll(photo, 31 * i, 1)) for i in range(3)]
    path = tmp_path / f"moving.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, **options)
    got = read_rgb(path)
    if suffix == "gif":
        with Image.open(path) as image:
            np.testing.assert_array_equal(got, np.asarray(image.convert("RGB")))
    else:
        np.testing.assert_array_equal(got, photo)


def encoded(image: np.ndarray, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


BAD: dict[str, tuple[Callable[[np.ndarray], bytes], str]] = {
    "empty.png": (lambda p: b"", "empty"),
    "text.png": (lambda p: b"These are not the pixels you are looking for.\n" * 9, "not an image"),
    "truncated.png": (lambda p: (data := encoded(p, "PNG"))[: len(data) // 2], "cannot be decoded"),
    "header only.png": (lambda p: encoded(p, "PNG")[:40], "cannot be decoded|not an image"),
    "truncated.jpg": (lambda p: (data := encoded(p, "JPEG", quality=95))[: len(data) // 2], "cannot be decoded"),
    "magic only.jpg": (lambda p: b"\xff\xd8\xff\xe0", "cannot be decoded|not an image"),
    "bad checksum.png": (lambda p: encoded(p, "PNG").replace(b"IDAT", b"IDAX", 1), "cannot be decoded|not an image"),
    "half.webp": (lambda p: encoded(p, "WEBP")[:200], "cannot be decoded|not an image"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_end_in_one_line_that_names_the_file_and_the_reason(name, photo, tmp_path):
    make, words = BAD[name]
    (tmp_path / name).write_bytes(make(photo))
    with pytest.raises(InputError, match=words) as caught:
        read_rgb(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    for name, words in (
        ("missing.png", "No such file"),
        ("pipe.png", "not a regular file"),
        ("folder.png", "not a regular file|Is a directory"),
        ("dangling.png", "No such file"),
    ):
        with pytest.raises(InputError, match=f"{name}: {words}"):
            read_rgb(tmp_path / name)


def test_a_file_of_more_than_64_mib(tmp_path, monkeypatch):
    """Its first bytes are looked at before it is read; looking closed the file."""
    monkeypatch.setattr(images, "_LOOKED_AT", 1000)
    pixels = np.random.default_rng(4).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for suffix in ("png", "bmp", "tif", "webp", "gif", "jp2"):
        Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", **({} if suffix == "gif" else {"lossless": True}))
        assert (tmp_path / f"a.{suffix}").stat().st_size > 1000
        read_rgb(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), pixels)


def test_the_size_of_a_png_file_takes_no_decoding(tmp_path, monkeypatch):
    """Orientation included, whether EXIF data stand before the pixels or after them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "before.png", exif=exif)
    data = (tmp_path / "before.png").read_bytes()
    at = data.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    (tmp_path / "after.png").write_bytes(data[:at] + data[end:-12] + data[at:end] + data[-12:])
    for name in ("before.png", "after.png"):
        assert image_size(tmp_path / name) == read_rgb(tmp_path / name).shape[1::-1] == (40, 60)

    def load(self):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    assert image_size(tmp_path / "plain.png") == (60, 40)


# TIFF files that Pillow alone would read as too dark, or as negatives.


def tiff(values: np.ndarray, bits: int, white_is_zero: bool) -> bytes:
    """An uncompressed file of gray values [H, W] of 12 or 16 bits."""
    h, w = values.shape
    if bits == 12:
        a, b = values[:, 0::2].ravel(), values[:, 1::2].ravel()
        data = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], 1).astype(np.uint8).tobytes()
    else:
        data = values.astype("<u2").tobytes()
    tags = {256: w, 257: h, 258: bits, 259: 1, 262: int(not white_is_zero), 277: 1, 278: h, 279: len(data)}
    tags[273] = 8 + 2 + 12 * (len(tags) + 1) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data


@pytest.mark.parametrize(("bits", "white_is_zero"), [(12, False), (16, True), (16, False)])
def test_gray_values_are_stretched_and_black_is_black(bits, white_is_zero, tmp_path):
    values = np.random.default_rng(0).integers(0, 1 << bits, (6, 8))
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(values, bits, white_is_zero))
    with Image.open(path) as image:
        assert image.mode == "I;16"
    want = values >> (bits - 8)
    np.testing.assert_array_equal(read_rgb(path)[..., 1], 255 - want if white_is_zero else want)
