"""Drawing crops by the losses of their patches: hard ones first and all of them later, or by chance in proportion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from srfast.errors import InputError

FLOOR = 0.01
"""Of the mean loss: what a patch's loss counts at least, so that each has a chance and no weight is beyond bounds."""
EXPONENTS = 100
"""Steps in which an annealed exponent falls."""
HELP = "hard:KEEP:PART, loss:POWER, loss:POWER:annealed or loss:POWER:weighted"
_HARD = re.compile(r"hard:([\d.]+):([\d.]+)")
_LOSS = re.compile(r"loss:([\d.]+)(?::(annealed|weighted))?")


@dataclass(frozen=True)
class Sampling:
    """Which patches are drawn at a step.

    ``hard:0.5:0.75``: the hardest half for the first 75 % of the updates, then all. ``loss:1``: with replacement, the
    chance of a patch proportional to its loss (to that power). ``annealed``: the power falls linearly to 0 with the
    updates, so that training ends on all patches alike. ``weighted``: each crop's loss is weighted by 1 / (n p), so
    that the gradient is that of all patches (importance sampling; Katharopoulos and Fleuret, 2018, arXiv 1803.00942)
    and what changes is its variance.
    """

    keep: float = 1.0
    part: float = 0.0
    power: float = 0.0
    annealed: bool = False
    weighted: bool = False

    def hard(self, step: int, steps: int) -> bool:
        """Whether the hardest alone are drawn at a step."""
        return step < self.part * steps

    def switch(self, steps: int) -> int:
        """The first step at which all are drawn."""
        return int(np.ceil(self.part * steps))

    def exponent(self, step: int, steps: int) -> float:
        if not self.annealed:
            return self.power
        return self.power * (1 - int(EXPONENTS * step / steps) / EXPONENTS)


def parse(text: str) -> Sampling:
    """A sampling by its name; raises InputError for what is none."""
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
    """The chance of each patch at each step.

    Args:
        sampling: With a power.
        losses: Of the patches [n], not below zero.
        steps: Of the whole training.
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
        """Patches for uniform numbers in [0, 1)."""
        sums = self._sums(self._sampling.exponent(step, self._steps))
        return np.minimum(np.searchsorted(sums, uniform, side="right"), len(sums) - 1)

    def weights(self, step: int, patches: np.ndarray) -> np.ndarray | None:
        """1 / (n p) of patches that were drawn, float32; None where the sampling does not weight."""
        if not self._sampling.weighted:
            return None
        chance = self._losses**self._sampling.power
        weights: np.ndarray = (chance.mean() / chance[patches]).astype(np.float32)
        return weights
