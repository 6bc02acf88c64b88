"""Networks that score: the shipped SRCNN, plain bicubic, or a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from srfast.errors import InputError
from srfast.models.registry import WEIGHTS

SRCNN_SHAPES = {
    "conv1.weight": (64, 1, 9, 9),
    "conv1.bias": (64,),
    "conv2.weight": (32, 64, 1, 1),
    "conv2.bias": (32,),
    "conv3.weight": (1, 32, 5, 5),
    "conv3.bias": (1,),
}


@dataclass(frozen=True)
class Network:
    """What reconstructs a patch, and how the score table names it."""

    kind: Literal["srcnn", "bicubic", "module", "onnx"]
    name: str
    sha256: str
    """Of the weight file; of the empty string for bicubic."""
    scale: int
    weights: Mapping[str, Tensor] | None = None
    """SRCNN's six tensors in SRCNN_SHAPES, float32."""
    module: nn.Module | None = None
    color: str = "y"
    """The planes the module takes."""
    path: Path | None = None


def load_network(scorer: str | os.PathLike[str] | Network, scale: int) -> Network:
    """Loads a scoring network.

    Args:
        scorer: "srcnn" (the shipped 9-1-5), "bicubic", or a path: .safetensors or .pth with an SRCNN 9-1-5 or any
            model that spandrel knows, .onnx with one Y plane in and out.
        scale: 2, 3 or 4.

    Raises:
        InputError: unknown name, missing or foreign file, or a network of another scale.
        RunError: the file needs an extra that is not installed.
    """
    if isinstance(scorer, Network):
        if scorer.scale != scale:
            raise InputError(f"scorer: expected a network of scale {scale}, got {scorer.name} of scale {scorer.scale}")
        return scorer
    if scorer == "bicubic":
        return Network("bicubic", "bicubic", hashlib.sha256(b"").hexdigest(), scale)
    if scorer == "srcnn":
        return _shipped(scale)
    path = Path(scorer)
    if not path.is_file():
        raise InputError(f"scorer: expected srcnn, bicubic or a weight file, got {str(scorer)!r} (no such file)")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return Network("onnx", path.name, digest, scale, path=path)
    if suffix not in (".safetensors", ".pth", ".pt"):
        raise InputError(f"{path}: expected a .safetensors, .pth, .pt or .onnx file")
    from srfast.models.loading import load_model, load_state

    state = load_state(path)
    if {k: tuple(v.shape) for k, v in state.items()} == SRCNN_SHAPES:
        return Network("srcnn", path.name, digest, scale, weights=_float32(state))
    loaded = load_model(path, scale)
    return Network("module", path.name, digest, scale, module=loaded.model, color=loaded.color, path=path)


@lru_cache(maxsize=3)
def _shipped(scale: int) -> Network:
    from safetensors.torch import load

    path = WEIGHTS / f"srcnn_x{scale}.safetensors"
    data = path.read_bytes()
    return Network("srcnn", "srcnn", hashlib.sha256(data).hexdigest(), scale, weights=_float32(load(data)))


def _float32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # A copy: weights that are read from a path are mapped, and would change with the file.
    return {k: state[k].detach().to("cpu", torch.float32, copy=True).contiguous() for k in SRCNN_SHAPES}
