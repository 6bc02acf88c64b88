"""Degradations: Real-ESRGAN's beside plain PyTorch, on one thread each, and each operation beside NumPy or OpenCV."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
import torch

from bench.torch_degradation import Degradation as Plain
from srfast.degradation.plan import Degradation, Draws
from srfast.ops import degrade

SIDE = 400
"""Real-ESRGAN degrades crops of 400 x 400."""


@pytest.fixture
def images() -> np.ndarray:
    """uint8 [4, 400, 400, 3]."""
    data = pytest.importorskip("skimage.data", reason="needs the demo extra")
    names = {"astronaut": (50, 50), "coffee": (0, 100), "rocket": (0, 100), "retina": (400, 400)}
    return np.stack([getattr(data, n)()[y : y + SIDE, x : x + SIDE] for n, (y, x) in names.items()])


@pytest.fixture
def one_thread() -> None:
    torch.set_num_threads(1)


def test_realesrgan(beside: Any, images: np.ndarray, one_thread: None) -> None:
    draws, plain, numbers = Draws(Degradation.read("realesrgan")), Plain(4), count()
    planes = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255

    def ours() -> None:
        for image in images:
            draws.lr(image, 4, draw=next(numbers), pixels="0" * 64)

    def check() -> None:
        """The same in distribution: means and spreads of many LR images, within 5 standard errors."""
        made = np.stack([draws.lr(images[k % 4], 4, draw=k, pixels="0" * 64)[0] for k in range(120)]) / 255
        theirs = np.concatenate([plain(planes).permute(0, 2, 3, 1).numpy() for _ in range(30)])
        for measure in (lambda x: x.mean((1, 2, 3)), lambda x: np.diff(x, axis=2).std((1, 2, 3))):
            a, b = measure(made), measure(theirs)
            # Draws of a batch of four belong together there.
            error = np.hypot(a.std() / len(a) ** 0.5, b.std() / (len(b) / 4) ** 0.5)
            assert abs(a.mean() - b.mean()) < 5 * error

    beside(ours, {"torch": lambda: plain(planes)}, check, megapixels=images[..., 0].size / 1e6)


@pytest.mark.parametrize("taps", [7, 13, 21])
def test_blur(beside: Any, images: np.ndarray, taps: int) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(1)
    kernel = degrade.kernel("gaussian", taps, 2, 1, 0.5)
    planes, float_ = degrade.planes_of(images[0]), images[0].astype(np.float32)

    def check() -> None:
        theirs = cv2.filter2D(float_, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        assert np.abs(degrade.blur(planes, kernel).transpose(1, 2, 0) - theirs).max() < 1e-2

    references = {"opencv": lambda: cv2.filter2D(float_, -1, kernel, borderType=cv2.BORDER_REFLECT_101)}
    beside(lambda: degrade.blur(planes, kernel), references, check, megapixels=planes[0].size / 1e6)


@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
def test_noise(beside: Any, images: np.ndarray, kind: str) -> None:
    planes, key, rng = degrade.planes_of(images[0]), np.arange(4, dtype=np.uint32), np.random.default_rng(0)
    plain = {
        "gaussian": lambda: planes + rng.standard_normal(planes.shape, np.float32),
        "poisson": lambda: rng.poisson(planes * (256 / 255)),
    }[kind]
    beside(lambda: degrade.add_noise(planes, kind, 0.01, key, 0), {"numpy": plain}, lambda: None,
           megapixels=planes[0].size / 1e6)  # fmt: skip
