"""srfast: finds the image patches worth training super-resolution models on.

Names are loaded on first use, so that ``import srfast`` and ``srfast --help`` do not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

__version__ = _version("srfast")

_NAMES = {
    "imresize": "srfast.ops",
    "downsample": "srfast.ops",
    "upsample": "srfast.ops",
    "per_sample_mse": "srfast.ops",
    "score_patches": "srfast.scorer",
    "score": "srfast.scoring",
    "ScoreTable": "srfast.table",
    "select": "srfast.selection",
    "CoreSet": "srfast.selection",
    "CorePatches": "srfast.data.pairs",
    "psnr": "srfast.metrics",
    "ssim": "srfast.metrics",
    "evaluate": "srfast.evaluation",
    "build_info": "srfast._native",
    "InputError": "srfast.errors",
    "RunError": "srfast.errors",
}

__all__ = ["__version__", "models", *_NAMES]


def __getattr__(name: str) -> Any:
    if name == "models":
        return import_module("srfast.models")
    if name in _NAMES:
        value = getattr(import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'srfast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from srfast import models
    from srfast._native import build_info
    from srfast.data.pairs import CorePatches
    from srfast.errors import InputError, RunError
    from srfast.evaluation import evaluate
    from srfast.metrics import psnr, ssim
    from srfast.ops import downsample, imresize, per_sample_mse, upsample
    from srfast.scorer import score_patches
    from srfast.scoring import score
    from srfast.selection import CoreSet, select
    from srfast.table import ScoreTable
