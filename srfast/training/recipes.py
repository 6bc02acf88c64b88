"""The recipe by which each model is trained unless settings say otherwise, in one table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

from srfast.errors import InputError
from srfast.models.registry import Description
from srfast.settings import SWITCH, Kind, Settings, mapping, number, numbers, one_of, setting, whole

_of_recipe = partial(setting, shown="the model's recipe")
_DECAY = number("a decay in [0, 1)", lambda v: 0 <= v < 1)
_INFINITE = 2.0**128
"""What single precision takes for infinite."""
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
        if self.weight_decay and self.optimizer == "soap":
            raise InputError("weight_decay: needs `optimizer` adam or sgd, got soap")
        grows = [max(1.0, self.decay)] * len(self.milestones)
        if not math.prod([self.lr, max([1.0, *dict(self.lr_factors).values()]), *grows]) < _INFINITE:
            raise InputError(f"lr: expected a rate that its factors leave finite in single precision, got {self.lr:g}")
        if 2 * self.loss_border >= self.lr_patch:
            raise InputError(
                f"lr_patch: expected more than {2 * self.loss_border} (the loss leaves out {self.loss_border} LR "
                f"pixels at each side), got {self.lr_patch}"
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


# Adam, rates and patch sizes are the papers' or their maintained re-implementations', except where a comment
# says so. Averaged weights (ema) are SwinIR's and HAT's; SRCNN's and FSRCNN's are an addition.
_SWINIR_MILESTONES = (0.5, 0.8, 0.9, 0.95)
_PLKSR_MILESTONES = (2 / 9, 4 / 9, 6 / 9, 8 / 9, 17 / 18)
RECIPES: dict[str, Recipe] = {
    # The paper's SGD took 8e8 back-propagations. Measured at x2 with these crops, 2,000 steps, PSNR on Set5:
    # SOAP 36.06 dB, Adam (1e-3, and a tenth of it in the last layer) 35.05 dB; after 12,000 steps Adam had
    # reached 35.67 dB.
    "srcnn": Recipe(
        loss="mse", optimizer="soap", lr=5e-3, betas=(0.9, 0.99), schedule="cosine", ema=0.999,
        loss_border=3, fp32_tail=0.15, batch=8, lr_patch=32, quantise=False, channels_last=True,
    ),
    # SOAP as for SRCNN: 36.62 dB on Set5 at x2 after 16,000 steps of 8 crops.
    "fsrcnn": Recipe(
        loss="mse", optimizer="soap", lr=3e-3, betas=(0.9, 0.99), schedule="cosine", ema=0.999,
        loss_border=4, fp32_tail=0.15, batch=8, lr_patch=32, quantise=False, channels_last=True,
    ),
    # Adam at 1e-4, clipped at a norm of 1, in place of the paper's SGD at 0.1 (PAPER).
    "drrn": Recipe(loss="mse", lr=1e-4, clip=1.0, batch=16, lr_patch=32, quantise=False, channels_last=True),
    "idn": Recipe(lr=1e-4, milestones=(0.5, 0.75), batch=16, lr_patch=39, quantise=False, channels_last=True),
    "edsr_baseline": Recipe(lr=1e-4, milestones=(2 / 3,), channels_last=True),
    "edsr": Recipe(lr=1e-4, milestones=(2 / 3,), channels_last=True),
    "rdn": Recipe(lr=1e-4, channels_last=True),
    "swinir": Recipe(milestones=_SWINIR_MILESTONES, ema=0.999, batch=32),
    "swinir_light": Recipe(milestones=_SWINIR_MILESTONES, ema=0.999, batch=64, lr_patch=64),
    "rcan": Recipe(lr=1e-4, channels_last=True),
    "hat": Recipe(betas=(0.9, 0.99), milestones=_SWINIR_MILESTONES, ema=0.999, batch=32, lr_patch=64),
    # Real-ESRGAN's options/train_realesrnet_x4plus.yml: L1 at one rate, 48 crops; Compact has no file of its own there.
    "compact": Recipe(betas=(0.9, 0.99), milestones=(), ema=0.999, batch=48, lr_patch=64, channels_last=True),
    # traiNNer-redux's options/_templates/train/SPAN/SPAN_fidelity.yml, with the batch that it calls the paper's; the
    # authors published no options.
    "span": Recipe(lr=5e-4, betas=(0.9, 0.99), batch=64, lr_patch=64),
    # PLKSR's options/train/train_PLKSR_DIV2K_X2_64_28_0.25_17.yaml, 450,000 updates; RealPLKSR has no file of its own.
    "realplksr": Recipe(betas=(0.9, 0.99), milestones=_PLKSR_MILESTONES, batch=64, lr_patch=96),
    "san": Recipe(lr=1e-4),
    "han": Recipe(lr=1e-4),
    "nlsn": Recipe(lr=1e-4),
    "ignn": Recipe(lr=1e-4, batch=4, lr_patch=80),
}  # fmt: skip

PAPER: dict[str, Recipe] = {
    # SGD, a tenth of the rate in the last layer, crops of 33 HR pixels of which the loss sees the inner 21.
    "srcnn": Recipe(
        loss="euclidean", optimizer="sgd", lr=1e-4, milestones=(), lr_factors={"conv3": 0.1},
        loss_border=3, batch=128, lr_patch=16, quantise=False, channels_last=True,
    ),
    # SGD, a tenth of the rate in the deconvolution; the batch is SRCNN's. The loss is a mean, as in the maintained
    # re-implementations that reach the paper's figures: summed over a crop, as Caffe does, it was NaN after 15 updates.
    "fsrcnn": Recipe(
        loss="mse", optimizer="sgd", lr=1e-3, milestones=(), lr_factors={"deconv": 0.1},
        batch=128, lr_patch=10, quantise=False, channels_last=True,
    ),
    # Halved every tenth epoch, of fifty here. Without the clipping a rate of 0.1 diverges.
    "drrn": Recipe(
        loss="euclidean", optimizer="sgd", lr=0.1, weight_decay=1e-4, clip=0.01, clip_by_rate=True,
        lr_factors={"first.1.bias": 0.1, "conv_?.bias": 0.1, "last.1.bias": 0.1},
        batch=128, lr_patch=16, quantise=False, channels_last=True,
    ),
    # A tenth after 250,000 and 500,000 of 600,000 updates; crops of the second stage.
    "idn": Recipe(
        lr=1e-4, weight_decay=1e-4, milestones=(5 / 12, 10 / 12), decay=0.1, lr_factors={"*.bias": 0.1, "deconv": 0.1},
        batch=64, lr_patch=39, quantise=False, channels_last=True,
    ),
}  # fmt: skip
"""The papers' own optimisers (``--recipe paper``), for the models that RECIPES trains by another."""

