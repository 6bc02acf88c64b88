"""Scores on a GPU, by every backend and precision, against the definition in float64."""

import numpy as np
import pytest
import torch

import srfast
from srfast.data.grid import Grid
from srfast.ops import reference
from srfast.scoring.backends import gpu, maps
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.backends.gpu import GpuScorer
from srfast.scoring.backends.upload import uploaded
from srfast.scoring.network import load_network

pytestmark = pytest.mark.gpu

# fp32: every backend. float16 rounds the plane and two feature maps; the ranking allows an error of 0.1 or so in a
# loss of about 40, and more where the loss is large.
TOLERANCE = {"fp32": (1e-4, 0.0), "fast": (5e-3, 0.05)}


@pytest.mark.parametrize("precision", list(TOLERANCE))
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("backend", ["native", "triton"])
def test_photographs(photographs, backend, scale, precision):
    if backend == "triton":
        pytest.importorskip("triton")
    weights = load_network("srcnn", scale).weights
    expected = reference.score_patches(photographs, weights, scale, torch.float64).float()
    columns = GpuScorer(weights, scale, backend, precision).columns(photographs.cuda())
    rtol, atol = TOLERANCE[precision]
    torch.testing.assert_close(columns.loss.cpu(), expected, rtol=rtol, atol=atol)
    bicubic = reference.score_patches(photographs, None, scale, torch.float64).float()
    torch.testing.assert_close(columns.bicubic.cpu(), bicubic, rtol=1e-5, atol=0)
    torch.testing.assert_close(columns.sobel.cpu(), reference.sobel(photographs), rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [(2, 2, 2, 3), (3, 34, 50, 3), (1, 62, 18, 1), (1, 250, 130, 3)])
@pytest.mark.parametrize("backend", ["native", "triton"])
def test_odd_sizes(generator, backend, shape):
    if backend == "triton":
        pytest.importorskip("triton")
    patches = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    weights = load_network("srcnn", 2).weights
    expected = reference.score_patches(patches, weights, 2, torch.float64).float()
    actual = GpuScorer(weights, backend=backend, device="cuda").losses(patches.cuda()).cpu()
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_triton_repeats_are_identical(photographs, precision):
    pytest.importorskip("triton")
    weights = load_network("srcnn", 2).weights
    first, second = (
        GpuScorer(weights, precision=precision, device="cuda").losses(photographs.cuda()) for _ in range(2)
    )
    assert torch.equal(first, second)


def test_fast_keeps_the_ranking(photographs):
    pytest.importorskip("triton")
    weights = load_network("srcnn", 2).weights
    exact = reference.score_patches(photographs, weights, 2, torch.float64)
    fast = GpuScorer(weights, precision="fast", device="cuda").losses(photographs.cuda()).cpu()
    ranks = torch.stack([t.argsort().argsort().double() for t in (exact, fast)])
    assert torch.corrcoef(ranks)[0, 1] >= 0.999  # of 48 patches, one swap of neighbours costs 1e-4


def test_maps(photographs):
    weights = load_network("srcnn", 2).weights
    expected = reference.squared_error(photographs[:1], weights, 2, torch.float64)[0]
    for backend in ("native", "triton"):
        error = GpuScorer(weights, backend=backend).maps(photographs[0].cuda())[0].cpu()
        torch.testing.assert_close(error.double(), expected, rtol=1e-3, atol=0.05)


@pytest.mark.parametrize("backend", ["native", "triton"])
def test_dense_in_bands(monkeypatch, generator, backend):
    image = torch.randint(0, 256, (410, 300, 3), dtype=torch.uint8, generator=generator).numpy()
    network = load_network("srcnn", 2)
    engine = gpu.GpuEngine(network, backend, "fp32")
    grid = Grid.over(410, 300, 2, 96, 18)
    whole = engine.dense(image, grid)
    monkeypatch.setattr(maps, "BAND_PIXELS", 20_000)
    banded = engine.dense(image, grid)
    expected = NativeEngine(network).dense(image, grid)
    for column in ("loss", "bicubic", "sobel"):
        np.testing.assert_allclose(getattr(banded, column), getattr(whole, column), rtol=1e-5)
        np.testing.assert_allclose(getattr(banded, column), getattr(expected, column), rtol=1e-4)


def test_uploads_overlap_and_do_not_overtake(generator):
    """Each piece is still being worked on, behind a long wait, when the next two are copied."""
    pieces = list(torch.randint(0, 256, (7, 3, 500, 500, 3), dtype=torch.uint8, generator=generator).numpy())
    device = torch.device("cuda", torch.cuda.current_device())
    sums = []
    for piece in uploaded(([p] for p in pieces), device):
        torch.cuda._sleep(20_000_000)
        sums.append(piece.sum(dtype=torch.int64))
    assert [int(s) for s in sums] == [int(p.sum(dtype=np.int64)) for p in pieces]

    def failing():
        yield from ([p] for p in pieces[:2])
        raise ValueError("third")

    with pytest.raises(ValueError, match="third"):
        list(uploaded(failing(), device))


@pytest.mark.parametrize("backend", ["auto", "native", "triton", "torch"])
def test_the_public_function(photographs, backend):
    cpu = srfast.score_patches(photographs.numpy(), device="cpu", backend="torch")
    gpu = srfast.score_patches(photographs.numpy(), device="cuda", backend=backend)
    np.testing.assert_allclose(gpu, cpu, rtol=1e-4)
    tensor = srfast.score_patches(photographs.cuda(), device="cuda", backend=backend)
    assert tensor.is_cuda
