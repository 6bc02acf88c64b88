"""Training: recipes, steps as the unit, checkpoints that resume bit for bit."""

from __future__ import annotations

from srfast.training.loop import TrainResult, train
from srfast.training.plan import Plan, steps_for_epochs
from srfast.training.recipes import Recipe, recipe

__all__ = ["Plan", "Recipe", "TrainResult", "recipe", "steps_for_epochs", "train"]