_HR_33: dict[int, dict[str, Any]] = {3: {"lr_patch": 11, "loss_border": 2}, 4: {"lr_patch": 8, "loss_border": 1}}
_BY_SCALE: dict[tuple[str, str], dict[int, dict[str, Any]]] = {
    ("default", "idn"): {3: {"lr_patch": 26}, 4: {"lr_patch": 19}},
    ("default", "rdn"): {3: {"lr_patch": 32}, 4: {"lr_patch": 32}},
    ("default", "ignn"): {3: {"lr_patch": 66}, 4: {"lr_patch": 40}},
    ("paper", "srcnn"): _HR_33,
    ("paper", "fsrcnn"): {3: {"lr_patch": 7}, 4: {"lr_patch": 6}},
    ("paper", "drrn"): {3: {"lr_patch": 11}, 4: {"lr_patch": 8}},
    ("paper", "idn"): {3: {"lr_patch": 26}, 4: {"lr_patch": 19}},
}
"""Fields that differ at x3 and x4, where crops have the papers' sizes."""


def recipe(model: str | Description, scale: int = 2, source: str = "default") -> Recipe:
    """The recipe of a model at a scale.

    Args:
        model: A name of ``srfast.models.names()``, or its description. A model without an entry gets the defaults of
            ``Recipe``.
        scale: 2, 3 or 4.
        source: "default", or "paper" for the paper's own optimiser, if the default is another.

    Raises:
        InputError: the source is neither.
    """
    if source not in ("default", "paper"):
        raise InputError(f"recipe: expected default or paper, got {source!r}")
    model = model if isinstance(model, str) else model.name if model.build is None else ""
    table = source if source == "paper" and model in PAPER else "default"
    own = (PAPER if table == "paper" else RECIPES).get(model, Recipe())
    return dataclasses.replace(own, **_BY_SCALE.get((table, model), {}).get(scale, {}))
