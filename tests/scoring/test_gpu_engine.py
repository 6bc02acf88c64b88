"""The engine of ``--device cuda`` on the CPU, where its kernels fall back to torch: same windows, same columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from srfast.data.grid import grid
from srfast.scoring.backends.gpu import GpuEngine
from srfast.scoring.backends.native import NativeEngine
from srfast.scoring.network import load_network

data = pytest.importorskip("skimage.data", reason="needs the demo extra")


# 2e-5: float32 sums in another order, on patches whose loss is far above 0.1.
@pytest.mark.parametrize("method", ["windows", "dense"])
@pytest.mark.parametrize("scorer", ["srcnn", "bicubic"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_columns_of_the_native_engine(scale: int, scorer: str, method: str) -> None:
    image = data.chelsea()[:149, :203]
    network = load_network(scorer, scale)
    xs, ys = grid(*image.shape[:2], scale, 48, 36)
    expected = getattr(NativeEngine(network), method)(image, xs, ys, 48)
    actual = getattr(GpuEngine(network, "symmetric", "native", "fp32", "cpu"), method)(image, xs, ys, 48)
    assert len(actual.loss) == len(xs) * len(ys)
    for column in ("loss", "bicubic", "sobel"):
        np.testing.assert_allclose(getattr(actual, column), getattr(expected, column), rtol=2e-5, err_msg=column)


def test_batches_keep_their_type_and_device() -> None:
    patches = np.ascontiguousarray(data.chelsea()[:96, :192].reshape(96, 2, 96, 3).swapaxes(0, 1))
    network = load_network("srcnn", 2)
    engine = GpuEngine(network, "symmetric", "native", "fp32", "cpu")
    expected = NativeEngine(network).batch(patches)
    np.testing.assert_allclose(engine.batch(patches), expected, rtol=2e-5)
    tensor = engine.batch_tensor(torch.from_numpy(patches))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=2e-5)
    assert engine.batch_tensor(torch.zeros(0, 96, 96, 3, dtype=torch.uint8)).shape == (0,)
