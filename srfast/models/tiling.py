"""Running a network over an image of any size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srfast.errors import InputError

WHOLE_PIXELS = 384 * 384
"""LR images up to this many pixels are never tiled when the caller leaves it open."""
TILE = 192
"""Side of a tile in LR pixels, without overlap, when the caller leaves it open."""
OVERLAP = 32
"""Overlap in LR pixels where a network does not declare its receptive field: the usual figure, not exact."""
_ALIGN = 16  # where tiles start when a network does not say: windows of attention are 8 or 16 wide


def super_resolve(model: nn.Module, lr: Tensor, scale: int, tile: int | None = None) -> Tensor:
    """Runs a network, tile by tile where the image is large.

    Each tile is cut with as many LR pixels around it as the network's ``receptive`` attribute says an output
    pixel depends on, and starts at a multiple of its ``multiple`` (the attention window), so tiles and the
    whole agree up to rounding (1e-5). Networks without them span the image (pooled attention): they run
    whole, unless ``tile`` is given; then tiles overlap by ``OVERLAP`` pixels and the seams are approximate.

    Args:
        model: LR [1, C, h, w] in [0, 1] to SR [1, C, scale * h, scale * w].
        lr: [1, C, h, w] float32.
        scale: 2, 3 or 4.
        tile: Side of a tile in LR pixels; 0 never tiles; None tiles where the image is large and the network
            allows it.

    Returns:
        SR [1, C, scale * h, scale * w], as the network gives it, not clamped.

    Raises:
        InputError: a negative tile, or the network returned another shape.
    """
    if tile is not None and tile < 0:
        raise InputError(f"tile: expected 0 or a positive number of LR pixels, got {tile}")
    receptive = getattr(model, "receptive", None)
    h, w = lr.shape[-2:]
    if tile is None:
        tile = TILE if isinstance(receptive, int) and h * w > WHOLE_PIXELS else 0
    if tile == 0 or tile >= max(h, w):
        return _checked(model(lr), lr, scale)
    declared = isinstance(receptive, int)
    align = getattr(model, "multiple", 1) if declared else _ALIGN
    margin = _up(receptive if declared else OVERLAP, align)
    step = _up(tile, align)
    out = lr.new_empty(*lr.shape[:2], h * scale, w * scale)
    for y in range(0, h, step):
        for x in range(0, w, step):
            y0, x0, y1, x1 = max(0, y - margin), max(0, x - margin), min(h, y + step), min(w, x + step)
            piece = lr[..., y0 : min(h, y1 + margin), x0 : min(w, x1 + margin)]
            sr = _checked(model(piece), piece, scale)
            inner = sr[..., (y - y0) * scale : (y1 - y0) * scale, (x - x0) * scale : (x1 - x0) * scale]
            out[..., y * scale : y1 * scale, x * scale : x1 * scale] = inner
    return out


def channels_of(model: nn.Module) -> int:
    """Planes a network takes: its attribute ``color``, or the input of its first convolution.

    Raises:
        InputError: neither says.
    """
    color = getattr(model, "color", None)
    if color in ("y", "rgb"):
        return 1 if color == "y" else 3
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels in (1, 3):
            return module.in_channels
    raise InputError(
        "model: expected a network of one (Y) or three (RGB) planes; give it an attribute color, 'y' or 'rgb'"
    )


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _checked(sr: Tensor, lr: Tensor, scale: int) -> Tensor:
    expected = torch.Size((*lr.shape[:2], lr.shape[2] * scale, lr.shape[3] * scale))
    if sr.shape != expected:
        raise InputError(f"model: expected an output of {list(expected)} at scale {scale}, got {list(sr.shape)}")
    return sr
