"""Everything needed to run a network, in one object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from torch import nn

from srfast.errors import InputError


@dataclass(frozen=True)
class Descriptor:
    """A network, ready to run on images of any size."""

    model: nn.Module
    """LR [N, C, h, w] in [0, 1] to SR [N, C, scale * h, scale * w], not clamped."""
    name: str
    """A name of ``models.names()``, spandrel's name of an architecture, or the module's class."""
    scale: int
    """2, 3 or 4."""
    color: Literal["y", "rgb"]
    """The planes of the network: "y", one plane Y of BT.601 in 16..235 of 255, or "rgb"."""
    receptive: int | None = None
    """LR pixels around a tile that make it equal to its part of the whole image.

    None: statistics, attention or a search of the whole image enter, and tiles only approximate it.
    """
    multiple: int = 1
    """Exact tiles start, with their context, at multiples of this many LR pixels (the attention window)."""

    @property
    def channels(self) -> int:
        return 1 if self.color == "y" else 3

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Puts the network into evaluation mode; afterwards each of its parts is in the mode that it was in."""
        training = {part: part.training for part in self.model.modules()}
        self.model.eval()
        try:
            yield
        finally:
            for part, was in training.items():
                part.training = was

    @classmethod
    def of(cls, model: nn.Module, scale: int, name: str = "", color: Literal["y", "rgb"] | None = None) -> Descriptor:
        """Describes a module, LR [N, C, h, w] in [0, 1] to SR [N, C, scale * h, scale * w], not clamped, by its
        attributes ``color``, ``receptive`` and ``multiple``, if it has them. None for the planes takes the attribute,
        or the input of the first convolution. Raises InputError if neither says how many planes the module takes."""
        receptive, multiple = getattr(model, "receptive", None), getattr(model, "multiple", 1)
        receptive = receptive if isinstance(receptive, int) else None
        multiple = multiple if isinstance(multiple, int) else 1
        return cls(model, name or type(model).__name__, scale, color or _color_of(model), receptive, multiple)


def _color_of(model: nn.Module) -> Literal["y", "rgb"]:
    color = getattr(model, "color", None)
    if color in ("y", "rgb"):
        return color
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels in (1, 3):
            return "y" if module.in_channels == 1 else "rgb"
    raise InputError(
        "model: expected a network of one (Y) or three (RGB) planes", hint="give it an attribute color, 'y' or 'rgb'"
    )
