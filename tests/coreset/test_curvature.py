"""The sketch of the Gauss-Newton matrix and the damped direction against explicit matrices of a tiny network."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from srfast.coreset import curvature  # noqa: E402
from srfast.errors import RunError  # noqa: E402

SIDE = 2


@pytest.fixture
def tiny() -> dict[str, Tensor]:
    """3 and 2 channels, kernels 3, 1, 3, of which some units are at rest."""
    draw = torch.Generator().manual_seed(3)
    shapes = {
        "conv1.weight": (3, 1, 3, 3), "conv1.bias": (3,), "conv2.weight": (2, 3, 1, 1), "conv2.bias": (2,),
        "conv3.weight": (1, 2, 3, 3), "conv3.bias": (1,),
    }  # fmt: skip
    return {k: torch.randn(*s, generator=draw) for k, s in shapes.items()}


def jacobian(up: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """Of the pixels [p] by the weights [W] of one crop with its context, float64."""

    def output(vector: Tensor) -> Tensor:
        w = curvature.unflattened(vector, weights)
        x = F.conv2d(up.double()[None, None], w["conv1.weight"], w["conv1.bias"]).relu()
        x = F.conv2d(x, w["conv2.weight"], w["conv2.bias"]).relu()
        return F.conv2d(x, w["conv3.weight"], w["conv3.bias"]).reshape(-1)

    return torch.autograd.functional.jacobian(output, curvature.flattened(weights).double())


def test_mean_over_all_signs_is_the_gauss_newton_matrix(tiny: dict[str, Tensor]) -> None:
    reach = curvature.context(tiny)
    assert reach == 2
    up = torch.rand(SIDE + 2 * reach, SIDE + 2 * reach, generator=torch.Generator().manual_seed(1))
    every = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=SIDE * SIDE))).reshape(-1, SIDE, SIDE)
    rows = curvature.probe_rows(up.expand(len(every), -1, -1), every, tiny).double()
    j = jacobian(up, tiny)
    expected = 2 * 255**2 / SIDE**2 * j.T @ j
    # float32 sums of at most 81 products: 1e-5 of the largest entry.
    assert (rows.T @ rows / len(every) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_more_crops_than_a_piece_are_the_same_rows(tiny: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(2)
    up, signs = torch.rand(7, 9, 8, generator=draw), torch.randint(0, 2, (7, 5, 4), generator=draw) * 2.0 - 1
    whole = curvature.probe_rows(up, signs, tiny)
    monkeypatch.setattr(curvature, "_PIECE", 3)
    # Batches of another size sum in another order: 1e-6 of the largest entry.
    assert (curvature.probe_rows(up, signs, tiny) - whole).abs().max() < 1e-6 * whole.abs().max()
    for i in range(7):
        expected = 255 * (2 / 20) ** 0.5 * jacobian(up[i], tiny).T @ signs[i].reshape(-1).double()
        np.testing.assert_allclose(whole[i], expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("given", [None, 0.1])
def test_direction_solves_the_explicit_system(given: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curvature, "_BLOCK", 4)
    draw = torch.Generator().manual_seed(4)
    spread = torch.logspace(0, -3, 12)
    rows, unseen = (torch.randn(n, 12, generator=draw) * spread for n in (9, 5))
    gradient = torch.randn(12, generator=draw)

    def solved(of: Tensor, relative: float) -> Tensor:
        matrix = of.double().T @ of.double() / len(of)
        return torch.linalg.solve(matrix + relative * matrix.diagonal().mean() * torch.eye(12), gradient.double())

    def error(v: Tensor) -> float:
        return float(0.5 * (unseen.double() @ v).square().mean() - gradient.double() @ v)

    best = min(curvature.DAMPINGS, key=lambda d: error(solved(rows, d)))
    step = curvature.direction(torch.cat([rows, unseen]), len(unseen), gradient, given)
    assert step.relative == (best if given is None else given)
    expected = solved(torch.cat([rows, unseen]), step.relative)
    np.testing.assert_allclose(step.vector, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    mean = torch.cat([rows, unseen]).double().square().mean()
    assert step.damping == pytest.approx(step.relative * float(mean), rel=1e-9)


def test_nothing_to_learn_is_said() -> None:
    with pytest.raises(RunError, match="does not depend on its weights"):
        curvature.direction(torch.zeros(4, 4), 1, torch.ones(4), 0.1)
