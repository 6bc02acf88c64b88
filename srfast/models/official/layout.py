"""How a source of weights names and arranges the tensors of a network."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

State = dict[str, Tensor]
Options = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """The weights of one network as one source arranges them."""

    model: str
    """Of ``models.names()``."""
    source: str
    """Whose names these are."""
    marks: tuple[str, ...]
    """Tensors without which it is another layout."""
    names: Mapping[str, str]
    """Their module -> ours; ``{n}`` is a number, ``{n-1}`` the one before, ``{kind}`` a word."""
    options: Callable[[State], Options]
    """Sizes of the network, from tensors in their names."""
    scale: Callable[[State], int] | None = None
    """From tensors in their names; None where weights are alike at all scales."""
    unused: tuple[str, ...] = ()
    """Regular expressions of tensors that do not reach the output, or that are constants."""
    convert: Callable[[State, State, int], State] | None = None
    """(in our names, in theirs, scale) -> ours: changes of values and of their order."""
    mean_range: float = 0.0
    """Where a mean shift goes before and after (``sub_mean``, ``add_mean``): the range of ours."""
    single_unit: bool = False
    """DRRN: the weights do not say the number of units; a file name may (``B1U9``)."""


def count(state: State, pattern: str) -> int:
    """How many different numbers stand at the group of ``pattern`` in the names."""
    return len({m[1] for m in (re.fullmatch(pattern, k) for k in state) if m})


def shuffle_scale(first: str, second: str) -> Callable[[State], int]:
    """The scale of an up-sampler of one or two steps, of which the names are given."""

    def scale(state: State) -> int:
        return math.isqrt(state[first].shape[0] // state[first].shape[1]) * (2 if second in state else 1)

    return scale
