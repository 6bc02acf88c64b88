"""The engine of ``--device cuda`` on the CPU, where its kernels fall back to torch: same windows, same columns."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from srfast.data.grid import Grid
from srfast.scoring.backends import choice, gpu, maps
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.backends.gpu import GpuEngine, GpuScorer
from srfast.scoring.network import load_network

COLUMNS = ("loss", "bicubic", "sobel")


def engine_of(scale: int = 2, scorer: str = "srcnn") -> GpuEngine:
    return GpuEngine(load_network(scorer, scale), "native", "fp32", "cpu")


# 2e-5: float32 sums in another order, on patches whose loss is far above 0.1.
@pytest.mark.parametrize("method", ["windows", "dense"])
@pytest.mark.parametrize("scorer", ["srcnn", "bicubic"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_columns_of_the_native_engine(scale, scorer, method, photographs):
    image = photographs["chelsea"][:149, :203]
    grid = Grid.over(*image.shape[:2], scale, 48, 36)
    expected = getattr(NativeEngine(load_network(scorer, scale)), method)(image, grid)
    actual = getattr(engine_of(scale, scorer), method)(image, grid)
    assert len(actual.loss) == len(grid)
    for column in COLUMNS:
        np.testing.assert_allclose(getattr(actual, column), getattr(expected, column), rtol=2e-5, err_msg=column)


def test_batches_keep_their_type_and_device(real_patches):
    patches, engine = real_patches(2, 96), engine_of()
    expected = NativeEngine(load_network("srcnn", 2)).batch(patches)
    np.testing.assert_allclose(engine.batch(patches), expected, rtol=2e-5)
    tensor = engine.batch_tensor(torch.from_numpy(patches))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=2e-5)
    assert engine.batch_tensor(torch.zeros(0, 96, 96, 3, dtype=torch.uint8)).shape == (0,)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bands_with_a_halo_are_the_whole_image(monkeypatch, scale, photographs):
    image = photographs["chelsea"][: 249 // scale * scale, : 100 // scale * scale]
    engine = engine_of(scale)
    grid = Grid.over(*image.shape[:2], scale, 48, 12)
    whole = engine.dense(image, grid)
    plain = engine._scorer.maps(torch.from_numpy(image))
    monkeypatch.setattr(maps, "BAND_PIXELS", 3000)
    cut = list(maps.bands(*image.shape[:2], scale))
    assert len(cut) > 5
    pieces = [engine._scorer.maps(torch.from_numpy(image[b.first : b.last]))[:, b.own] for b in cut]
    banded = torch.cat(pieces, 1)
    assert torch.equal(banded[1:], plain[1:])  # bicubic and Sobel: the same 8-bit planes, the same sums
    # Convolutions of another height may add in another order.
    torch.testing.assert_close(banded[0], plain[0], rtol=1e-3, atol=2e-3)
    in_bands = engine.dense(image, grid)
    for column in COLUMNS:
        np.testing.assert_allclose(getattr(in_bands, column), getattr(whole, column), rtol=1e-6, err_msg=column)


def test_large_patches_are_scored_in_bands(monkeypatch, real_patches):
    patches = torch.from_numpy(real_patches(2, 120, 80))
    weights = load_network("srcnn", 2).weights
    scorer = GpuScorer(weights, backend="native", device="cpu")
    whole, losses = scorer.columns(patches), scorer.losses(patches)
    monkeypatch.setattr(maps, "BAND_PIXELS", 2000)
    monkeypatch.setattr(gpu._TorchNetwork, "pixels", 1)
    columns = scorer.columns(patches)
    for column in COLUMNS:
        torch.testing.assert_close(getattr(columns, column), getattr(whole, column), rtol=1e-5, atol=0)
    torch.testing.assert_close(scorer.losses(patches), losses, rtol=1e-5, atol=0)


@pytest.mark.parametrize("most", [1, 9000, 1 << 22])
@pytest.mark.parametrize("dense", [False, True])
def test_images_that_share_an_upload_score_as_alone(dense, most, monkeypatch, photographs):
    """Different sizes, gray among colours, one image that is cut into rows of windows."""
    sizes = {"chelsea": (97, 120, 3), "coffee": (60, 200, 3), "rocket": (80, 61, 1), "astronaut": (150, 90, 3)}
    images = [photographs[name][:h, :w, :c] for name, (h, w, c) in sizes.items()]
    grids = [Grid.over(*image.shape[:2], 2, 48, 18) for image in images]
    engine = engine_of()
    scores = engine.dense if dense else engine.windows
    alone = [scores(image, grid) for image, grid in zip(images, grids, strict=True)]
    monkeypatch.setattr(gpu, "UPLOAD_PIXELS", most)
    together = engine.submit(images, grids, dense)()
    on_device = engine.submit([torch.from_numpy(image.copy()) for image in images], grids, dense)()
    for own, one, other, grid in zip(alone, together, on_device, grids, strict=True):
        np.testing.assert_array_equal(one.loss, other.loss)
        assert len(one.loss) == len(grid)
        for column in COLUMNS:
            np.testing.assert_allclose(getattr(one, column), getattr(own, column), rtol=1e-6, err_msg=column)


def test_sums_over_bands_are_means_of_windows():
    """Of maps, and of cells that a kernel summed."""
    plain, grid = torch.rand(2, 60, 50, dtype=torch.float64), Grid(np.array([0, 3, 20]), np.array([0, 7, 8, 30]), 20)
    sums, cells = (maps.WindowSums(grid, torch.device("cpu"), 2) for _ in range(2))
    for band in maps.bands(60, 50, 2, 50 * 14):
        part = plain[:, band.begin : band.end]
        sums.add(part, band)
        cells.add_cells(torch.stack([part[..., a:b].sum(-1) for a, b in pairwise(cells.edges.tolist())], -1), band)
    expected = [plain[:, y : y + 20, x : x + 20].mean((1, 2)) for y in grid.ys for x in grid.xs]
    for found in (sums, cells):
        torch.testing.assert_close(found.means(), torch.stack(expected, 1).float(), rtol=1e-6, atol=0)


def test_the_weights_are_on_the_gpu_once(monkeypatch):
    """Another GPU has weights of its own."""
    made, gpu = [], [0]
    monkeypatch.setattr(torch.cuda, "current_device", lambda: gpu[0])
    monkeypatch.setattr("srfast.scoring.backends.gpu.GpuEngine", lambda *words: made.append(words[-1]) or object())
    choice._GPU_ENGINES.clear()
    two, three = load_network("srcnn", 2), load_network("srcnn", 3)
    first = choice._gpu_engine(two, "triton", "fp32")
    assert choice._gpu_engine(load_network("srcnn", 2), "triton", "fp32") is first
    for network, precision in ((three, "fp32"), (two, "fast")):
        assert choice._gpu_engine(network, "triton", precision) is not first
    gpu[0] = 1
    assert choice._gpu_engine(two, "triton", "fp32") is not first
    assert made == [torch.device("cuda", i) for i in (0, 0, 0, 1)]
    choice._GPU_ENGINES.clear()
