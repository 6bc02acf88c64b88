"""For a machine with an NVIDIA GPU: `make gpu-check`. Buffers that the package allocates on the GPU start poisoned."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data

SEED = int(np.random.default_rng().integers(2**31))  # fresh inputs every run


def pytest_report_header() -> str:
    return f"gpu inputs: seed {SEED}"


class PoisonedTorch:
    """torch, but ``empty`` is full of NaN (floats) or 0xA5 bytes (integers)."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def empty(shape: Any, **options: Any) -> torch.Tensor:
        return torch.full(
            shape if isinstance(shape, tuple) else (shape,),
            torch.nan if options["dtype"].is_floating_point else 0xA5,
            **options,
        )


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    for module in ("srfast.ops.cuda", "srfast.scoring.backends.gpu", "srfast.kernels.srcnn"):
        if module != "srfast.kernels.srcnn" or importlib.util.find_spec("triton"):
            monkeypatch.setattr(importlib.import_module(module), "torch", PoisonedTorch())
    return torch.device("cuda", torch.cuda.current_device())


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


@pytest.fixture(scope="session")
def photographs() -> torch.Tensor:
    """uint8 [48, 96, 96, 3] from photographs that scikit-image ships."""
    rng = np.random.default_rng(SEED)
    cut = []
    for image in (data.astronaut(), data.coffee(), data.chelsea()):
        for _ in range(16):
            y, x = (rng.integers(0, side - 95) for side in image.shape[:2])
            cut.append(image[y : y + 96, x : x + 96])
    return torch.from_numpy(np.stack(cut))
