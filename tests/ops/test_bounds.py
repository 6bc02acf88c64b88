"""Numbers that wrap in 32 bits, at the public functions and at the compiled module itself."""

from typing import Any

import numpy as np
import pytest

from srfast.coreset.limits import separate
from srfast.errors import InputError
from srfast.ops.blockiness import blockiness
from srfast.ops.defects import COLUMNS, defects, jpeg_trace
from srfast.ops.native import compiled

IMAGE = np.zeros((40, 40, 3), np.uint8)
ON_A_GPU = {"probe_cuda", "degrade_tiles", "degrade_cuda", "mse_scratch", "per_sample_mse_cuda"}
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


def entries() -> dict[str, tuple[list[Any], list[tuple[int, Any, str]]]]:
    """Arguments that are right, and (place, wrong value, name in the message), of each entry of the compiled module."""
    floats, bytes_, ints = np.zeros(4096, np.float32), np.zeros(1 << 14, np.uint8), np.zeros(64, np.int64)
    entries.kept = (floats, bytes_, ints)  # type: ignore[attr-defined]
    f, b, i = floats.ctypes.data, bytes_.ctypes.data, ints.ctypes.data
    compiled_ = compiled()
    weights = [np.zeros(n, np.float32) for n in (64 * 81, 64, 64 * 32, 32, 32 * 25, 1)]
    scorer = compiled_.Scorer(*(w.ctypes.data for w in weights), 2)
    side = [0, -1, 2**31, 2**62]
    d = b + (1 << 13)
    image, small, planes = compiled_.Image(b, 40, 40, 120, 3), compiled_.Image(b, 12, 12, 36, 3), (f, 1, 8, 8)
    floats_ = compiled_.Planes(*planes)

    def grid(size: int, nx: int = 1, ny: int = 1) -> Any:
        return compiled_.Grid(i, nx, i, ny, size)

    def windows(place: int, *sizes: int) -> list[tuple[int, Any, str]]:
        """What is wrong with windows; the sizes are wrong too."""
        return [(place, grid(v), "size|xs") for v in sizes] + [
            (place, grid(32, -1), "xs"),
            (place, grid(32, 1, 2**62), "xs"),
            (place, compiled_.Grid(0, 1, i, 1, 32), "xs"),
        ]

    def planes_with(dst: int, threads: int, isa: int | None = None) -> list[tuple[int, Any, str]]:
        """What is wrong with what degradations share."""
        wrong: list[tuple[int, Any, str]] = [(dst, 0, "dst"), *((threads, v, "threads") for v in (0, -1))]
        return wrong + ([] if isa is None else [(isa, v, "isa") for v in (-1, 3)])

    return {
        "Image": (
            [b, 40, 40, 120, 3],
            [(0, 0, "image"), (4, 2, "channels"), (4, -3, "channels"), (3, 2**62, "image")]
            + [(3, v, "row_stride") for v in (119, 0, -1, -(2**62))]
            + [(p, v, "[hw]|row_stride|image") for p in (1, 2) for v in side],
        ),
        "Planes": (
            [*planes],
            [(0, 0, "src"), (1, -1, "planes"), (1, 2**62, "src")] + [(p, v, "[hw]") for p in (2, 3) for v in side],
        ),
        "Grid": ([i, 1, i, 1, 9], []),
        "degrade_kernel": (
            [0, 7, 1.0, 1.0, 0.0, 1.0, d],
            [(0, -1, "kind"), (0, 4, "kind"), (6, 0, "size")] + [(1, v, "size") for v in (0, -1, 8, 4097, 2**31 - 1)],
        ),
        "degrade_row": (
            [0, 7, 1.0, d],
            [(0, 1, "kind"), (0, 5, "kind"), (3, 0, "size")] + [(1, v, "size") for v in (0, -1, 8, 4097, 2**31 - 1)],
        ),
        "degrade_filter": (
            [floats_, f, 3, 3, 0, 1, d],
            planes_with(6, 5, 4) + [(1, 0, "kernel")] + [(p, v, "kernel") for p in (2, 3) for v in (0, -1, 4, 4097)],
        ),
        "degrade_separable": (
            [floats_, f, 3, f, 3, 0, 1, d],
            planes_with(7, 6, 5) + [(1, 0, "column"), (3, 0, "row")]
            + [(p, v, name) for p, name in ((2, "column"), (4, "row")) for v in (0, -1, 4, 4097)],
        ),
        "degrade_resize": (
            [floats_, 1, True, 2.0, 2.0, 4, 4, 0, 1, d],
            planes_with(9, 8, 7) + [(1, -1, "filter"), (1, 4, "filter")]
            + [(p, v, "step") for p in (3, 4) for v in (0.0, -1.0, float("nan"), float("inf"), 2.0**21)]
            + [(p, v, "out_[hw]") for p in (5, 6) for v in side],
        ),
        "degrade_noise": ([floats_, False, 1.0, False, i, 0, 0, 1, f], [*planes_with(8, 7, 6), (4, 0, "key")]),
        "degrade_unsharp": (
            [floats_, f, 3, 0.5, 10.0, 0, 1, d],
            planes_with(7, 6, 5) + [(1, 0, "row")] + [(2, v, "row") for v in (0, -1, 4, 4097)],
        ),
        "degrade_thick_lines": ([floats_, 1, d], planes_with(2, 1)),
        "degrade_planes": ([small, d], [(1, 0, "dst")]),
        "degrade_bytes": ([floats_, b], [(1, 0, "dst")]),
        "random_words": (
            [i, 0, 1, b],
            [(0, 0, "key"), (3, 0, "out")] + [(2, v, "groups") for v in (-1, 2**28, 2**62)],
        ),
        "imresize": (
            [b, 8, 8, 3, 0.5, 0, 0, b],
            [(0, 0, "src"), (7, 0, "dst"), (3, 2, "channels"), (4, 0.0, "scale"), (4, float("nan"), "scale")]
            + [(5, 2, "boundary"), (6, 9, "dtype")]
            + [(p, v, "[hw]") for p in (1, 2) for v in side],
        ),
        "resample": (
            [floats_, 2, True, 0, 1, f],
            [(5, 0, "dst"), (1, 5, "scale"), (3, -1, "boundary"), (4, 0, "threads")]
            + [(0, compiled_.Planes(f, 1, *sides), "[hw]") for sides in ((2**30, 1), (1, 2**30))],
        ),
        "per_sample_mse": (
            [f, f, 2, 8, 1, f],
            [(p, 0, name) for p, name in ((0, "a"), (1, "b"), (5, "out"), (3, "length"), (4, "threads"))]
            + [(2, v, "a") for v in (-1, 2**61)],
        ),
        "unfilter": (
            [b, 8, 8, 3, b + (1 << 13)],
            [(0, 0, "src"), (4, 0, "dst"), (3, 2, "channels")] + [(p, v, "[hw]|src") for p in (1, 2) for v in side],
        ),
        "suppress": ([i, i, i, i, 4, 0.5, b], [(0, 0, "image"), (6, 0, "keep"), (4, -1, "n"), (5, 1.0, "iou")]),
        "blockiness": (
            [image, grid(9), 1, f],
            [*windows(1, 8, 41, 2**31, 2**32 + 9), (2, 0, "threads"), (3, 0, "out")],
        ),
        "defects": (
            [image, grid(32), f, 1, f],
            [*windows(1, 14, 41, 2**31, 2**32 + 32), (2, 0, "weights"), (3, 0, "threads"), (4, 0, "out")],
        ),
        "defect_features": ([image, f], [(1, 0, "out")]),
        "jpeg_trace": ([image], []),
        "score_patches": (
            [scorer, small, i, 1, 0, 0, False, 1, f, f, f],
            [(2, 0, "offsets"), (3, -1, "n"), (3, 2**60, "n"), (4, 7, "boundary"), (7, 0, "threads")]
            + [(5, v, "isa") for v in (3, -1)],
        ),
        "score_dense": (
            [scorer, image, grid(12), 0, 0, False, 1, f, f, f],
            [*windows(2, 0, 41, 2**31, 2**32 + 12), (3, 7, "boundary"), (4, 3, "isa"), (6, 0, "threads")],
        ),
    }  # fmt: skip


def test_every_entry_refuses_before_it_follows_a_pointer():
    there = {name for name in dir(compiled()) if name[0] != "_" and callable(getattr(compiled(), name))}
    assert there - {"Scorer", "supported_isas", "integer_kernels"} - ON_A_GPU == set(entries())
    for name, (right, wrong) in entries().items():
        call = getattr(compiled(), name)
        call(*right)
        for place, value, words in wrong:
            with pytest.raises(ValueError, match=f"^({words}): expected"):
                call(*right[:place], value, *right[place + 1 :])
    with pytest.raises(ValueError, match="scale"):
        compiled().Scorer(1, 1, 1, 1, 1, 1, 5)
    with pytest.raises(ValueError, match="weights"):
        compiled().Scorer(0, 0, 0, 0, 0, 0, 2)
