"""The losses and optimisers that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srfast.errors import InputError
from srfast.training.recipes import Recipe, fits
from srfast.training.soap import SOAP


def _euclidean(sr: Tensor, hr: Tensor) -> Tensor:
    """Caffe's loss: half of the squared error, summed over each crop, and the mean over the crops."""
    return (sr - hr).square().sum() / (2 * len(sr))


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": F.l1_loss, "mse": F.mse_loss, "euclidean": _euclidean}


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
