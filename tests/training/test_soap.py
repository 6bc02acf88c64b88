"""SOAP, which takes all parameters together, against one parameter after the other, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from srfast.training.objective import SOAP

# Square ones are turned: from one gradient, the longer side's average has a null space, whose eigenvectors are
# anything, and two orders of summation give two.
SQUARE = ((4, 1, 2, 2), (6,), (5, 5, 1, 1), (1,), (3, 3))
LONG = ((6, 1, 3, 3), (1, 12), (7, 4))


def plain_step(p: Tensor, grad: Tensor, state: dict[str, Any], every: int, longest: int) -> Tensor:
    """Algorithm 3 of the paper as the class states it."""
    lr, beta1, beta2, memory, eps = 3e-3, 0.9, 0.99, 0.95, 1e-8
    g = grad.reshape(len(p), -1) if p.ndim > 1 else grad[None]
    turns = [p.ndim > 1 and 1 < n <= longest for n in g.shape]
    if not state:
        outer = [g @ g.T if turns[0] else None, g.T @ g if turns[1] else None]
        eye = [torch.eye(n, dtype=g.dtype) for n in g.shape]
        basis = [e if o is None else torch.linalg.eigh(o)[1].flip(1) for o, e in zip(outer, eye, strict=True)]
        state.update(t=0, mean=torch.zeros_like(g), square=torch.zeros_like(g), outer=outer, basis=basis)
    state["t"] += 1
    left, right = state["basis"]
    state["mean"] = beta1 * state["mean"] + (1 - beta1) * g
    state["square"] = beta2 * state["square"] + (1 - beta2) * (left.T @ g @ right) ** 2
    root = (state["square"] / (1 - beta2 ** state["t"])).sqrt() + eps
    update = (left.T @ state["mean"] @ right) / root / (1 - beta1 ** state["t"])
    out = p - lr * (left @ update @ right.T).reshape(p.shape)
    for side, product in enumerate((g @ g.T, g.T @ g)):
        if not turns[side]:
            continue
        state["outer"][side] = memory * state["outer"][side] + (1 - memory) * product
        if state["t"] % every == 0:
            outer, basis = state["outer"][side], state["basis"][side]
            order = torch.argsort((basis * (outer @ basis)).sum(0), descending=True)
            state["square"] = state["square"].index_select(side, order)
            state["basis"][side] = torch.linalg.qr(outer @ basis[:, order])[0]
    return out


@pytest.mark.parametrize(("shapes", "longest"), [(SQUARE, 1024), (SQUARE + LONG, 3)])
def test_all_parameters_together_are_each_by_itself(shapes: tuple[tuple[int, ...], ...], longest: int) -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    mine = [torch.nn.Parameter(draw(shape)) for shape in shapes]
    plain = [p.detach().clone() for p in mine]
    states: list[dict[str, Any]] = [{} for _ in mine]
    optimizer = SOAP(mine, lr=3e-3, betas=(0.9, 0.99), every=3, longest=longest)
    for step in range(10):
        for i, p in enumerate(mine):
            # One parameter has no gradient at first: its own count of steps is behind the others'.
            p.grad = None if i == 2 and step < 4 else draw(p.shape)
            if p.grad is not None:
                plain[i] = plain_step(plain[i], p.grad, states[i], 3, longest)
        optimizer.step()
    for p, expected in zip(mine, plain, strict=True):
        # 10 updates of at most 0.003 each; the bases are well conditioned products of random numbers.
        torch.testing.assert_close(p.detach(), expected, rtol=0, atol=1e-9)


def test_nothing_to_do_is_nothing_done() -> None:
    p = torch.nn.Parameter(torch.ones(2, 2))
    SOAP([p]).step()
    assert torch.equal(p.detach(), torch.ones(2, 2))


def test_a_basis_that_float32_does_not_find(monkeypatch: pytest.MonkeyPatch) -> None:
    """LAPACK's float32 gives up on some first gradients of SRCNN's last layer; which ones depends on the processor."""
    eigh = torch.linalg.eigh

    def gives_up(matrix: Tensor) -> Any:
        if matrix.dtype == torch.float32:
            raise torch.linalg.LinAlgError("linalg.eigh: The algorithm failed to converge")
        return eigh(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", gives_up)
    p = torch.nn.Parameter(torch.zeros(3, 5))
    p.grad = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    optimizer = SOAP([p], lr=0.1)
    optimizer.step()
    assert p.dtype == torch.float32
    for basis in optimizer.state[p]["basis"]:
        # Orthogonal to float32's rounding of entries of at most 1.
        torch.testing.assert_close(basis.T @ basis, torch.eye(len(basis)), atol=1e-6, rtol=0)
    assert p.abs().max() > 0
