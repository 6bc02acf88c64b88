"""The recipe of a training: loss, optimiser, schedule and crops. Each network's own is in its description."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

from srfast.errors import InputError, refuse
from srfast.models.registry import ByScale, Description, of_package
from srfast.settings import SWITCH, Kind, Settings, mapping, number, numbers, one_of, setting, whole

_of_recipe = partial(setting, shown="the model's recipe")
_DECAY = number("a decay in [0, 1)", lambda v: 0 <= v < 1)
_INFINITE = 2.0**128
"""The smallest number that is infinite in single precision."""
_SIZE = number("a finite number of 0 or more", lambda v: 0 <= v < _INFINITE)
_PART = number("a fraction from 0 to 1", lambda v: 0 <= v <= 1)


def _rate(value: Any) -> float:
    value = float(value) if isinstance(value, str) else value
    return float(number("", lambda v: 0 < v < _INFINITE).convert(value))


@dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """Loss, optimiser and schedule of a training. All times are fractions of the number of steps.

    Papers give milestones in epochs or steps of their own data; as fractions they mean the same for every
    core-set.
    """

    loss: Literal["l1", "mse", "euclidean"] = _of_recipe(
        "l1",
        "Loss that is minimised. l1 and mse: the mean over all values; euclidean: half the squared error, summed over "
        "each crop and averaged over the crops, as in Caffe.",
        one_of("l1", "mse", "euclidean"),
    )
    optimizer: Literal["adam", "soap", "sgd"] = _of_recipe("adam", "Optimiser.", one_of("adam", "soap", "sgd"))
    lr: float = _of_recipe(
        2e-4,
        "Highest learning rate of the schedule.",
        Kind("a finite learning rate above 0", _rate, hint="a folder of LR images is `lr_images`"),
        metavar="RATE",
    )
    betas: tuple[float, float] = _of_recipe(
        (0.9, 0.999),
        "Decays of the averages of adam and soap, two numbers from 0 to below 1.",
        numbers("two decays in [0, 1)", lambda v: 0 <= v < 1, 2),
        metavar="B,B",
    )
    momentum: float = _of_recipe(0.9, "Momentum of sgd, from 0 to below 1.", _DECAY)
    weight_decay: float = _of_recipe(
        0.0, "Factor by which the weights are added to their gradients, for adam and sgd.", _SIZE
    )
    schedule: Literal["halving", "cosine"] = _of_recipe(
        "halving",
        "Schedule of the learning rate. halving: multiplied by `decay` at `milestones`; cosine: falls to 0 along a "
        "cosine.",
        one_of("halving", "cosine"),
    )
    milestones: tuple[float, ...] = _of_recipe(
        (0.2, 0.4, 0.6, 0.8),
        "Fractions of the steps, from 0 to 1, at which the schedule halving multiplies the learning rate by `decay`.",
        numbers("fractions from 0 to 1", lambda v: 0 <= v <= 1),
        metavar="F,F,...",
    )
    decay: float = _of_recipe(0.5, "Factor by which the learning rate is multiplied at a milestone.", _SIZE)
    warmup: float = _of_recipe(
        0.0,
        "Fraction of the steps, from 0 to below 1, during which the learning rate rises from 0.",
        number("a fraction below 1", lambda v: 0 <= v < 1),
    )
    lr_factors: Mapping[str, float] = _of_recipe(
        (),
        "Factor of the learning rate for parameters whose name begins with NAME or matches it as a pattern such as "
        "*.bias; 0 freezes them. Repeatable.",
        mapping(
            "NAME=NUMBER, finite and of 0 or more, such as deconv=0.1",
            lambda _, v: float(v),
            lambda v: 0 <= v < _INFINITE,
        ),
        flag="--lr-factor",
        metavar="NAME=F",
        repeated=True,
    )
    clip: float = _of_recipe(
        0.0, "Norm to which larger gradients are clipped. With 0, gradients are not clipped.", _SIZE
    )
    clip_by_rate: bool = _of_recipe(
        False,
        "Divide `clip` by the learning rate of the step: adjustable gradient clipping (DRRN, Section 4.1).",
        SWITCH,
    )
    ema: float = _of_recipe(
        0.0,
        "Decay of the exponential moving average of the weights, from 0 to below 1. The averaged weights are "
        "evaluated and saved as the model; with 0, the last weights are.",
        _DECAY,
    )
    loss_border: int = _of_recipe(
        0, "Number of LR pixels at each side of a crop that the loss leaves out, since padding affects them.", whole()
    )
    fp32_tail: float = _of_recipe(
        0.0, "Fraction of the steps, the last ones, that are computed in fp32 whatever the precision.", _PART
    )
    batch: int = _of_recipe(16, "Number of crops per step, over all processes.", whole(1))
    lr_patch: int = _of_recipe(48, "Side of a crop in LR pixels.", whole(1))
    quantise: bool = _of_recipe(
        True,
        "Whether LR crops are rounded to 8 bits, as images in files are, or remain floating point, as in the classic "
        "protocol.",
        SWITCH,
        python=True,
    )
    channels_last: bool = _of_recipe(
        False, "Whether weights and activations lie in memory with channels last.", SWITCH, python=True
    )

    def validate(self) -> None:
        super().validate()
        grows = [max(1.0, self.decay)] * len(self.milestones)
        highest = math.prod([self.lr, max([1.0, *dict(self.lr_factors).values()]), *grows])
        border, side = self.loss_border, f"(the loss leaves out {self.loss_border} LR pixels at each side)"
        refuse(
            (
                self.weight_decay and self.optimizer == "soap",
                "weight_decay: needs `optimizer` adam or sgd, got soap",
            ),
            (
                not highest < _INFINITE,
                f"lr: expected a rate that its factors leave finite in single precision, got {self.lr:g}",
            ),
            (2 * border >= self.lr_patch, f"lr_patch: expected more than {2 * border} {side}, got {self.lr_patch}"),
        )

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step; steps count from 0."""
        done = step / steps
        if done < self.warmup:
            return self.lr * min(1.0, (step + 1) / (self.warmup * steps))
        if self.schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup)))
        return self.lr * self.decay ** sum(done >= m for m in self.milestones)

    def factor(self, parameter: str) -> float:
        """The learning-rate factor of a parameter, by the longest key that matches its name."""
        keys = [k for k in self.lr_factors if fits(parameter, k)]
        return self.lr_factors[max(keys, key=len)] if keys else 1.0


def fits(parameter: str, key: str) -> bool:
    """Whether a key of ``lr_factors`` matches the name of a parameter."""
    return fnmatchcase(parameter, key) if "*" in key or "?" in key else parameter.startswith(key)


def recipe(model: str | Description, scale: int = 2, source: str = "default") -> Recipe:
    """The recipe of a model, a name or a description, at a scale; without one in its description, the defaults of
    ``Recipe``. The source "paper" is the paper's own optimiser, if the "default" is another. Raises InputError if the
    source is neither."""
    if source not in ("default", "paper"):
        raise InputError(f"recipe: expected default or paper, got {source!r}")
    about = of_package(model) if isinstance(model, str) else model
    if about is None:
        return Recipe()
    fields = (source == "paper" and about.papers_recipe) or about.recipe
    own: dict[str, Any] = {k: v[max(scale - 2, 0)] if isinstance(v, ByScale) else v for k, v in fields.items()}
    return Recipe(**own)
