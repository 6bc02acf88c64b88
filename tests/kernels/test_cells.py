"""The sums of dense mode by Triton's interpreter, against the definition in float64."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from srfast.kernels import probe
from srfast.kernels.cells import launch_cells

from srfast.data.grid import Grid
from srfast.ops import reference
from srfast.scoring.backends import maps
from srfast.scoring.backends.gpu import GpuEngine
from srfast.scoring.network import load_network

pytestmark = pytest.mark.interpret


@pytest.mark.parametrize(
    ("shape", "edges", "own"),
    [
        ((5, 9), [0, 9], slice(0, 5)),
        ((6, 40), [0, 1, 2, 3, 17, 40], slice(2, 5)),
        ((3, 300), [7, 135, 263, 299], slice(0, 3)),
        ((2, 64), list(range(65)), slice(1, 2)),
        ((1, 3), [0, 2, 3], slice(0, 1)),
        ((4, 1), [0, 1], slice(0, 4)),
        ((4, 8), [0, 8], slice(2, 2)),
    ],
)
def test_sums_over_cells(shape, edges, own):
    draw = np.random.default_rng(0)
    y = draw.integers(0, 256, shape).astype(np.uint8)
    sr, up = (draw.normal(128, 60, shape).astype(np.float32) for _ in range(2))
    error, plain = ((plane.astype(np.float64) - y) ** 2 for plane in (sr, up))
    planes = np.stack([error, plain, sobel(y.astype(np.float64))])[:, own]
    expected = np.stack([planes[..., a:b].sum(-1) for a, b in pairwise(edges)], -1)
    found = launch_cells(
        *map(torch.from_numpy, (y, sr, up)), torch.tensor(edges, dtype=torch.int32), int(np.diff(edges).max()), own
    )
    assert found.shape == expected.shape
    # Sums of up to 128 float32, in a tree.
    np.testing.assert_allclose(found[:2].numpy(), expected[:2], rtol=1e-6)
    np.testing.assert_array_equal(found[2].numpy(), expected[2])


def sobel(y):
    """Half of |Gx| + |Gy|, where rows and columns outside are those next to the edge pixel."""
    h, w = y.shape
    at = [np.maximum(n - 1 - np.abs(n - 1 - np.abs(np.arange(-1, n + 1))), 0) for n in (h, w)]
    p = y[at[0]][:, at[1]]
    smooth_y, smooth_x = p[:-2] + 2 * p[1:-1] + p[2:], p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
    return (np.abs(smooth_y[:, 2:] - smooth_y[:, :-2]) + np.abs(smooth_x[2:] - smooth_x[:-2])) / 2


@pytest.mark.parametrize(("kind", "xs"), [("srcnn", [0, 4, 10]), ("bicubic", [6])])
def test_dense_mode_by_triton(kind, xs, monkeypatch):
    """In several bands, against the definition in float64; no map is made."""
    monkeypatch.setattr(maps, "BAND_PIXELS", 22 * 24)
    monkeypatch.setattr("srfast.scoring.backends.gpu.GpuScorer.maps", None)
    network = load_network(kind, 2)
    image = np.random.default_rng(1).integers(0, 256, (44, 22, 3)).astype(np.uint8)
    image[:, 11:] = image[:, 11:] // 4
    grid = Grid(np.array(xs), np.array([0, 6, 21, 32]), 12)
    scores = GpuEngine(network, "triton", "fp32", "cpu").dense(image, grid)
    whole = torch.from_numpy(image)[None]
    wanted = {
        "loss": reference.squared_error(whole, network.weights, 2, torch.float64)[0],
        "bicubic": reference.squared_error(whole, None, 2, torch.float64)[0],
        "sobel": reference.sobel_map(whole)[0].double(),
    }
    for name, plane in wanted.items():
        windows = [plane[y : y + 12, x : x + 12].mean().item() for y in grid.ys for x in grid.xs]
        np.testing.assert_allclose(getattr(scores, name), windows, rtol=1e-4)


# The kernel that says whether Triton works here.


pytestmark = pytest.mark.interpret


def test_it_runs():
    assert probe.failure("cpu") is None


def test_what_fails_is_told_in_one_line(monkeypatch):
    class Broken:
        def __getitem__(self, grid):
            raise RuntimeError("Failed to find C compiler.\nPlease specify it")

    monkeypatch.setattr(probe, "probe_kernel", Broken())
    assert probe.failure("cpu") == "RuntimeError: Failed to find C compiler."
    monkeypatch.setattr(probe, "probe_kernel", {(1,): lambda out: None})
    assert probe.failure(torch.device("cpu")) == "a kernel ran and wrote nothing"
