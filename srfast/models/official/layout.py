"""How a source of weights names and arranges the tensors of a network."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

State = dict[str, Tensor]
Options = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """The weights of one network as one source arranges them."""

    model: str
    """A name of ``models.names()``."""
    source: str
    """The code from which the names are."""
    marks: tuple[str, ...]
    """Tensors that every file of this layout has."""
    names: Mapping[str, str]
    """Their module -> ours; ``{n}`` stands for a number, ``{n-1}`` for the one before, ``{kind}`` for a word."""
    options: Callable[[State], Options]
    """Function from the tensors, by their names, to the sizes of the network."""
    scale: Callable[[State], int] | None = None
    """Function from the tensors, by their names, to the scale; None if weights are alike at all scales."""
    unused: tuple[str, ...] = ()
    """Regular expressions of tensors that do not reach the output or are constants."""
    convert: Callable[[State, State, int], State] | None = None
    """Function from (tensors by our names, by theirs, scale) to ours: changes of values and of their order."""
    mean_range: float = 0.0
    """Our range, if a mean shift comes before and after (``sub_mean``, ``add_mean``)."""
    single_unit: bool = False
    """Whether the number of units does not follow from the weights, as for DRRN; a file name may have it (``B1U9``)."""

    @cached_property
    def patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """``names`` as patterns of their modules: a group of one letter is a number, of more a word."""

        def group(name: str) -> str:
            return rf"(?P<{name}>\d+)" if len(name) == 1 else rf"(?P<{name}>[a-z]+\d*)"

        parted = [(re.split(r"\{(\w+)\}", theirs), ours) for theirs, ours in self.names.items()]
        texts = ["".join(group(p) if i % 2 else re.escape(p) for i, p in enumerate(parts)) for parts, _ in parted]
        return [(re.compile(text), ours) for text, (_, ours) in zip(texts, parted, strict=True)]


def count(state: State, pattern: str) -> int:
    """The number of different values of the group of ``pattern`` in the names."""
    return len({m[1] for m in (re.fullmatch(pattern, k) for k in state) if m})


def shuffle_scale(first: str, second: str) -> Callable[[State], int]:
    """The scale of an up-sampler of one or two steps, whose names are given."""

    def scale(state: State) -> int:
        return math.isqrt(state[first].shape[0] // state[first].shape[1]) * (2 if second in state else 1)

    return scale
