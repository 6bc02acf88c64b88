"""The GPU scorer on CPU tensors: Triton in its interpreter, degrade and the mean squared error by their CPU ops."""

import numpy as np
import pytest
import torch

from srfast.data.grid import Grid
from srfast.ops import reference
from srfast.scoring.backends.gpu import GpuEngine, GpuScorer
from srfast.scoring.network import load_network

photographs = pytest.importorskip("skimage.data", reason="needs the demo extra")

pytestmark = pytest.mark.interpret


def patches():
    image = torch.from_numpy(photographs.chelsea()[60:84, 120:192].copy())
    return image.reshape(24, 3, 24, 3).transpose(0, 1)


def test_windows_in_images_by_triton():
    """Patches read where they lie, the columns of both networks."""
    images = [photographs.chelsea()[60:84, 120:150], photographs.coffee()[:24, :24]]
    grids = [Grid(np.array([0, 6]), np.array([0]), 24), Grid(np.array([0]), np.array([0]), 24)]
    network = load_network("srcnn", 2)
    triton, native = (
        GpuEngine(network, backend, "fp32", "cpu").submit(images, grids, False)() for backend in ("triton", "native")
    )
    for one, other in zip(triton, native, strict=True):
        np.testing.assert_allclose(one.loss, other.loss, rtol=1e-4)
        np.testing.assert_allclose(one.bicubic, other.bicubic, rtol=1e-6)
        np.testing.assert_array_equal(one.sobel, other.sobel)


# float32 as every backend; float16 rounds planes and features to 2^-11.
@pytest.mark.parametrize(("precision", "rtol"), [("fp32", 1e-4), ("fast", 1e-2)])
@pytest.mark.parametrize("scale", [2, 3])
def test_triton_against_the_reference(scale, precision, rtol):
    weights = load_network("srcnn", scale).weights
    few = patches()[:, :24, :12]
    expected = reference.score_patches(few, weights, scale, torch.float64).float()
    loss = GpuScorer(weights, scale, precision=precision, device="cpu").losses(few)
    torch.testing.assert_close(loss, expected, rtol=rtol, atol=0)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_native_against_the_reference(scale):
    weights = load_network("srcnn", scale).weights
    columns = GpuScorer(weights, scale, "native", "fp32", "cpu").columns(patches())
    expected = reference.score_patches(patches(), weights, scale, torch.float64).float()
    torch.testing.assert_close(columns.loss, expected, rtol=1e-4, atol=0)
    bicubic = reference.score_patches(patches(), None, scale, torch.float64).float()
    torch.testing.assert_close(columns.bicubic, bicubic, rtol=1e-6, atol=0)
    torch.testing.assert_close(columns.sobel, reference.sobel(patches()), rtol=1e-6, atol=0)


def test_maps_by_triton():
    weights = load_network("srcnn", 2).weights
    error = GpuScorer(weights, 2, device="cpu").maps(patches()[0])[:1]
    expected = reference.squared_error(patches()[:1], weights, 2, torch.float64)
    # An error of 1e-3 grey levels in a difference of up to 255.
    torch.testing.assert_close(error.double(), expected, rtol=1e-4, atol=0.05)


def test_no_patches():
    weights = load_network("srcnn", 2).weights
    assert GpuScorer(weights, device="cpu").losses(torch.zeros(0, 8, 8, 3, dtype=torch.uint8)).shape == (0,)


def test_the_op_passes_opcheck():
    torch.library.opcheck(torch.ops.srfast.degrade.default, (patches()[:, :8, :8], 2, torch.float16))
