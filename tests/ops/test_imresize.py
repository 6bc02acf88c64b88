"""imresize against MATLAB's own files, the float64 reference, and what any bicubic filter must do."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srfast
from srfast.ops import reference

BOUNDARIES = ("symmetric", "replicate")
MATLAB = [
    (b, d, s) for b, d in (("symmetric", "Set5"), ("replicate", "Set5"), ("replicate", "Set14")) for s in (2, 3, 4)
]


def expected_uint8(image: np.ndarray, scale: float, boundary: str) -> np.ndarray:
    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.atleast_3d(image), -1, 0)))
    out = np.moveaxis(reference.resample_uint8(planes, scale, boundary).numpy(), 0, -1)
    return out.reshape(*out.shape[:2], *image.shape[2:])


def matlab_pairs(root: Path, boundary: str, scale: int) -> list[tuple[Path, Path]]:
    """(HR, LR): HR stands beside the scales under symmetric/, within each under replicate/."""
    lr = root / f"x{scale}" / "LR" if (root / f"x{scale}" / "LR").is_dir() else root / f"x{scale}"
    hr = root / f"x{scale}" / "HR" if (root / f"x{scale}" / "HR").is_dir() else root / "HR"
    pairs = []
    for low in sorted(lr.glob("*.png")):
        stems = (low.stem, low.stem.removesuffix(f"x{scale}"), low.stem.removesuffix(f"_x{scale}"))
        high = next((hr / f"{s}.png" for s in stems if (hr / f"{s}.png").is_file()), None)
        assert high is not None, f"no HR file for {low}"
        pairs.append((high, low))
    return pairs


@pytest.mark.parametrize(("boundary", "dataset", "scale"), MATLAB)
def test_equals_matlab_in_every_pixel(boundary, dataset, scale, data_folder):
    pairs = matlab_pairs(data_folder(f"matlab/{boundary}/{dataset}"), boundary, scale)
    assert len(pairs) == {"Set5": 5, "Set14": 14}[dataset]
    for high, low in pairs:
        hr, lr = (np.asarray(Image.open(p)) for p in (high, low))
        hr = hr[: hr.shape[0] // scale * scale, : hr.shape[1] // scale * scale]
        got = srfast.imresize(np.ascontiguousarray(hr), 1 / scale, boundary=boundary)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, lr, err_msg=f"{low} ({boundary})")


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 2, 3, 4, 0.37, 0.9, 1.7, 1.0, 0.05])
def test_uint8_equals_the_reference(scale, boundary, photographs):
    image = np.ascontiguousarray(photographs["chelsea"][40:101, 60:133])
    got = srfast.imresize(image, scale, boundary=boundary)
    assert len(got) == int(np.ceil(scale * len(image)))
    np.testing.assert_array_equal(got, expected_uint8(image, scale, boundary))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 2, 3, 0.6, 1.3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_equal_the_reference(scale, boundary, dtype):
    image = np.random.default_rng(1).normal(100, 300, (23, 31, 3)).astype(dtype)
    got = srfast.imresize(image, scale, boundary=boundary)
    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0))).double()
    want = np.moveaxis(reference.resample(planes, scale, boundary).numpy(), 0, -1)
    assert got.dtype == dtype
    # Sums of float64 products in another order; float32 results are rounded once, at the end.
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-9 if dtype is np.float64 else 2e-4)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7, 3), (7, 1, 1), (2, 3, 3), (5, 4), (3, 3, 3)])
@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 2, 3, 4])
def test_tiny_images(shape, scale, boundary):
    image = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(
        srfast.imresize(image, scale, boundary=boundary), expected_uint8(image, scale, boundary)
    )


@pytest.mark.parametrize("scale", [3 / 4, 2 / 3, 1 / 2, 1 / 3, 0.37, 1.7, 1 / 20])
@pytest.mark.parametrize("width", [31, 32, 33, 97])
def test_sums_in_doubt_are_taken_exactly(scale, width):
    """Bytes are rounded from float32 where that cannot change them: blocks of 32 columns with and without a doubt."""
    rng = np.random.default_rng(width)
    rows, columns = np.indices((65, width))
    patterns = {
        "noise": rng.integers(0, 256, (65, width)),
        "ties": rng.integers(0, 2, (65, width)) * rng.integers(0, 256, (65, 1)),  # sums that end in exactly one half
        "two values": 255 * rng.integers(0, 2, (65, width)),
        "neighbours": 100 + rng.integers(0, 2, (65, width)),
        "checkerboard": 255 * ((rows + columns) % 2),
        "stripes": 201 * (columns // 2 % 2),
    }
    for name, pattern in patterns.items():
        image = np.stack([pattern, pattern[::-1], 255 - pattern], -1).astype(np.uint8)
        for channels in (image, image[..., :1].copy()):
            np.testing.assert_array_equal(
                srfast.imresize(channels, scale), expected_uint8(channels, scale, "symmetric"), err_msg=name
            )


def exact_matrix(n: int, factor: Fraction) -> tuple[np.ndarray, int]:
    """One pass in exact arithmetic: whole numbers [ceil(factor * n), n] and the denominator of all of them."""

    def cubic(x: Fraction) -> Fraction:
        a = abs(x)
        if a <= 1:
            return (3 * a - 5) * a * a / 2 + 1
        return (((5 - a) * a - 8) * a) / 2 + 2 if a <= 2 else Fraction(0)

    rows: list[dict[int, Fraction]] = []
    for i in range(1, math.ceil(factor * n) + 1):
        u = i / factor + (1 - 1 / factor) / 2
        taps = range(math.floor(u - 2 / factor), math.ceil(u + 2 / factor) + 1)
        weights = {k: cubic(factor * (u - k)) for k in taps}
        row: dict[int, Fraction] = {}
        for k, weight in weights.items():
            mirrored = (k - 1) % (2 * n)
            j = min(mirrored, 2 * n - 1 - mirrored)
            row[j] = row.get(j, Fraction(0)) + weight / sum(weights.values())
        rows.append(row)
    denominator = math.lcm(*(w.denominator for row in rows for w in row.values()))
    return np.array([[int(row.get(j, 0) * denominator) for j in range(n)] for row in rows]), denominator


@pytest.mark.parametrize("factor", ["3/4", "2/3", "1/2", "1/3", "1/4", "2/5"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_exact_ties_go_up_at_every_size_of_shrink(dtype, factor, photographs):
    """Against whole numbers, which have no rounding of their own: each pass is halved up and clamped, as MATLAB's
    images are; black and white overshoot."""
    draw, largest = np.random.default_rng(0), np.iinfo(dtype).max
    image = photographs["chelsea"][..., 1].astype(np.int64) * (largest // 255)
    image[10:30, 10:30] = largest * draw.integers(0, 2, (20, 20))
    want, ties, clipped = image, 0, 0
    for _ in range(2):
        matrix, denominator = exact_matrix(len(want), Fraction(factor))
        sums = 2 * (matrix @ want)
        ties += int((sums % (2 * denominator) == denominator).sum())
        rounded = (sums + denominator) // (2 * denominator)
        want = np.clip(rounded, 0, largest).T
        clipped += int((rounded != want.T).sum())
    assert clipped
    assert (ties == 0) == (factor == "1/3")  # its denominator is odd
    both = np.stack([image, image[::-1], largest - image], -1).astype(dtype)
    for given in (both[..., 0].copy(), both, torch.from_numpy(both)):
        got = np.asarray(srfast.imresize(given, float(Fraction(factor))))
        assert got.dtype == dtype
        np.testing.assert_array_equal(got if got.ndim == 2 else got[..., 0], want)


def test_views_read_only_arrays_and_tensors(photographs):
    image = photographs["coffee"][:41, :50]
    want = srfast.imresize(image.copy(), 0.5)
    frozen = image.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(srfast.imresize(frozen, 0.5), want)
    np.testing.assert_array_equal(
        srfast.imresize(image.copy()[::-1], 0.5), expected_uint8(image[::-1], 0.5, "symmetric")
    )
    strided = image.copy()[:, ::2]
    np.testing.assert_array_equal(srfast.imresize(strided, 0.5), expected_uint8(strided, 0.5, "symmetric"))
    np.testing.assert_array_equal(srfast.imresize(np.asfortranarray(image), 0.5), want)
    got = srfast.imresize(torch.from_numpy(image := image.copy()), 0.5)
    assert isinstance(got, torch.Tensor)
    np.testing.assert_array_equal(got.numpy(), want)
    np.testing.assert_array_equal(image, photographs["coffee"][:41, :50])


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_opcheck(boundary):
    image = torch.randint(0, 256, (11, 13, 3), dtype=torch.uint8)
    torch.library.opcheck(torch.ops.srfast.imresize.default, (image, 1 / 3, boundary))
    torch.library.opcheck(torch.ops.srfast.imresize.default, (image.double(), 1.7, boundary))
