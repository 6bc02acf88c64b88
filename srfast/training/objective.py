"""The losses and optimisers that a recipe names, and SOAP."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from srfast.errors import InputError, RunError
from srfast.training.recipes import Recipe, fits

FAR = 100
"""Times the loss of a black image in place of a white one that a model may have where it is saved."""


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "mse": F.mse_loss,
    # Caffe's: half of the squared error, summed over each crop, and the mean over the crops.
    "euclidean": lambda sr, hr: (sr - hr).square().sum() / (2 * len(sr)),
}


def check_diverged(name: str, loss: float, side: int, step: int, saved: bool, last: str = "") -> None:
    """Refuses a mean loss, over the updates since the last row of the log, that is not finite, and before a model is
    ``saved`` one that no image could have. Raises RunError if it is not finite, or ``FAR`` times that of a black image
    in place of a white one; ``last`` are its words about the last good state."""
    black, white = (torch.full((1, 3, side, side), value) for value in (0.0, 1.0))
    worst = float(LOSSES[name](black, white))
    if not math.isfinite(loss) or (saved and loss > FAR * worst):
        beside = f", and {worst:.3g} for black in place of white" if math.isfinite(loss) else ""
        raise RunError(
            f"the loss is {loss:.3g} at step {step}{beside}", hint=f"lower the learning rate or train in fp32{last}"
        )


def optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser of a model, with one parameter group for each learning-rate factor. Raises InputError if a
    key of ``lr_factors`` names no parameter of the model."""
    named = dict(model.named_parameters())
    for key in recipe.lr_factors:
        if not any(fits(name, key) for name in named):
            raise InputError(
                f"lr_factors: expected the start of a parameter's name, such as {[*named][-1]}, got {key!r}"
            )
    by_factor: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named.items():
        if parameter.requires_grad:
            by_factor.setdefault(recipe.factor(name), []).append(parameter)
    groups: list[dict[str, Any]] = [{"params": p, "factor": f} for f, p in by_factor.items()]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)
    return SOAP(groups, lr=recipe.lr, betas=recipe.betas)


def _matrix(grad: Tensor) -> Tensor:
    """A weight as [out, in]; a vector is one row."""
    return grad.reshape(len(grad), -1) if grad.ndim > 1 else grad[None]


class SOAP(Optimizer):
    """Adam in a slowly turning basis (Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024,
    algorithm 3).

    A weight of shape [out, in, k, k] is a matrix G of [out, in k k]; its gradients' G G^T and G^T G are averaged, and
    Adam's second moment is kept in their eigenbases. For a network on raw pixels this matters: neighbouring pixels are
    correlated, so that the curvature along the first layer's directions spans several orders of magnitude, which Adam,
    being diagonal, does not see. Vectors (biases) and sides longer than ``longest`` keep their own basis.

    SOAP divides by small numbers, and so amplifies rounding: runs with one and with two threads, or on two processors,
    diverge by up to 8 % in the loss. Compare runs made with the same number of threads.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate.
        betas: Decays of the first and the second moment.
        memory: Decay of the averages of G G^T and G^T G.
        every: Number of steps between turns of the basis (one power iteration and a QR decomposition).
        eps: Number added to the root of the second moment.
        longest: Longest side whose basis is turned.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        memory: float = 0.95,
        every: int = 25,
        eps: float = 1e-8,
        longest: int = 1024,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "memory": memory, "every": every, "eps": eps, "longest": longest}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = closure() if closure else None
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Updates all parameters together, one operation after another: most are so small that calls cost more than
        sums."""
        grads = [_matrix(p.grad) for p in params if p.grad is not None]
        states = [self._state_of(p, grad, group) for p, grad in zip(params, grads, strict=True)]
        beta1, beta2 = group["betas"]
        for state in states:
            state["step"] += 1
        means, squares = [s["mean"] for s in states], [s["square"] for s in states]
        turned = [self._turn(s, grad) for s, grad in zip(states, grads, strict=True)]
        torch._foreach_lerp_(means, grads, 1 - beta1)
        torch._foreach_lerp_(squares, torch._foreach_mul(turned, turned), 1 - beta2)
        roots = torch._foreach_div(squares, [1 - beta2 ** s["step"] for s in states])
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, group["eps"])
        updates = torch._foreach_div([self._turn(s, mean) for s, mean in zip(states, means, strict=True)], roots)
        torch._foreach_div_(updates, [1 - beta1 ** s["step"] for s in states])
        back = [self._turn(s, u, back=True).view_as(p) for s, u, p in zip(states, updates, params, strict=True)]
        torch._foreach_sub_(params, back, alpha=group["lr"])
        for state, grad in zip(states, grads, strict=True):
            self._gather(state, grad, group["memory"])
            if state["step"] % group["every"] == 0:
                self._follow(state)

    def _state_of(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = self.state[p]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(grad)
            state["square"] = torch.zeros_like(grad)
            sides = [n if p.ndim > 1 and 1 < n <= group["longest"] else 0 for n in grad.shape]
            state["outer"] = [grad.new_zeros(n, n) for n in sides]
            self._gather(state, grad, 0.0)
            state["basis"] = [_basis(g) if len(g) else g for g in state["outer"]]
        return state

    @staticmethod
    def _gather(state: dict[str, Any], grad: Tensor, memory: float) -> None:
        for outer, g in zip(state["outer"], (grad, grad.T), strict=True):
            if len(outer):
                outer.addmm_(g, g.T, beta=memory, alpha=1 - memory)

    @staticmethod
    def _turn(state: dict[str, Any], x: Tensor, back: bool = False) -> Tensor:
        left, right = (basis.T if back else basis for basis in state["basis"])
        x = left.T @ x if len(left) else x
        return x @ right if len(right) else x

    @staticmethod
    def _follow(state: dict[str, Any]) -> None:
        """One step of orthogonal iteration; the second moment follows the order of the eigenvalues."""
        for side, (outer, basis) in enumerate(zip(state["outer"], state["basis"], strict=True)):
            if not len(outer):
                continue
            product = outer @ basis
            order = torch.argsort((basis * product).sum(0), descending=True)
            state["square"] = state["square"].index_select(side, order)
            state["basis"][side] = torch.linalg.qr(product[:, order])[0]


def _basis(outer: Tensor) -> Tensor:
    """Eigenvectors [n, n], those of the largest eigenvalues first."""
    try:
        return torch.linalg.eigh(outer)[1].flip(1)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        # LAPACK's float32 does not converge on some matrices of rank one, as that of a first gradient is.
        return torch.linalg.eigh(outer.double())[1].flip(1).to(outer.dtype)
