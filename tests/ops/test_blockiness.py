"""Block artefacts: against a plain loop, and photographs of known JPEG quality."""

import io
from itertools import pairwise

import numpy as np
import pytest
import skimage.data
from PIL import Image

from srfast.ops.blockiness import blockiness

QUALITIES = (95, 75, 50, 30, 10)


def plain_loop(image: np.ndarray, x: int, y: int, size: int) -> float:
    """One window, pair by pair."""
    if image.shape[2] == 3:
        r, g, b = (image[..., c].astype(np.float64) for c in range(3))
        luma = np.floor(16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255 + 0.5)
    else:
        luma = image[..., 0].astype(np.float64)
    means = {}
    for direction, (dy, dx) in {"across": (0, 1), "down": (1, 0)}.items():
        steps: dict[bool, list[float]] = {True: [], False: []}
        for v in range(y, y + size - dy):
            for u in range(x, x + size - dx):
                on_grid = (u + 1 if dx else v + 1) % 8 == 0
                steps[on_grid].append(abs(luma[v + dy, u + dx] - luma[v, u]))
        means[direction] = {on: sum(d) / len(d) for on, d in steps.items()}
    b, a = ((means["across"][on] + means["down"][on]) / 2 for on in (True, False))
    return 100 * max(b - a, 0) / (b + a + 1)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """The image after a JPEG file of this quality."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def blocky(h: int, w: int, channels: int, seed: int = 0) -> np.ndarray:
    """Noise with blocks, so that scores are neither 0 nor alike."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 180, (-(-h // 8), -(-w // 8), channels)).repeat(8, 0).repeat(8, 1)[:h, :w]
    return (blocks + rng.integers(0, 60, (h, w, channels))).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("h", "w", "size"), [(9, 9, 9), (23, 31, 10), (41, 37, 16), (37, 64, 17), (50, 45, 24)])
def test_against_a_plain_loop(channels, h, w, size):
    image = blocky(h, w, channels)
    xs = np.array(sorted({*range(0, w - size + 1, 3), w - size}), np.int64)
    ys = np.array(sorted({*range(0, h - size + 1, 5), h - size}), np.int64)
    got = blockiness(image, xs, ys, size)
    assert got.dtype == np.float32
    want = np.array([plain_loop(image, x, y, size) for y in ys for x in xs])
    assert (want > 0).any()
    # Sums of integers: what is left is the rounding to float32.
    assert np.allclose(got, want, rtol=1e-6, atol=0)


@pytest.mark.parametrize("stride", [1, 8, 50])
def test_any_threads_give_the_same_bits(stride):
    image = blocky(211, 133, 3)
    xs, ys = np.arange(0, 133 - 40 + 1, stride), np.arange(0, 211 - 40 + 1, stride)
    want = blockiness(image, xs, ys, 40)
    for threads in (2, 7):
        assert np.array_equal(blockiness(image, xs, ys, 40, threads), want)


def test_extremes():
    start = np.zeros(1, np.int64)
    flat = np.full((32, 32, 1), 77, np.uint8)
    assert blockiness(flat, start, start, 32)[0] == 0
    blocks = (np.indices((32, 32)) // 8).sum(0) % 2 * 255
    grid = blocks.astype(np.uint8)[..., None]
    assert blockiness(grid, start, start, 32)[0] == np.float32(100 * 255 / 256)
    # The same blocks, a pixel further: not on the grid of the image.
    moved = np.ascontiguousarray(np.roll(grid, 1, (0, 1)))
    assert blockiness(moved, start, start, 32)[0] == 0
    # A window that begins inside a block sees the image's grid, not one of its own.
    assert blockiness(grid, np.array([3]), np.array([5]), 20)[0] == np.float32(100 * 255 / 256)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_photographs_by_quality(name):
    photo = Image.fromarray(getattr(skimage.data, name)()[..., :3])
    # Halved, so that no trace of an earlier compression stands on the grid.
    photo = np.array(photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.BICUBIC))
    starts = [np.arange(0, side - 48 + 1, 48) for side in photo.shape[:2]]
    before = blockiness(photo, starts[1], starts[0], 48).mean()
    means = [blockiness(jpeg(photo, q), starts[1], starts[0], 48).mean() for q in QUALITIES]
    assert before < 5
    assert all(low < high for low, high in pairwise(means)), means
    assert means[0] < 8
    assert means[-1] > 30
