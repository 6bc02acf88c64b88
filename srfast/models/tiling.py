"""Running a network over an image of any size."""

from __future__ import annotations

import torch
from torch import Tensor

from srfast.errors import InputError
from srfast.models.descriptor import Descriptor

WHOLE_PIXELS = 384 * 384
"""LR images up to this many pixels are never tiled when the caller leaves it open."""
TILE = 192
"""Side of a tile in LR pixels, without overlap, when the caller leaves it open."""
OVERLAP = 32
"""Overlap in LR pixels where a network does not declare its receptive field: the usual figure, not exact."""
_ALIGN = 16  # where tiles start when a network does not say: windows of attention are 8 or 16 wide


def super_resolve(network: Descriptor, lr: Tensor, tile: int | None = None) -> Tensor:
    """Runs a network, tile by tile where the image is large.

    Each tile is cut with as many LR pixels around it as an output pixel depends on (``network.receptive``), and
    starts at a multiple of ``network.multiple``, so tiles and the whole agree up to rounding (1e-5). Networks
    that span the image (pooled attention) run whole, unless ``tile`` is given; then tiles overlap by
    ``OVERLAP`` pixels and the seams are approximate.

    Args:
        network: What to run.
        lr: [1, C, h, w] float32 in [0, 1].
        tile: Side of a tile in LR pixels; 0 never tiles; None tiles where the image is large and the network
            allows it.

    Returns:
        SR [1, C, scale * h, scale * w], as the network gives it, not clamped.

    Raises:
        InputError: a negative tile, or the network returned another shape.
    """
    if tile is not None and tile < 0:
        raise InputError(f"tile: expected 0 or a positive number of LR pixels, got {tile}")
    scale, receptive = network.scale, network.receptive
    h, w = lr.shape[-2:]
    if tile is None:
        tile = TILE if receptive is not None and h * w > WHOLE_PIXELS else 0
    if tile == 0 or tile >= max(h, w):
        return _run(network, lr)
    align = _ALIGN if receptive is None else network.multiple
    margin = _up(OVERLAP if receptive is None else receptive, align)
    step = _up(tile, align)
    out = lr.new_empty(*lr.shape[:2], h * scale, w * scale)
    for y in range(0, h, step):
        for x in range(0, w, step):
            y0, x0, y1, x1 = max(0, y - margin), max(0, x - margin), min(h, y + step), min(w, x + step)
            sr = _run(network, lr[..., y0 : min(h, y1 + margin), x0 : min(w, x1 + margin)])
            inner = sr[..., (y - y0) * scale : (y1 - y0) * scale, (x - x0) * scale : (x1 - x0) * scale]
            out[..., y * scale : y1 * scale, x * scale : x1 * scale] = inner
    return out


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _run(network: Descriptor, lr: Tensor) -> Tensor:
    sr: Tensor = network.model(lr)
    scale = network.scale
    expected = torch.Size((*lr.shape[:2], lr.shape[2] * scale, lr.shape[3] * scale))
    if sr.shape != expected:
        raise InputError(f"model: expected an output of {list(expected)} at scale {scale}, got {list(sr.shape)}")
    return sr
