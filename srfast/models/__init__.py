"""Super-resolution networks behind one interface: LR [N, C, h, w] in [0, 1] in, SR [N, C, s * h, s * w] out.

C is 1 (Y of BT.601, 16..235 of 255) or 3 (RGB); ``describe(name).color`` says which.
"""

from __future__ import annotations

from srfast.models.registry import Description, create, describe, names

__all__ = ["Description", "create", "describe", "names"]
