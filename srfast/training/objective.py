"""The losses and optimisers that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from srfast.training.recipes import Recipe
from srfast.training.soap import SOAP


def _euclidean(sr: Tensor, hr: Tensor) -> Tensor:
    """Caffe's loss: half of the squares, summed over a crop, mean over the crops."""
    return (sr - hr).square().sum() / (2 * len(sr))


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "mse": F.mse_loss,
    "euclidean": _euclidean,
}


def optimizer(recipe: Recipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The recipe's optimiser over parameter groups."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)
    return SOAP(groups, lr=recipe.lr, betas=recipe.betas)
