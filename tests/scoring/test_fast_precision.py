"""``precision="fast"``: integers where the machine has AVX-512 VNNI, the full-precision engine elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from srfast.ops.native import SRCNN_SHAPES, build_info
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.network import Network, load_network

data = pytest.importorskip("skimage.data", reason="needs the demo extra")
INTEGER = build_info()["fast"]
needs_integer = pytest.mark.skipif(not INTEGER, reason="this machine has no reduced-precision path")


def patches(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [n, height, width, 3] from four photographs."""
    rng = np.random.default_rng(seed)
    images = [getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")]
    out = []
    for i in range(n):
        image = images[i % 4]
        y, x = rng.integers(0, image.shape[0] - height + 1), rng.integers(0, image.shape[1] - width + 1)
        out.append(image[y : y + height, x : x + width])
    return np.stack(out)


def close(fast: np.ndarray, full: np.ndarray, grey_levels: float = 0.1) -> None:
    """Root-mean-square errors within ``grey_levels``. Noise of 0.3 grey levels keeps a ranking at Spearman 0.9999."""
    np.testing.assert_allclose(np.sqrt(fast), np.sqrt(full), rtol=0, atol=grey_levels)


@needs_integer
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(12, 12), (48, 48), (96, 96), (24, 132), (132, 24), (192, 192)])
def test_losses_stay_close(size: tuple[int, int], scale: int) -> None:
    network = load_network("srcnn", scale)
    x = patches(32, *size)
    full, fast = NativeEngine(network).batch(x), NativeEngine(network, precision="fast").batch(x)
    assert (fast != full).any()
    close(fast, full)


@needs_integer
@pytest.mark.parametrize("boundary", ["symmetric", "replicate"])
@pytest.mark.parametrize("channels", [1, 3])
def test_both_boundaries_and_one_channel(boundary: str, channels: int) -> None:
    network = load_network("srcnn", 2)
    x = patches(16, 48, 60)[..., :channels]
    full = NativeEngine(network, boundary).batch(x)
    close(NativeEngine(network, boundary, "fast").batch(x), full)


@needs_integer
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_ranking_stays(scale: int) -> None:
    network = load_network("srcnn", scale)
    x = patches(400, 96, 96)
    full, fast = NativeEngine(network).batch(x), NativeEngine(network, precision="fast").batch(x)
    spearman = np.corrcoef(full.argsort().argsort(), fast.argsort().argsort())[0, 1]
    assert spearman >= 0.9999
    half = len(x) // 2
    assert len(np.intersect1d(np.argsort(-full)[:half], np.argsort(-fast)[:half])) >= 0.995 * half


@needs_integer
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("tap", [(0, 0), (4, 4), (8, 3)])
def test_every_border_has_its_own_filter(scale: int, tap: tuple[int, int]) -> None:
    """One conv1 tap, one channel: the reconstruction is the up-sampled plane moved, with replicated borders."""

    def network(row: int, column: int) -> Network:
        weights = {name: np.zeros(shape, np.float32) for name, shape in SRCNN_SHAPES.items()}
        weights["conv1.weight"][17, 0, row, column] = 1
        weights["conv2.weight"][5, 17] = 1
        weights["conv3.weight"][0, 5, 1, 3] = 1
        return Network("srcnn", "tap", "", scale, weights)

    x = patches(8, 24, 36)
    fast = NativeEngine(network(*tap), precision="fast").batch(x)
    # The filter is the cubic's few taps, each off by half of 1/126 of the largest: 0.4 % of 255 at most.
    close(fast, NativeEngine(network(*tap)).batch(x), 0.5)
    neighbour = NativeEngine(network(tap[0], (tap[1] + 1) % 9)).batch(x)
    assert np.abs(np.sqrt(fast) - np.sqrt(neighbour)).max() > 1


def test_it_falls_back_to_full_precision() -> None:
    network = load_network("srcnn", 2)
    tiny = patches(8, 6, 6)
    expected = NativeEngine(network).batch(tiny)
    np.testing.assert_array_equal(NativeEngine(network, precision="fast").batch(tiny), expected)
    x = patches(8, 48, 48)
    baseline = NativeEngine(network, isa="baseline").batch(x)
    np.testing.assert_array_equal(NativeEngine(network, precision="fast", isa="baseline").batch(x), baseline)


def test_the_network_free_columns_do_not_change() -> None:
    network = load_network("srcnn", 2)
    image = data.chelsea()
    xs, ys = np.array([0, 50, 100], np.int32), np.array([0, 40], np.int32)
    for method in ("windows", "dense"):
        full = getattr(NativeEngine(network), method)(image, xs, ys, 48)
        fast = getattr(NativeEngine(network, precision="fast"), method)(image, xs, ys, 48)
        np.testing.assert_array_equal(fast.bicubic, full.bicubic)
        np.testing.assert_array_equal(fast.sobel, full.sobel)
        close(fast.loss, full.loss)


def test_threads_do_not_change_the_scores() -> None:
    engine = NativeEngine(load_network("srcnn", 2), precision="fast")
    x = patches(16, 48, 48)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = engine.batch(x)
        torch.set_num_threads(2)
        two = engine.batch(x)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(one, two)
