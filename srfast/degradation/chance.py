"""Random numbers that depend on nothing but a seed, the pixels of an image, its size and the number of the draw."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from srfast.ops.degrade import random_words

WORDS = 64
"""Number of an operation's words; each setting has its own, so that one setting more moves no other."""
_SETTINGS = 1 << 31
"""Added to the slot of an operation for its settings; its noise has the slot itself."""


def key_of(seed: int, pixels: str, size: str, draw: int) -> np.ndarray:
    """The key of a draw, uint32 [4]: the first 16 bytes, little-endian, of a SHA-256.

    It is that of the ASCII text ``srfast degradation 1``, the seed (at least 0), the hash of the pixels of the whole
    image by ``srfast.data.hashing.of_pixels``, the fraction to which it is reduced first ("1", "1/2"), and the number
    of the draw, from 0, with a line feed (0x0A) after each.
    """
    text = f"srfast degradation 1\n{seed}\n{pixels}\n{size}\n{draw}\n"
    return np.frombuffer(hashlib.sha256(text.encode("ascii")).digest()[:16], "<u4").astype(np.uint32)


class Chance:
    """The random numbers of the settings of one operation."""

    def __init__(self, key: np.ndarray, slot: int) -> None:
        words = random_words(key, _SETTINGS | slot, WORDS)
        self._uniform = ((words + 0.5) / 2**32).tolist()

    def uniform(self, i: int) -> float:
        """The i-th number, above 0 and below 1."""
        return self._uniform[i]

    def happens(self, i: int, probability: float) -> bool:
        return self._uniform[i] < probability

    def within(self, i: int, quantiles: Sequence[float]) -> float:
        """A number from a distribution with these quantiles: each piece between two of them is equally likely."""
        if len(quantiles) == 1:
            return float(quantiles[0])
        place = self._uniform[i] * (len(quantiles) - 1)
        piece = min(int(place), len(quantiles) - 2)
        low, high = quantiles[piece], quantiles[piece + 1]
        return low + (place - piece) * (high - low)

    def whole(self, i: int, quantiles: Sequence[float]) -> int:
        """A whole number from a distribution with these quantiles, both ends included."""
        if len(quantiles) == 1:
            return int(quantiles[0])
        wider = [*quantiles[:-1], quantiles[-1] + 1]
        return min(int(self.within(i, wider)), int(quantiles[-1]))

    def among(self, i: int, weights: Sequence[float]) -> int:
        """An index, in proportion to the weights."""
        sums = list(accumulate(weights))
        at = self._uniform[i] * sums[-1]
        return next((k for k, s in enumerate(sums) if at < s), len(sums) - 1)

    def order(self, i: int, count: int) -> list[int]:
        """An order of 0..count-1 by the numbers from the i-th on (Fisher and Yates)."""
        order = list(range(count))
        for k in range(count - 1, 0, -1):
            other = int(self._uniform[i + k] * (k + 1))
            order[k], order[other] = order[other], order[k]
        return order
