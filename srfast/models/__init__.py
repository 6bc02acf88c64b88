"""Super-resolution networks behind one interface: LR [N, C, h, w] in [0, 1] in, SR [N, C, s * h, s * w] out.

C is 1 (Y of BT.601, 16..235 of 255) or 3 (RGB); ``describe(name).color`` says which.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from srfast.models.registry import Description, create, describe, names

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Description", "create", "describe", "load", "names"]


def load(path: str | Path, scale: int | None = None) -> nn.Module:
    """Loads a network from a file, as a module for RGB images; ``srfast.models.loading.load`` has the arguments."""
    from srfast.runtime.optional import needing

    with needing("srfast.models.load"):
        from srfast.models import loading

    return loading.load(path, scale)
