"""A network with all that running it needs, and its run on an image of any size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from srfast.errors import InputError

WHOLE_PIXELS = 384 * 384
"""LR pixels up to which images run whole, unless a tile is given."""
TILE = 192
"""Side of a tile in LR pixels, without overlap, unless a tile is given."""
OVERLAP = 32
"""Overlap in LR pixels if a network does not declare its receptive field: the usual figure, not exact."""
ALIGN = 16
"""Multiple at which tiles start if a network does not declare one; attention windows are 8 or 16 wide."""


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


@dataclass(frozen=True)
class Tile:
    """A piece of an image that runs by itself; rows and columns are in LR pixels."""

    rows: slice
    """Rows that the tile covers; tiles cover the image without overlap, row by row from the top."""
    columns: slice
    rows_read: slice
    """Rows that the tile reads, with its surroundings."""
    columns_read: slice

    def run(self, network: Descriptor, lr: Tensor) -> Tensor:
        """SR [1, C, scale * rows, scale * columns] of the tile, of the whole LR image [1, C, h, w]. Raises InputError
        if the network returned another shape than it should."""
        sr = run(network, lr[..., self.rows_read, self.columns_read])
        top, left = self.rows.start - self.rows_read.start, self.columns.start - self.columns_read.start
        height, width = self.rows.stop - self.rows.start, self.columns.stop - self.columns.start
        s = network.scale
        return sr[..., s * top : s * (top + height), s * left : s * (left + width)]


def tiles(network: Descriptor, h: int, w: int, tile: int, overlap: int = OVERLAP) -> Iterator[Tile]:
    """The tiles of an LR image of h x w pixels; ``tile`` is the side of the area of one, and 0 takes one tile.

    If the network declares its receptive field (``receptive``), tiles read as many pixels around them, start at
    multiples of ``multiple``, and agree with the whole image up to rounding (1e-5). Otherwise they read ``overlap`` LR
    pixels, rounded up to a multiple of ALIGN; the seams are then approximate.
    """
    receptive = network.receptive
    align = ALIGN if receptive is None else network.multiple
    margin = _up(overlap if receptive is None else receptive, align)
    step = _up(tile, align) if tile and tile < max(h, w) else max(h, w, 1)
    for y in range(0, h, step):
        for x in range(0, w, step):
            bottom, right = min(h, y + step), min(w, x + step)
            yield Tile(
                slice(y, bottom),
                slice(x, right),
                slice(max(0, y - margin), min(h, y + step + margin)),
                slice(max(0, x - margin), min(w, x + step + margin)),
            )


def super_resolve(network: Descriptor, lr: Tensor, tile: int | None = None) -> Tensor:
    """SR [1, C, scale * h, scale * w], not clamped, of LR [1, C, h, w] float32 in [0, 1], in tiles if the image is
    large.

    The tiles are those of ``tiles``, exact if the network declares its receptive field. Networks that do not, or that
    span the image (pooled attention), run whole unless ``tile``, the side of one in LR pixels, is given (0 never
    tiles); then tiles overlap by ``OVERLAP`` pixels, and the seams are approximate. Raises InputError if the network
    returned another shape.
    """
    scale, (h, w) = network.scale, lr.shape[-2:]
    if tile is None:
        tile = TILE if network.receptive is not None and h * w > WHOLE_PIXELS else 0
    if tile == 0 or tile >= max(h, w):
        return run(network, lr)
    out = lr.new_empty(*lr.shape[:2], h * scale, w * scale)
    for part in tiles(network, h, w, tile):
        rows, columns = (slice(s.start * scale, s.stop * scale) for s in (part.rows, part.columns))
        out[..., rows, columns] = part.run(network, lr)
    return out


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def run(network: Descriptor, lr: Tensor, name: str = "model") -> Tensor:
    """SR of images [N, C, h, w], whole. Raises InputError if the network, which the message calls ``name``, did not
    return a tensor [N, C, scale * h, scale * w]."""
    sr = network.model(lr)
    scale = network.scale
    expected = [*lr.shape[:2], lr.shape[2] * scale, lr.shape[3] * scale]
    if not isinstance(sr, Tensor) or list(sr.shape) != expected:
        got = list(sr.shape) if isinstance(sr, Tensor) else type(sr).__name__
        raise InputError(f"{name}: expected an output of {expected} at scale {scale}, got {got}")
    return sr
