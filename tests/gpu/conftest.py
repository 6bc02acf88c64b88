"""For a machine with an NVIDIA GPU: `make gpu-check`."""

import importlib.util

import numpy as np
import pytest
import torch
from skimage import data

if torch.cuda.is_available() and importlib.util.find_spec("triton"):
    importlib.import_module("srfast.kernels.srcnn")  # so that its buffers are poisoned from the first test on

SEED = int(np.random.default_rng().integers(2**31))  # fresh inputs every run


def pytest_report_header() -> str:
    return f"gpu inputs: seed {SEED}"


@pytest.fixture(autouse=True)
def gpu() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
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
