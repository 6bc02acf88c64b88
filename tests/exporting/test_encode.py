"""The encoders: lossless, for every size and content, with and without igzip."""

from __future__ import annotations

import io
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from srfast.errors import InputError
from srfast.exporting import encode


@pytest.fixture(params=["isal", "zlib"])
def deflate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "isal":
        pytest.importorskip("isal", reason="isal has no wheel here")
    else:
        monkeypatch.setitem(sys.modules, "isal", None)
    encode._deflate.cache_clear()
    yield
    encode._deflate.cache_clear()


def contents(h: int, w: int) -> np.ndarray:
    """Noise, a constant, black, a ramp that wraps around."""
    noise = np.random.default_rng(0).integers(0, 256, (h, w, 3), np.uint8)
    ramp = (np.arange(h * w * 3) * 7 % 256).astype(np.uint8).reshape(h, w, 3)
    return np.stack([noise, np.full_like(noise, 255), np.zeros_like(noise), ramp])


@pytest.mark.usefixtures("deflate")
@pytest.mark.parametrize(("h", "w"), [(1, 1), (1, 5), (7, 1), (13, 31), (96, 96)])
def test_png_is_lossless(h: int, w: int) -> None:
    patches = contents(h, w)
    files = encode.encode_png(patches)
    assert len(files) == 4
    for patch, file in zip(patches, files, strict=True):
        with Image.open(io.BytesIO(file)) as image:
            image.verify()  # the chunks' checksums
        with Image.open(io.BytesIO(file)) as image:
            assert (image.format, image.mode) == ("PNG", "RGB")
            assert np.array_equal(np.asarray(image), patch)
        assert np.array_equal(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1], patch)


@pytest.mark.usefixtures("deflate")
def test_png_of_photographs_is_small(real_patches) -> None:  # type: ignore[no-untyped-def]
    """Within 5 % of OpenCV at level 1, what BasicSR puts into its databases."""
    patches = real_patches(64, 96)
    theirs = sum(len(cv2.imencode(".png", p[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]) for p in patches)
    assert sum(map(len, encode.encode_png(patches))) <= 1.05 * theirs


def test_png_takes_views_and_no_patches() -> None:
    whole = contents(40, 40)
    view = whole[:, ::2, 3:30]
    for patch, file in zip(view, encode.encode_png(view), strict=True):
        with Image.open(io.BytesIO(file)) as image:
            assert np.array_equal(np.asarray(image), patch)
    assert encode.encode_png(whole[:0]) == []


@pytest.mark.parametrize(("h", "w"), [(1, 1), (13, 31), (96, 96)])
def test_webp_is_lossless(h: int, w: int) -> None:
    patches = contents(h, w)
    for patch, file in zip(patches, encode.encode_webp(patches), strict=True):
        assert np.array_equal(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], patch)


def test_unknown_format() -> None:
    with pytest.raises(InputError, match=r"format: expected one of png, webp, got 'jpg'"):
        encode.encoder("jpg")
