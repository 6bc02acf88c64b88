"""Super-resolution networks behind one interface: LR [N, C, h, w] in [0, 1] in, SR [N, C, s * h, s * w] out.

C is 1 (Y of BT.601, 16..235 of 255) or 3 (RGB); ``describe(name).color`` says which.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from srfast.models.registry import Description, create, describe, names

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Description", "create", "describe", "load", "names", "rgb"]


def load(path: str | Path, scale: int | None = None) -> nn.Module:
    """Loads a network from a file, as a module for RGB images; ``srfast.models.loading.load`` has the arguments."""
    from srfast.runtime.optional import needing

    with needing("srfast.models.load"):
        from srfast.models import loading

    return loading.load(path, scale)


def rgb(model: nn.Module, scale: int | None = None) -> nn.Module:
    """Makes a network take RGB, whichever planes it takes itself.

    Args:
        model: A module that takes LR [N, C, h, w] float in [0, 1] and returns SR [N, C, scale * h, scale * w], C = 1
            (Y) or 3 (RGB), such as one of ``create``.
        scale: 1, 2, 3 or 4; None takes the attribute ``scale`` of the module.

    Returns:
        The module itself if it takes RGB; otherwise one that reconstructs Y with it and up-samples chroma bicubically.
        Its weights are those of ``model``, and it is in the same mode.

    Raises:
        InputError: the module says neither its planes nor its scale, or the scale is another.
    """
    from srfast.runtime.optional import needing

    with needing("srfast.models.rgb"):
        from srfast.models import layers

    return layers.rgb(model, scale)
