"""``srfast.ops.defects`` against its definition in float64, and what its columns say of made defects."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from srfast.errors import InputError
from srfast.ops import native
from srfast.ops.blockiness import blockiness
from srfast.ops.defects import CHROMA, COLUMNS, defects, has_colour, jpeg_trace, weights, without_colour
from tests.ops import defects_reference as reference

N = {name: i for i, name in enumerate(COLUMNS)}


def photo(name: str = "coffee", h: int = 150, w: int = 203) -> np.ndarray:
    """Reduced, so that no trace of an earlier compression stands on the grid."""
    whole = Image.fromarray(getattr(skimage.data, name)()[..., :3])
    small = whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.BICUBIC)
    return np.array(small)[:h, :w]


def saved(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file).convert("RGB"))


def pictures() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    stripes = np.broadcast_to((np.arange(90) // 3 % 2 * 255).astype(np.uint8)[None, :, None], (70, 90, 3))
    boxed = photo()[:96, :120].copy()
    boxed[:11], boxed[-7:], boxed[:, :5] = 0, 1, 2
    return {
        "photograph": photo(),
        "one channel": photo()[:61, :83, 1:2],
        "noise": rng.integers(0, 256, (67, 301, 3)).astype(np.uint8),  # wider than what is worked on together
        "stripes": np.array(stripes),
        "flat": np.full((40, 64, 3), 77, np.uint8),
        "black": np.zeros((40, 40, 3), np.uint8),
        "ramp": np.repeat((np.arange(96) // 6 * 3).astype(np.uint8)[None, :, None], 64, 0).repeat(3, 2),
        "letterbox": boxed,
    }


def corners(image: np.ndarray, size: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    h, w = image.shape[:2]
    return np.array(sorted({*range(0, w - size + 1, step), w - size})), np.array(
        sorted({*range(0, h - size + 1, step), h - size})
    )


@pytest.mark.parametrize("name", pictures())
def test_features_are_those_of_the_definition(name):
    image = pictures()[name]
    want = reference.features(image)
    got = np.full(want.shape, np.nan, np.float32)
    whole = np.ascontiguousarray(image)
    native.compiled().defect_features(native.image_at(whole), got.ctypes.data)
    # Sums of integers; what is left is float32 and a logarithm to 4e-6.
    assert np.abs(got - want).max() < 3e-5


@pytest.mark.parametrize("name", pictures())
@pytest.mark.parametrize(("size", "step"), [(32, 5), (40, 16)])
def test_against_the_definition(name, size, step):
    image = pictures()[name]
    xs, ys = corners(image, size, step)
    got = defects(image, xs, ys, size)
    want = reference.defects(image, xs, ys, size, weights(has_colour(image)))
    assert got.dtype == np.float32
    assert got.shape == want.shape == (len(xs) * len(ys), len(COLUMNS))
    assert np.array_equal(np.isnan(got), np.isnan(want))
    # Features to 3e-5 through three layers whose gains are up to some tens.
    assert np.allclose(got, want, rtol=2e-3, atol=2e-3, equal_nan=True)
    for threads in (2, 5):
        assert np.array_equal(defects(image, xs, ys, size, threads), got, equal_nan=True)


@pytest.mark.parametrize("name", pictures())
def test_trace_of_jpeg_against_the_definition(name):
    image = pictures()[name]
    assert (jpeg_trace(image) or 0) == reference.jpeg_trace(image)
    for quality in (20, 60, 85):
        if image.shape[2] == 3:
            once = saved(image, quality)
            for version in (once, np.ascontiguousarray(once[3:, 5:])):
                assert (jpeg_trace(version) or 0) == reference.jpeg_trace(version)


@pytest.mark.parametrize("quality", [10, 30, 60, 80, 90])
def test_the_quality_that_was(quality):
    for name in ("coffee", "chelsea", "astronaut"):
        image = photo(name)
        assert jpeg_trace(image) is None
        once = saved(image, quality)
        assert abs((jpeg_trace(once) or 0) - quality) <= 1
        assert abs((jpeg_trace(once[2:, 7:]) or 0) - quality) <= 1


@pytest.mark.parametrize("side", [48, 56, 64, 80, 96])
def test_drawings_were_no_jpeg(side):
    """Edges that stand again and again at the same place of the grid make sizes that repeat, as steps do."""
    picture = Image.new("RGB", (768, 768), "white")
    pen = ImageDraw.Draw(picture)
    for x in range(96, 672 - side, 2 * side):
        pen.rectangle((x + 3, 100, x + side, 100 + side), fill="black")
        pen.ellipse((x, 300, x + side, 300 + side), fill="black")
        pen.line((x, 600, x + side, 600 - side), fill="black", width=8)
    assert jpeg_trace(np.asarray(picture)) is None


def test_what_was_cut_off_hides_no_quality():
    """Black and white stripes beside a photograph: where JPEG rings past 0 and 255, it is cut off, and no multiple."""
    image = photo(h=200, w=300)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    stripes = np.where((x + 0.3 * y + 0.002 * x * y) // 5 % 2, 0, 255).astype(np.uint8)[..., None]
    image[:, image.shape[1] // 4 :] = stripes[:, image.shape[1] // 4 :]
    for quality in (30, 50, 80):
        assert abs((jpeg_trace(saved(image, quality)) or 0) - quality) <= 1


def test_the_lower_of_two_qualities():
    once = saved(photo(), 30)
    assert jpeg_trace(saved(once, 92)) == 30
    assert jpeg_trace(saved(np.ascontiguousarray(once[3:, 5:]), 92)) == 30


def test_what_was_done_is_seen():
    rng = np.random.default_rng(0)
    for name in ("coffee", "chelsea", "astronaut"):
        image = photo(name)
        whole = Image.fromarray(image)
        small = whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.BICUBIC)
        changed = {
            "noise": np.clip(image + rng.normal(0, 15, image.shape), 0, 255).astype(np.uint8),
            "blur": np.array(whole.filter(ImageFilter.GaussianBlur(2))),
            "upscaled": np.array(small.resize(whole.size, Image.Resampling.BICUBIC)),
            "halo": np.array(whole.filter(ImageFilter.UnsharpMask(2, 300, 0))),
        }
        xs, ys = corners(image, 96, 32)

        def mean(picture, column, xs=xs, ys=ys):
            return float(np.nanmean(defects(picture, xs, ys, 96)[:, N[column]]))

        for column, picture in changed.items():
            assert mean(picture, column) > 1.5 * mean(image, column) + 0.1, (name, column)


def with_text(image: np.ndarray, place: tuple[int, int], size: int = 12) -> np.ndarray:
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text(place, "ALL RIGHTS RESERVED", "white", ImageFont.load_default(size))
    return np.array(picture)


def test_a_line_of_text_is_seen_in_a_large_window():
    """It is in a few of the window's tiles: their mean would not show it."""
    start = np.array([0])
    for name in ("coffee", "chelsea", "astronaut"):
        image = photo(name, 200, 200)
        size = min(image.shape[:2])
        before, after = (
            defects(p, start, start, size)[0, N["overlay"]] for p in (image, with_text(image, (10, size - 40)))
        )
        assert before < 80, name
        assert after > 99, name


