"""How each model is trained when nothing else is asked for: one table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """Loss, optimiser and schedule; everything in time is a fraction of the number of steps.

    Papers give milestones in epochs or steps of their own data; as fractions they mean the same for every
    core-set.
    """

    loss: Literal["l1", "mse"] = "l1"
    optimizer: Literal["adam", "soap"] = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["halving", "cosine"] = "halving"
    milestones: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    """Where a halving schedule halves."""
    warmup: float = 0.0
    """Fraction of the steps over which the learning rate rises from zero."""
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    """Learning-rate factor of the parameters whose name starts with the key."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 does not clip."""
    ema: float = 0.0
    """Decay of the averaged weights that are evaluated and exported; 0 exports the last weights."""
    loss_border: int = 0
    """LR pixels at each side of a crop that the loss leaves out: padding stands in for the image there."""
    fp32_tail: float = 0.0
    """Fraction of the steps, at the end, that autocast does not touch."""
    batch: int = 16
    lr_patch: int = 48
    quantise: bool = True
    """8-bit LR, as from files; False: float LR, the classic protocol's."""
    channels_last: bool = False

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step (from 0)."""
        done = step / steps
        if done < self.warmup:
            return self.lr * (step + 1) / (self.warmup * steps)
        if self.schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup)))
        return self.lr * 0.5 ** sum(done >= m for m in self.milestones)

    def factor(self, parameter: str) -> float:
        """The learning-rate factor of a parameter, by the longest prefix that fits."""
        prefixes = [p for p in self.lr_factors if parameter.startswith(p)]
        return self.lr_factors[max(prefixes, key=len)] if prefixes else 1.0


# Adam, rates and patch sizes are the papers' or their maintained re-implementations', except where a comment
# says so.
_SWINIR_MILESTONES = (0.5, 0.8, 0.9, 0.95)
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
    # The paper clips at 0.01 / lr, for SGD at 0.1; here Adam at 1e-4, clipped at a norm of 1.
    "drrn": Recipe(loss="mse", lr=1e-4, clip=1.0, batch=16, lr_patch=32, quantise=False, channels_last=True),
    "idn": Recipe(
        lr=1e-4, milestones=(0.5, 0.75), ema=0.999, batch=16, lr_patch=39, quantise=False, channels_last=True,
    ),
    "edsr_baseline": Recipe(lr=1e-4, channels_last=True),
    "edsr": Recipe(lr=1e-4, channels_last=True),
    "rdn": Recipe(lr=1e-4, ema=0.999, channels_last=True),
    "swinir": Recipe(milestones=_SWINIR_MILESTONES, ema=0.999, batch=32),
    "swinir_light": Recipe(milestones=_SWINIR_MILESTONES, ema=0.999, batch=64, lr_patch=64),
    "rcan": Recipe(lr=1e-4, ema=0.999, channels_last=True),
    "hat": Recipe(betas=(0.9, 0.99), milestones=_SWINIR_MILESTONES, ema=0.999, batch=32, lr_patch=64),
    "san": Recipe(lr=1e-4, ema=0.999),
    "han": Recipe(lr=1e-4, ema=0.999),
    "nlsn": Recipe(lr=1e-4),
    "ignn": Recipe(lr=1e-4, batch=4, lr_patch=80),
}  # fmt: skip


def recipe(model: str) -> Recipe:
    """The recipe of a model; the defaults of ``Recipe`` for one without an entry."""
    return RECIPES.get(model, Recipe())
