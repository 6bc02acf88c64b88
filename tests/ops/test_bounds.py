"""Numbers that wrap in 32 bits."""

import numpy as np
import pytest

from srfast.coreset.limits import separate
from srfast.errors import InputError
from srfast.ops.blockiness import blockiness
from srfast.ops.defects import COLUMNS, defects, jpeg_trace

IMAGE = np.zeros((40, 40, 3), np.uint8)
HUGE = (2**31 - 1, 2**31, 2**31 + 40, 2**32, 2**32 + 9, 2**63 - 1, 2**63, 2**64 + 9, 10**30)


@pytest.mark.parametrize("size", [*HUGE, 1 << 24, 8, 0, -9, -(2**31), -(2**32) + 9, 9.5, "9", None])
def test_a_size_that_wraps(size):
    """2^31 - 1 ended the process: the last window seemed to end before the image."""
    with pytest.raises(InputError, match=r"^(size|xs): expected"):
        blockiness(IMAGE, np.array([1]), np.array([0]), size)


@pytest.mark.parametrize("starts", [*([n] for n in (*HUGE, -1, -(2**31), -(2**32), 0.5, True, "0", [0], 32)), [5, 4]])
@pytest.mark.parametrize("axis", [0, 1])
def test_corners_that_wrap_and_what_is_no_list_of_them(starts, axis):
    """2^32 was taken for 0."""
    places = [np.array([0]), np.array([0])]
    places[axis] = np.array(starts)
    for measure, size in ((blockiness, 9), (defects, 32)):
        with pytest.raises(InputError, match=r"^[xy]s: expected"):
            measure(IMAGE, *places, size)


@pytest.mark.parametrize("threads", [0, -1, 1.5, -(2**33), 2**40])
def test_threads(threads):
    if threads == 2**40:
        assert len(blockiness(IMAGE, np.array([0, 31]), np.array([0, 31]), 9, threads)) == 4
        return
    with pytest.raises(InputError, match=r"^threads: expected"):
        blockiness(IMAGE, np.array([0]), np.array([0]), 9, threads)


@pytest.mark.parametrize("image", [IMAGE[:0], IMAGE[:, :0], IMAGE[:0, :0, :1]])
def test_an_image_without_pixels(image):
    """The compiled module refused it, in words of its own."""
    none = np.array([])
    for measure in (jpeg_trace, lambda i: defects(i, none, none, 32), lambda i: blockiness(i, none, none, 9)):
        with pytest.raises(InputError, match=r"^image: expected .* of at least one pixel, got "):
            measure(image)


def test_rows_that_go_up_or_overlap():
    """A single row turned upside down counts as contiguous, whatever its stride."""
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    for view in (image[:1][::-1], image[::-1], np.broadcast_to(image[:1], image.shape)):
        assert jpeg_trace(view) == jpeg_trace(view.copy())


def test_places_of_any_integers():
    """Unsigned and 64 bits are as good as int32, and an empty list as good as any."""
    right = blockiness(IMAGE, np.array([0, 9], np.int32), np.array([3], np.int32), 12)
    for kind in (np.uint8, np.int64, np.uint64):
        np.testing.assert_array_equal(
            blockiness(IMAGE, np.array([0, 9], kind), np.array([3], kind), np.int16(12)), right
        )
    for image, xs, ys in ((IMAGE, [], []), (IMAGE, [], [3])):
        assert blockiness(image, np.array(xs), np.array(ys), 12).shape == (0,)
    for xs, ys in (([], [3]), ([3], [])):
        assert defects(IMAGE, np.array(xs), np.array(ys), 32).shape == (0, len(COLUMNS))


def test_overlaps():
    one, zero = np.array([1]), np.array([0])
    for column in range(4):
        for value in (-1, -(2**32), *((2**31, 2**32) if column else ())):  # images are counted, whatever their numbers
            columns = [zero, zero, zero, one]
            columns[column] = np.array([value])
            with pytest.raises(InputError, match="expected 0 to 2"):
                separate(*columns, 0.5)
    largest = np.array([2**31 - 1, 2**31 - 1, 2**31 - 2])
    assert separate(largest, largest, largest, largest, 0.9).tolist() == [True, False, True]
    assert separate(np.array([7, 7]), np.array([0, 1]), np.array([0, 0]), largest[:2], 0.9).tolist() == [True, False]
    for iou in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match="iou"):
            separate(zero, zero, zero, one, iou)
    with pytest.raises(InputError, match="one length"):
        separate(zero, zero, np.array([0, 0]), one, 0.5)