def test_ink_is_told_with_the_tiles_beside_it():
    """Text outside a window counts up to one tile above or below it, two beside it, and no further."""
    image, at = photo("coffee", 150, 200), np.array([40])
    clean = defects(image, at, at, 64)[0]
    for side, (y, x) in {"above": (32, 60), "below": (96, 60), "left": (60, 24), "right": (60, 104)}.items():
        changed = image.copy()
        changed[y : y + 8, x : x + 16 if side in ("above", "below") else x + 8] ^= 255
        beside = defects(changed, at, at, 64)[0]
        assert beside[N["overlay"]] != clean[N["overlay"]], side
        assert np.array_equal(np.delete(beside, N["overlay"]), np.delete(clean, N["overlay"]), equal_nan=True), side
    for y, x in ((24, 60), (104, 60), (60, 16), (60, 112)):
        changed = image.copy()
        changed[y : y + 8, x : x + 8] ^= 255
        assert np.array_equal(defects(changed, at, at, 64)[0], clean, equal_nan=True), (y, x)


@pytest.mark.parametrize("size", [32, 41])
def test_windows_far_apart_are_those_of_all(size):
    """The rows of tiles between windows that lie far apart are not measured, but those that touch a window are."""
    image = pictures()["noise"].transpose(1, 0, 2)
    xs, ys = corners(image, size, 1)
    some = [0, 3, size + 17, size + 18, 3 * size, len(ys) - 1]
    every = defects(image, xs[::9], ys, size).reshape(len(ys), -1)
    assert np.array_equal(defects(image, xs[::9], ys[some], size).reshape(len(some), -1), every[some], equal_nan=True)


