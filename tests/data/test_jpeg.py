"""JPEG files that lack data, and those that would be decoded for minutes: refused, whoever decodes them."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from srfast.data import jpeg
from srfast.data.encoding import encoding_of
from srfast.data.images import file_format, read_rgb
from srfast.errors import InputError


@pytest.fixture(scope="module")
def photo(photographs: dict[str, np.ndarray]) -> Image.Image:
    return Image.fromarray(photographs["coffee"][100:197, 150:263])


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def scans(data: bytes) -> list[int]:
    """Where the scans of a file begin."""
    return [i for i in range(len(data) - 1) if data[i : i + 2] == b"\xff\xda"]


KINDS = {
    "rgb": ("RGB", {}),
    "gray": ("L", {}),
    "cmyk": ("CMYK", {}),
    "progressive": ("RGB", {"progressive": True}),
    "progressive gray": ("L", {"progressive": True}),
    "restart markers": ("RGB", {"restart_marker_blocks": 5}),
    "thumbnail": ("RGB", {"exif": b"Exif\0\0" + b"\xff\xd8\xff\xda" * 9}),
}


@pytest.mark.parametrize("share", [0.35, 0.5, 0.98])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_and_given_an_end_is_refused(kind, share, photo, tmp_path):
    """It was scored with gray below the cut, or with what its first scans say."""
    mode, options = KINDS[kind]
    data = saved(photo.convert(mode), **options)
    path = tmp_path / "cut.jpg"
    path.write_bytes(data)
    read_rgb(path)
    head = scans(data)[0]
    path.write_bytes(data[: head + int(share * (len(data) - head))] + b"\xff\xd9")
    with pytest.raises(InputError, match=r"cut\.jpg: cannot be decoded \("):
        read_rgb(path)


def test_a_progressive_file_without_its_last_scans_is_refused(photo, tmp_path):
    """Cut between two scans it is whole to libjpeg-turbo, which smooths over what lacks."""
    data = saved(photo, progressive=True)
    starts = scans(data)
    assert len(starts) > 5
    for start in starts[1:]:
        tables = data.rfind(b"\xff\xc4", 0, start)  # the Huffman table that comes before the scan
        cut = tables if data[tables + 2 : tables + 4] == struct.pack(">H", start - tables - 2) else start
        (tmp_path / "a.jpg").write_bytes(data[:cut] + b"\xff\xd9")
        with pytest.raises(InputError, match=r"the last scans of a progressive JPEG file are missing"):
            read_rgb(tmp_path / "a.jpg")


def test_damage_in_the_middle_is_refused(photo, tmp_path):
    """Bits that no Huffman code begins with, and a restart marker out of turn."""
    data = saved(photo)
    middle = (scans(data)[0] + len(data)) // 2
    (tmp_path / "a.jpg").write_bytes(data[:middle] + b"\xff\x00" * 20 + data[middle + 40 :])
    with pytest.raises(InputError, match="cannot be decoded"):
        read_rgb(tmp_path / "a.jpg")
    data = saved(photo, restart_marker_blocks=5)
    (tmp_path / "b.jpg").write_bytes(data.replace(b"\xff\xd2", b"\xff\xd6", 1))
    with pytest.raises(InputError, match="cannot be decoded"):
        read_rgb(tmp_path / "b.jpg")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_what_a_decoder_remarks_of_a_complete_file_is_no_reason_to_refuse_it(mode, photo, tmp_path):
    """Cameras put bytes before the end marker, phones a film behind it; the pixels are all there."""
    data = saved(photo.convert(mode), progressive=mode == "RGB")
    (tmp_path / "a.jpg").write_bytes(data)
    right = read_rgb(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(data[:-2] + b"\x00\x17\x17" + data[-2:])
    np.testing.assert_array_equal(read_rgb(tmp_path / "b.jpg"), right)
    (tmp_path / "c.jpg").write_bytes(data + b"\xff\xda\x00\x03" * 4096)
    np.testing.assert_array_equal(read_rgb(tmp_path / "c.jpg"), right)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_harmless_remark_does_not_hide_a_cut(mode, photo, tmp_path):
    """libjpeg-turbo tells its first remark alone."""
    data = saved(photo.convert(mode), restart_marker_blocks=5)
    remark = data.replace(b"\xff\xd0", b"\x17" * 64 + b"\xff\xd0", 1)
    for whole, words in ((data, "premature end"), (remark, "its data end early")):
        (tmp_path / "a.jpg").write_bytes(whole)
        assert read_rgb(tmp_path / "a.jpg").shape == (97, 113, 3)
        (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
        with pytest.raises(InputError, match=words):
            read_rgb(tmp_path / "a.jpg")


def test_scans_are_counted_before_anything_is_decoded(photo, tmp_path, monkeypatch):
    """A scan of a few bytes costs a pass over the image: thousands of them took minutes, which no signal ended."""
    data = saved(photo, progressive=True)
    last = data[scans(data)[-1] : -2]
    assert len(last) < len(data)
    few, many = (data[:-2] + last * n + b"\xff\xd9" for n in (20, 5000))
    (tmp_path / "few.jpg").write_bytes(few)
    assert read_rgb(tmp_path / "few.jpg").shape == (97, 113, 3)
    monkeypatch.setattr(jpeg.simplejpeg, "decode_jpeg", lambda *_: pytest.fail("decoded"))
    (tmp_path / "many.jpg").write_bytes(many)
    with pytest.raises(InputError, match=r"many\.jpg: refused, expected a JPEG file of at most 100 scans, got more"):
        read_rgb(tmp_path / "many.jpg")


@pytest.mark.parametrize(
    ("suffix", "end", "options"),
    [
        ("png", b"\0\0\0\0IEND\xaeB`\x82", {}),
        ("gif", b"\0;", {}),
        ("webp", b"", {"quality": 80}),
        ("tif", b"", {"compression": "tiff_lzw"}),
        ("bmp", b"", {}),
        ("ppm", b"", {}),
        ("jp2", b"\xff\xd9", {}),
    ],
)
def test_other_formats_that_were_cut(suffix, end, options, photo, tmp_path):
    """With the mark of an end behind the cut, where the format has one."""
    path = tmp_path / f"a.{suffix}"
    photo.save(path, **options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + end)
    with pytest.raises(InputError, match=r"cannot be decoded|not an image"):
        read_rgb(path)


def test_a_file_with_further_pictures_is_a_jpeg_file(photo, tmp_path):
    """As telephones write them: Pillow has another name for their format, under which a cut one was taken for whole,
    and their quality and the limit of their scans were not looked at."""
    path = tmp_path / "several.jpg"
    photo.save(path, "MPO", save_all=True, append_images=[photo.rotate(180)], quality=90)
    data = path.read_bytes()
    with Image.open(path) as image:
        assert image.format == "MPO"
    assert file_format(path) == "JPEG"
    assert encoding_of(path).quality == 90
    (tmp_path / "alone.jpg").write_bytes(saved(photo))
    np.testing.assert_array_equal(read_rgb(path), read_rgb(tmp_path / "alone.jpg"))
    path.write_bytes(data[: len(data) // 4] + b"\xff\xd9")
    with pytest.raises(InputError, match="cannot be decoded"):
        read_rgb(path)
