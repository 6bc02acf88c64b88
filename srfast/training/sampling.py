"""Drawing crops by the losses of their patches: hard ones first and all later, or with a probability by loss."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from srfast.errors import InputError

FLOOR = 0.01
"""Fraction of the mean loss that every patch's loss counts at least, so that no patch is excluded and weights are
bounded."""
EXPONENTS = 100
"""Number of steps in which an annealed exponent falls."""
HELP = "hard:KEEP:PART, loss:POWER, loss:POWER:annealed or loss:POWER:weighted"
_HARD = re.compile(r"hard:([\d.]+):([\d.]+)")
_LOSS = re.compile(r"loss:([\d.]+)(?::(annealed|weighted))?")


@dataclass(frozen=True)
class Sampling:
    """Which patches are drawn at a step.

    ``hard:0.5:0.75``: the hardest half for the first 75 % of the updates, then all. ``loss:1``: with replacement, with
    a probability proportional to the loss to that power. ``annealed``: the power falls linearly to 0 with the updates,
    so that training ends on all patches alike. ``weighted``: each crop's loss is multiplied by 1 / (n p), so that the
    expected gradient is that of all patches (importance sampling; Katharopoulos and Fleuret, 2018, arXiv 1803.00942)
    and only its variance changes.
    """

    keep: float = 1.0
    part: float = 0.0
    power: float = 0.0
    annealed: bool = False
    weighted: bool = False

    def hard(self, step: int, steps: int) -> bool:
        """Whether only the hardest patches are drawn at a step."""
        return step < self.part * steps

    def switch(self, steps: int) -> int:
        """The first step at which all patches are drawn."""
        return int(np.ceil(self.part * steps))

    def exponent(self, step: int, steps: int) -> float:
        if not self.annealed:
            return self.power
        return self.power * (1 - int(EXPONENTS * step / steps) / EXPONENTS)


def parse(text: str) -> Sampling:
    """A sampling by its name; raises InputError if it is unknown."""
    hard, loss = _HARD.fullmatch(text), _LOSS.fullmatch(text)
    try:
        if hard and 0 < float(hard[1]) < 1 and 0 < float(hard[2]) < 1:
            return Sampling(keep=float(hard[1]), part=float(hard[2]))
        if loss and 0 < float(loss[1]) <= 4:
            return Sampling(power=float(loss[1]), annealed=loss[2] == "annealed", weighted=loss[2] == "weighted")
    except ValueError:
        pass
    raise InputError(f"sample: expected {HELP} (0 < KEEP, PART < 1, 0 < POWER <= 4), got {text!r}")


class Chances:
    """The probability of each patch at each step.

    Args:
        sampling: A sampling with a power.
        losses: Losses of the patches [n], not below zero.
        steps: Number of steps of the whole training.
    """

    def __init__(self, sampling: Sampling, losses: np.ndarray, steps: int) -> None:
        self._sampling, self._steps = sampling, steps
        losses = np.asarray(losses, np.float64)
        mean = float(losses.mean())
        self._losses = np.maximum(losses / mean, FLOOR) if mean > 0 else np.ones(len(losses))
        self._sums = lru_cache(maxsize=2)(self._sums_of)

    def _sums_of(self, exponent: float) -> np.ndarray:
        sums = np.cumsum(self._losses**exponent)
        found: np.ndarray = sums / sums[-1]
        return found

    def draw(self, step: int, uniform: np.ndarray) -> np.ndarray:
        """The patches that uniform numbers in [0, 1) draw."""
        sums = self._sums(self._sampling.exponent(step, self._steps))
        return np.minimum(np.searchsorted(sums, uniform, side="right"), len(sums) - 1)

    def weights(self, step: int, patches: np.ndarray) -> np.ndarray | None:
        """1 / (n p) of drawn patches, float32; None if the sampling has no weights."""
        if not self._sampling.weighted:
            return None
        chance = self._losses**self._sampling.power
        weights: np.ndarray = (chance.mean() / chance[patches]).astype(np.float32)
        return weights