def test_black_letters_on_white_have_no_halos():
    """An edge between black and white cannot overshoot, so that nothing says whether it was sharpened."""
    page = Image.new("L", (480, 480), 255)
    words = "\n".join("the quick brown fox jumps over the lazy dog" for _ in range(16))
    ImageDraw.Draw(page).multiline_text((8, 8), words, 0, ImageFont.load_default(24))
    xs, ys = corners(np.array(page)[..., None], 96, 96)
    columns = defects(np.array(page)[..., None], xs, ys, 96)
    assert np.isnan(columns[:, N["halo"]]).all()
    assert not np.isnan(columns[:, N["upscaled"]]).any()  # they are not flat


def test_halos_of_gray_photographs_are_seen():
    """A network that was trained in colour takes a picture without any for one without halos."""
    for name in ("coffee", "chelsea", "astronaut"):
        gray = Image.fromarray(photo(name)).convert("L")
        xs, ys = corners(photo(name), 96, 32)
        before, after = (
            np.nanmean(defects(np.array(picture)[..., None], xs, ys, 96)[:, N["halo"]])
            for picture in (gray, gray.filter(ImageFilter.UnsharpMask(2, 300, 0)))
        )
        assert after > 1.5 * before + 10, name


def test_one_channel_is_three_equal_ones():
    one, start = photo()[..., 1:2], np.array([0, 30])
    assert np.array_equal(defects(one, start, start, 64), defects(one.repeat(3, 2), start, start, 64))


def test_chroma_of_gray_images_follows_from_the_other_features():
    rng = np.random.default_rng(0)
    weight, bias, seen = rng.normal(size=(32, 24)), rng.normal(size=32), rng.normal(size=(5, 24))
    from_others, constant = np.insert(rng.normal(size=23), CHROMA, 0), rng.normal(size=1)
    changed, moved = without_colour(weight, bias, from_others, constant)
    seen[:, CHROMA] = seen @ from_others + constant
    want = seen @ weight.T + bias
    seen[:, CHROMA] = rng.normal(size=5)  # what stood there does not count
    assert np.allclose(seen @ changed.T + moved, want, rtol=0, atol=1e-12)  # float64, sums of some tens of terms


@pytest.mark.parametrize("place", [(0, 0), (149, 202), (75, 100)])
def test_a_coloured_pixel_is_colour(place):
    gray = photo()[..., :1].repeat(3, 2)
    assert not has_colour(gray)
    assert not has_colour(gray[..., :1])
    gray[place[0], place[1], 1] ^= 1
    assert has_colour(gray)


def test_extremes():
    columns = {name: defects(image, np.array([0]), np.array([0]), 40)[0] for name, image in pictures().items()}
    assert np.isnan(columns["flat"][N["blur"]])
    assert np.isnan(columns["black"][N["noise"]])
    assert columns["black"][N["clipped"]] == 100
    assert columns["flat"][N["border"]] == 0
    assert columns["ramp"][N["banding"]] > 50 > 1 > columns["photograph"][N["banding"]]
    # 11 of 40 rows, and 5 of 40 columns of the 29 that are left.
    assert columns["letterbox"][N["border"]] == pytest.approx(100 * (1 - 29 * 35 / 1600), rel=1e-6)


@pytest.mark.parametrize("view", ["rows", "columns", "mirrored", "transposed", "channels"])
def test_views(view):
    whole = photo("coffee", 140, 160)
    image = {
        "rows": whole[::2], "columns": whole[:, ::2], "mirrored": whole[::-1, ::-1],
        "transposed": whole.transpose(1, 0, 2), "channels": whole[..., 2:3],
    }[view]  # fmt: skip
    starts, copy = np.array([0, 3, 20]), np.ascontiguousarray(image)
    assert np.array_equal(defects(image, starts, starts, 32), defects(copy, starts, starts, 32), equal_nan=True)
    assert np.array_equal(blockiness(image, starts, starts, 32), blockiness(copy, starts, starts, 32))
    assert jpeg_trace(image) == jpeg_trace(copy)


def test_wrong_arguments():
    image, start = photo(), np.array([0])
    for bad in (image.astype(np.float64), image[..., 0], image[..., :2]):
        for measure in (jpeg_trace, *(lambda i, f=f: f(i, start, start, 32) for f in (defects, blockiness))):
            with pytest.raises((TypeError, InputError), match=r"^image: expected"):
                measure(bad)
    with pytest.raises(InputError, match=r"^size: expected .*, got 31"):
        defects(image, start, start, 31)
