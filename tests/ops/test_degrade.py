"""The ops of degradations against their equations in float64, PyTorch, OpenCV and SciPy, and against themselves."""

import math

import numpy as np
import pytest
import torch

from srfast.errors import InputError
from srfast.ops import degrade
from srfast.ops.native import isas
from tests.ops import degrade_reference

KEY = np.array([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], np.uint32)
FLOAT = 1e-3
"""Grey levels: at most 441 products of values up to 255, each rounded by 2^-24, and as many additions."""


def planes(h: int, w: int, channels: int = 3) -> np.ndarray:
    return (np.random.default_rng(h * w).random((channels, h, w)) * 255).astype(np.float32)


ONES, PI = 0xFFFFFFFF, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)


@pytest.mark.parametrize(
    ("counter", "key", "words"),  # Random123's kat_vectors: zeros, ones, and the digits of pi
    [
        ((0,) * 4, (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((ONES,) * 4, (ONES, ONES), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (PI, (0xA4093822, 0x299F31D0), "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_published_vectors(counter, key, words):
    assert " ".join(f"{v:08x}" for v in degrade_reference.philox(counter, key)) == words
    assert np.array_equal(degrade.random_words(KEY, 7, 130), degrade_reference.words(KEY, 7, 0, 3, 130))


@pytest.mark.parametrize("size", [7, 13, 21])
def test_a_sinc_kernel_is_bessels(size):
    special = pytest.importorskip("scipy.special")
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    r = np.hypot(x, y)
    r[size // 2, size // 2] = 1
    for cutoff in (math.pi / 5, 2.0, math.pi):
        expected = cutoff * special.j1(cutoff * r) / (2 * math.pi * r)
        expected[size // 2, size // 2] = cutoff**2 / (4 * math.pi)
        assert np.abs(degrade.kernel("sinc", size, shape=cutoff) - expected / expected.sum()).max() < 1e-13


def test_kernels_are_their_densities():
    rng = np.random.default_rng(1)
    for _ in range(30):
        size, (sx, sy), angle = 2 * int(rng.integers(3, 11)) + 1, rng.uniform(0.2, 3, 2), rng.uniform(-math.pi, math.pi)
        shape = rng.uniform(0.5, 4)
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        inverse = np.linalg.inv(turned @ np.diag([sx**2, sy**2]) @ turned.T)
        y, x = np.mgrid[:size, :size] - (size - 1) / 2
        grid = np.stack([x, y], -1)
        q = np.sum(grid @ inverse * grid, -1)
        densities = {"gaussian": np.exp(-q / 2), "generalized": np.exp(-(q**shape) / 2), "plateau": 1 / (1 + q**shape)}
        for kind, density in densities.items():
            # The inverse of a matrix costs digits where one side is 15 times the other.
            assert np.abs(degrade.kernel(kind, size, sx, sy, angle, shape) - density / density.sum()).max() < 1e-12


def test_gaussians_without_a_deviation_are_opencvs():
    cv2 = pytest.importorskip("cv2")
    for taps in (1, 3, 5, 7, 9, 11, 51):
        assert np.abs(degrade.gaussian_row(taps, 0) - cv2.getGaussianKernel(taps, 0)[:, 0]).max() < 1e-9
    assert np.abs(degrade.gaussian_row(5, 0.8) - cv2.getGaussianKernel(5, 0.8)[:, 0]).max() < 1e-9


@pytest.mark.parametrize(("h", "w"), [(70, 91), (1, 1), (2, 130), (33, 64), (5, 3)])
def test_blur_is_the_sum_and_the_same_everywhere(h, w):
    x, weights = planes(h, w), degrade.kernel("gaussian", 21, 2, 1, 0.5)
    expected = degrade_reference.blur(x, weights)
    assert np.abs(degrade.blur(x, weights) - expected).max() < FLOAT
    row = degrade.gaussian_row(13, 2.0)
    apart = degrade.blur_separable(x, row, row)
    assert np.abs(apart - degrade_reference.blur(x, np.outer(row, row))).max() < FLOAT
    for isa in isas():
        for threads in (1, 2, 7):
            assert degrade.blur(x, weights, threads=threads, isa=isa).tobytes() == degrade.blur(x, weights).tobytes()
            again = degrade.blur_separable(x, row, row, threads=threads, isa=isa)
            assert again.tobytes() == apart.tobytes()


def test_blur_of_a_tile_with_its_surroundings_is_that_of_the_image():
    x, weights = planes(200, 300), degrade.kernel("plateau", 9, 2, 1, 0.5, 1.5)
    whole = degrade.blur(x, weights)
    tile = degrade.blur(x[:, 46:104, 36:204], weights)[:, 4:-4, 4:-4]
    assert tile.tobytes() == np.ascontiguousarray(whole[:, 50:100, 40:200]).tobytes()


@pytest.mark.parametrize("filter", list(degrade.FILTERS))
@pytest.mark.parametrize("antialias", [False, True])
def test_resize_is_pytorchs(filter, antialias):
    if antialias and filter in ("area", "nearest-exact"):
        pytest.skip("PyTorch has no antialiasing for it")
    how = {} if filter in ("area", "nearest-exact") else {"align_corners": False, "antialias": antialias}
    x = planes(70, 91)
    for h, w in ((35, 40), (33, 47), (140, 200), (70, 91), (1, 1)):
        # Its weights of float32 images are float32: of float64 ones they are exact.
        theirs = torch.nn.functional.interpolate(torch.from_numpy(x)[None].double(), (h, w), mode=filter, **how)
        ours = degrade.resize(x, h, w, filter, antialias=antialias)
        assert np.abs(ours - theirs[0].numpy()).max() < FLOAT
        for isa in isas():
            again = degrade.resize(x, h, w, filter, antialias=antialias, threads=3, isa=isa)
            assert again.tobytes() == ours.tobytes()


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_resize_by_a_factor_keeps_the_factor(filter):
    x = planes(70, 91)
    for factor in (0.37, 1.4):
        theirs = torch.nn.functional.interpolate(torch.from_numpy(x)[None].double(), scale_factor=factor, mode=filter)
        ours = degrade.resize(x, *theirs.shape[2:], filter, step=(1 / factor, 1 / factor))
        assert np.abs(ours - theirs[0].numpy()).max() < FLOAT


def test_lanczos_smooths_then_resizes():
    x = planes(60, 80)
    ratio, taps = 0.5, 11
    t = (np.arange(taps) - 5) * ratio
    row = np.sinc(t) * np.sinc(t / 3)
    soft = degrade_reference.blur(x, np.outer(row / row.sum(), row / row.sum()))
    small = torch.nn.functional.interpolate(torch.from_numpy(soft)[None], (30, 40), mode="bicubic")[0].numpy()
    expected = np.clip(small, 0, 255)
    assert np.abs(degrade.resize(x, 30, 40, "lanczos") - expected).max() < FLOAT


def test_sharpening_and_thick_lines_are_their_equations():
    x = np.rint(planes(61, 77))
    for taps in (3, 25, 51):
        expected = degrade_reference.unsharp(x, degrade.gaussian_row(taps, 0), 0.5, 10)
        got = degrade.unsharp(x, taps)
        near = np.abs(np.abs(x - degrade_reference.blur(x, np.outer(*[degrade.gaussian_row(taps, 0)] * 2))) - 10) < 1e-3
        assert near.any() or np.abs(got - expected).max() < FLOAT  # a mask may turn over where a difference is 10
        assert degrade.unsharp(x, taps, threads=2, isa="baseline").tobytes() == got.tobytes()
    assert np.abs(degrade.thick_lines(x) - degrade_reference.thick_lines(x)).max() < FLOAT


def test_normal_values_are_normal():
    stats = pytest.importorskip("scipy.stats")
    x = np.full((1, 100, 100), 128, np.float32)
    degrade.add_noise(x, "gaussian", 10.0, KEY, 3)
    values = (x.ravel().astype(float) - 128) / 10
    assert stats.kstest(values, "norm").pvalue > 0.01
    quantiles = stats.norm.ppf(np.linspace(0, 1, 101))
    assert stats.chisquare(np.histogram(values, quantiles)[0]).pvalue > 0.01
    # Word by word: the quantile of the published words, whose table is off by 4e-5 at most.
    words = degrade_reference.words(KEY, 3, 0, 2, 100).astype(np.int64)
    expected = np.where(words >> 31, -1, 1) * stats.norm.isf(((words & 0x7FFFFFFF) + 0.5) / 2**32)
    assert np.abs(values[:100] - expected).max() < 1e-4


@pytest.mark.parametrize("level", [1, 20, 128, 200])
def test_poisson_values_are_poissons(level):
    stats = pytest.importorskip("scipy.stats")
    x = np.full((1, 100, 100), level, np.float32)
    degrade.add_noise(x, "poisson", 0.01, KEY, 4)
    counts = np.rint(((x.ravel().astype(float) - level) / 0.01 + level) * 256 / 255).astype(int)
    mean = 256 * level / 255
    edges = np.unique(stats.poisson.ppf(np.linspace(0.02, 0.98, 25), mean)).astype(int)
    expected = np.diff(np.r_[0, stats.poisson.cdf(edges, mean), 1]) * len(counts)
    seen = np.bincount(np.searchsorted(edges, counts), minlength=len(edges) + 1)
    assert stats.chisquare(seen, expected).pvalue > 0.01


def test_noise_is_the_same_everywhere_and_differs_by_key_slot_and_plane():
    x = planes(70, 91)
    for kind in ("gaussian", "poisson"):
        for gray in (False, True):
            first = x.copy()
            degrade.add_noise(first, kind, 3.0, KEY, 1, gray=gray)
            assert first.min() >= 0
            assert first.max() <= 255
            for isa in isas():
                for threads in (1, 2, 7):
                    again = x.copy()
                    degrade.add_noise(again, kind, 3.0, KEY, 1, gray=gray, threads=threads, isa=isa)
                    assert again.tobytes() == first.tobytes()
            for key, slot in ((KEY, 2), (KEY + np.array([1, 0, 0, 0], np.uint32), 1)):
                other = x.copy()
                degrade.add_noise(other, kind, 3.0, key, slot, gray=gray)
                assert (other != first).mean() > 0.5
    middle = np.full((3, 40, 50), 128, np.float32)
    degrade.add_noise(middle, "gaussian", 3.0, KEY, 1, gray=True)
    assert np.array_equal(middle[0], middle[2])
    middle[:] = 128
    degrade.add_noise(middle, "gaussian", 3.0, KEY, 1)
    assert abs(np.corrcoef(middle[0].ravel(), middle[2].ravel())[0, 1]) < 0.1


def test_bytes_round_half_up():
    x = np.array([-3, 0.49, 0.5, 1.5, 254.5, 300], np.float32).reshape(1, 1, 6)
    assert degrade.bytes_of(x).ravel().tolist() == [0, 0, 1, 2, 255, 255]
    image = np.random.default_rng(0).integers(0, 256, (17, 13, 3), np.uint8)
    for view in (image[:, ::-1], image[::-1], image[:1][::-1], np.broadcast_to(image[:1], image.shape)):
        assert np.array_equal(degrade.bytes_of(degrade.planes_of(view)), view)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: degrade.blur(np.zeros((3, 4, 4)), np.ones((3, 3))), "float32"),
        (lambda: degrade.blur(np.zeros((3, 0, 4), np.float32), np.ones((3, 3))), "at least one pixel"),
        (lambda: degrade.blur(planes(5, 5), np.ones((2, 2))), "kernel"),
        (lambda: degrade.resize(planes(5, 5), 0, 5, "area"), "height"),
        (lambda: degrade.resize(planes(5, 5), 3, 5, "area", step=(math.nan, 1)), "step"),
        (lambda: degrade.random_words(KEY[:3], 0, 1), "key"),
        (lambda: degrade.thick_lines(planes(5, 5), threads=0), "threads"),
        (lambda: degrade.kernel("gaussian", 4), "odd number"),
        (lambda: degrade.kernel("box", 5), "kind"),
    ],
)
def test_wrong_arguments_are_refused(call, words):
    with pytest.raises((InputError, TypeError, ValueError), match=words):
        call()
