"""Models and weights by name or path."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from srfast import models
from srfast.errors import InputError, RunError

_SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Loaded:
    """A model ready to run."""

    model: nn.Module
    color: str
    """"y" or "rgb"."""
    scale: int
    name: str
    """Of ``models.names()``, or spandrel's name of a foreign architecture."""


def load_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weights file or checkpoint; averaged weights where a checkpoint has them.

    Args:
        path: .safetensors, .pt, .pth or .ckpt, ours or foreign.

    Raises:
        InputError: absent, corrupt, or more than tensors and plain values (nothing in the file is ever run).
    """
    return _read(Path(path))[0]


def load_model(path: str | Path, scale: int | None = None) -> Loaded:
    """Builds the model that a weights file holds.

    Args:
        path: Our files say which model and scale they are; foreign ones are recognised by spandrel.
        scale: The expected scale; None takes the file's.

    Raises:
        InputError: not a weights file, an unknown architecture, or another scale. RunError: foreign weights
            without spandrel.
    """
    path = Path(path)
    weights, about = _read(path)
    if "model" in about:
        loaded = _own(path, weights, about)
    else:
        loaded = _foreign(path, weights)
    if scale is not None and loaded.scale != scale:
        raise InputError(f"scale: {path} is a x{loaded.scale} {loaded.name}, got --scale {scale}")
    loaded.model.eval()
    return loaded


def _own(path: Path, weights: dict[str, Tensor], about: dict[str, Any]) -> Loaded:
    try:
        name, scale, options = str(about["model"]), int(about["scale"]), about.get("options", {})
        options = dict(json.loads(options) if isinstance(options, str) else options)
        # A file that the model needed when it was trained is in its weights.
        options.pop(models.describe(name).asset, None)
        model = models.create(name, scale, **options)
        model.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: expected the weights of the model its metadata name, got {reason}") from None
    return Loaded(model, models.describe(name).color, scale, name)


def _foreign(path: Path, weights: dict[str, Tensor]) -> Loaded:
    if find_spec("spandrel") is None:
        raise RunError(f"{path}: foreign weights need spandrel; pip install 'srfast[train]'")
    from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

    try:
        descriptor = ModelLoader(device="cpu").load_from_state_dict(dict(weights))
    except UnsupportedModelError:
        raise InputError(
            f"{path}: expected a super-resolution model known to spandrel, got an unknown architecture"
        ) from None
    if not isinstance(descriptor, ImageModelDescriptor) or descriptor.purpose not in ("SR", "FaceSR"):
        raise InputError(f"{path}: expected a super-resolution model, got {descriptor.architecture.name}")
    if descriptor.input_channels != descriptor.output_channels or descriptor.input_channels not in (1, 3):
        raise InputError(
            f"{path}: expected one or three channels, got {descriptor.input_channels} in and "
            f"{descriptor.output_channels} out"
        )
    return Loaded(
        _Descriptor(descriptor),
        "y" if descriptor.input_channels == 1 else "rgb",
        descriptor.scale,
        descriptor.architecture.name,
    )


class _Descriptor(nn.Module):
    """A spandrel descriptor as a module: it pads to the sizes the architecture takes and crops the result.

    The input is copied: where no padding is needed the descriptor hands it on as it is, and RCAN scales it in
    place, so that a second tile over the same pixels would see 255 times the image.
    """

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.module = descriptor.model
        self._call = descriptor
        self.tiling = descriptor.tiling.name

    def forward(self, lr: Tensor) -> Tensor:
        out: Tensor = self._call(lr.clone())
        return out


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, and what our files say about them (model, scale)."""
    if not path.exists():
        raise InputError(f"{path}: no such weights file")
    if path.is_dir() or path.suffix not in _SUFFIXES:
        raise InputError(f"{path}: expected a file ending in {', '.join(_SUFFIXES)}")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                return {k: file.get_tensor(k) for k in file.keys()}, dict(file.metadata() or {})
        except (SafetensorError, OSError, json.JSONDecodeError) as error:
            raise InputError(f"{path}: expected safetensors, got a corrupt or foreign file ({error})") from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged file makes the reader raise almost anything; whatever it raises, the file is at fault.
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: expected PyTorch weights, got a corrupt file or one that is not weights only ({reason})"
        ) from None
    about: dict[str, Any] = {}
    if isinstance(state, dict) and "settings" in state and "average" in state:
        about = state["settings"]
        state = state["average"] or state["model"]
    for key in ("params_ema", "params", "state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"{path}: expected a dictionary of tensors, got {type(state).__name__}")
    return state, about
