"""Runs a network on an image of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from srfast.errors import InputError
from srfast.models.descriptor import Descriptor

WHOLE_PIXELS = 384 * 384
"""LR pixels up to which images run whole, unless a tile is given."""
TILE = 192
"""Side of a tile in LR pixels, without overlap, unless a tile is given."""
OVERLAP = 32
"""Overlap in LR pixels if a network does not declare its receptive field: the usual figure, not exact."""
ALIGN = 16
"""Multiple at which tiles start if a network does not declare one; attention windows are 8 or 16 wide."""


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
