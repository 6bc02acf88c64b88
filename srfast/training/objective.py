"""The losses and optimisers that a recipe names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srfast.errors import InputError, RunError
from srfast.training.recipes import Recipe, fits
from srfast.training.soap import SOAP

FAR = 100
"""Times the loss of a black image in place of a white one that a model may have where it is saved."""


def _euclidean(sr: Tensor, hr: Tensor) -> Tensor:
    """Caffe's loss: half of the squared error, summed over each crop, and the mean over the crops."""
    return (sr - hr).square().sum() / (2 * len(sr))


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": F.l1_loss, "mse": F.mse_loss, "euclidean": _euclidean}


def check_diverged(name: str, loss: float, side: int, step: int, saved: bool, last: str = "") -> None:
    """Refuses a loss that is not finite, and before a model is saved one that no image could have.

    Args:
        name: The name of the loss.
        loss: Its mean over the updates since the last row of the log.
        side: Side of the crops that it compares.
        step: The number of updates.
        saved: Whether the model is about to be saved.
        last: What the message says of the last good state.

    Raises:
        RunError: the loss is not finite, or ``FAR`` times that of a black image in place of a white one.
    """
    black, white = (torch.full((1, 3, side, side), value) for value in (0.0, 1.0))
    worst = float(LOSSES[name](black, white))
    if not math.isfinite(loss) or (saved and loss > FAR * worst):
        beside = f", and {worst:.3g} for black in place of white" if math.isfinite(loss) else ""
        raise RunError(f"the loss is {loss:.3g} at step {step}{beside}; lower the learning rate or train in fp32{last}")


def optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser of a model, with one parameter group for each learning-rate factor.

    Raises:
        InputError: a key of ``lr_factors`` names no parameter of the model.
    """
    named = list(model.named_parameters())
    for key in recipe.lr_factors:
        if not any(fits(name, key) for name, _ in named):
            raise InputError(
                f"lr_factors: expected the start of a parameter's name, such as {named[-1][0]}, got {key!r}"
            )
    by_factor: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            by_factor.setdefault(recipe.factor(name), []).append(parameter)
    groups: list[dict[str, Any]] = [{"params": p, "factor": f} for f, p in by_factor.items()]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)
    return SOAP(groups, lr=recipe.lr, betas=recipe.betas)
