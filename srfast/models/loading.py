"""Models and weights by name or path."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from srfast.data.files import check_input
from srfast.errors import InputError, RunError, inside, reading, refuse
from srfast.models import registry as models
from srfast.models.foreign import adopted
from srfast.models.layers import OnLuma
from srfast.models.official.readers import load_caffemodel, load_mat
from srfast.models.official.recognise import Recognised, nearest, recognise, scale_of
from srfast.models.registry import WEIGHT_FILES, Buildable
from srfast.models.tiling import Descriptor
from srfast.settings import PAIR_SCALES

_NESTED = ("params_ema", "params", "state_dict", "model_state_dict", "net_state_dict", "model")
"""Keys under which trainers keep the weights in a checkpoint, the preferred ones first."""
_TYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128, torch.bool,
          torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}  # fmt: skip


def load(path: str | Path, scale: int | None = None) -> nn.Module:
    """Loads a network from a file, as a module for RGB images.

    Args:
        path: A checkpoint or weights of srfast (.safetensors, .pt, .pth, .ckpt), of the authors of a network in
            ``models.names()`` or a port in use (also .caffemodel, .mat; docs/models.md lists them), or of an
            architecture that spandrel knows.
        scale: 1, 2, 3 or 4. It is needed if neither the weights nor the file's name say it.

    Returns:
        A module in evaluation mode: LR RGB [N, 3, h, w] float in [0, 1], any size, to SR RGB [N, 3, scale * h, scale *
        w], not clamped. A network of Y reconstructs Y, and chroma is up-sampled bicubically; it also takes Y alone [N,
        1, h, w].

    Raises:
        InputError: it is not a weights file, the architecture is unknown, or the scale is unknown or another.
        RunError: the file needs an extra that is not installed.
    """
    network = load_model(path, scale)
    return OnLuma(network.model, network.scale).eval() if network.color == "y" else network.model


def open_model(model: Buildable | str | os.PathLike[str], scale: int | None = None) -> tuple[str, Descriptor]:
    """Opens a network to run it.

    Args:
        model: A name of ``models.names()`` with shipped weights, FILE.py:NAME, a file of weights as for ``load``, the
            folder of a training, a module, or a class or function that takes the scale and returns one.
        scale: 1, 2, 3 or 4; None takes that of the file or of the module, or else 2.

    Returns:
        Its name, or the path of its file, and the network, in its own colour space.

    Raises:
        InputError: it is none of these, a folder holds no trained model, or the scale is another.
        RunError: the file needs an extra that is not installed.
    """
    if isinstance(model, nn.Module):
        known = getattr(model, "scale", None)
        own = Descriptor.of(model, scale or (known if known in PAIR_SCALES else 2))
        return own.name, own
    if not isinstance(model, (str, os.PathLike)):
        about = models.describe(model)
    elif (file := models.weights_of(model)) is not None:
        return str(file), load_model(file, scale)
    else:
        try:
            about = models.describe(os.fspath(model))
        except InputError:
            known = ", ".join(models.names())
            raise InputError(
                f"model: expected bicubic, {known}, FILE.py:NAME, a weights file or the folder of a training run, got "
                f"{str(model)!r}"
            ) from None
    factor = scale or 2
    built = models.create(about.name if about.build is None else about.build, factor, pretrained=about.shipped)
    return about.name, Descriptor.of(built.eval(), factor, about.name, about.color)


def load_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file as for ``load``; averaged weights if a checkpoint has them. Raises InputError if the file
    is missing or corrupt, or holds more than tensors and plain values (nothing in it is ever run)."""
    return _read(Path(path))[0]


def load_model(path: str | Path, scale: int | None = None) -> Descriptor:
    """The network that a file as for ``load`` holds, in evaluation mode, in its own colour space. Raises InputError if
    it is not a weights file, the architecture is unknown, or the scale is unknown or not the expected one, and RunError
    if the file needs an extra that is not installed."""
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"path: expected the path of a weights file, got {path!r}")
    path = Path(path)
    weights, about = _read(path)
    if (known := _known(path, weights, about, scale)) is not None:
        model = models.create(known.name, known.scale, **known.options)
        model.load_state_dict(known.state)
        network = Descriptor.of(model, known.scale, known.name, models.describe(known.name).color)
    else:
        network = _foreign(path, weights)
    if scale is not None and network.scale != scale:
        raise InputError(f"scale: {path} is a x{network.scale} {network.name}, got `scale` {scale}")
    network.model.eval()
    return network


def network_of(path: str | Path, scale: int | None = None) -> tuple[str, int, dict[str, Any]]:
    """The name, the scale and the sizes of the network of ``models.names()`` whose weights a file as for ``load``
    holds; ``scale`` is assumed where neither the weights nor the file's name say it. Raises InputError if it is not a
    weights file, or of another network."""
    path = Path(path)
    known = _known(path, *_read(path), scale)
    if known is None:
        raise InputError(
            f"model: {path} is of no network that srfast trains", hint="name the network, and the file as `init`"
        )
    return known.name, known.scale, dict(known.options)


def initial_weights(
    path: str | Path, model: str, scale: int, options: Mapping[str, Any] | None = None
) -> dict[str, Tensor]:
    """Tensors of a file as for ``load`` under the names of the network ``model`` with the sizes ``options``, to start a
    training at ``scale`` from; the file's scale may be another. Raises InputError if it is not a weights file, and
    RunError if the file needs an extra that is not installed."""
    path = Path(path)
    weights, about = _read(path)
    if "model" in about:
        return weights
    # Of the authors' weights that do not say their scale, all but a deconvolution are alike.
    recognised = recognise(weights, path, None if scale_of(path) else scale)
    if recognised is not None:
        return _centred_kernel(recognised.state, model, scale, options or {})
    if (description := models.of_package(model)) is not None and description.foreign:
        wants = bool((options or {}).get("norm"))
        if description.name == "span" and wants == ("no_norm" in weights):
            word = "without" if wants else "with"
            raise InputError(
                f"init: expected weights of a SPAN of the same range, got {path}, which is {word} `norm`",
                hint=f"`model_options` norm={1 - wants} takes them",
            )
        return {f"net.{k}": v for k, v in weights.items()}
    return weights


def _centred_kernel(state: dict[str, Tensor], model: str, scale: int, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """Cuts a deconvolution kernel that was enlarged to hold another alignment to the network's own size."""
    weight = state.get("deconv.weight")
    if weight is None:
        return state
    with torch.device("meta"):
        own = models.create(model, scale, **options).state_dict().get("deconv.weight")
    if own is None or own.shape[-1] >= weight.shape[-1]:
        return state
    edge = (weight.shape[-1] - own.shape[-1]) // 2
    return {**state, "deconv.weight": weight[..., edge:-edge, edge:-edge].contiguous()}


def _known(path: Path, weights: dict[str, Tensor], about: dict[str, Any], scale: int | None) -> Recognised | None:
    """The network that a file of srfast names, or whose authors' weights these are; None if it is another."""
    if "model" not in about:
        return recognise(weights, path, scale)
    # Metadata are whatever somebody wrote: a model makes of them whatever error it likes.
    with inside(f"{path}: "), reading("expected the weights of the model its metadata name, got others"):
        try:
            description = models.describe(str(about["model"]))
        except InputError:
            own = "a module of the caller's: load_state_dict of that module takes them"
            raise ValueError(f"those of {about['model']}, {own}") from None
        options = about.get("options", {})
        options = dict(json.loads(options) if isinstance(options, str) else options)  # safetensors keep text
        # A file that the model needed when it was trained is in its weights.
        options.pop(description.asset, None)
        known = Recognised(description.name, int(about["scale"]), options, weights)
        _check_sizes(known.name, known.scale, options, weights)
    return known


def _check_sizes(name: str, scale: int, options: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Checks, before the model is built, that the model in the metadata has the file's tensors; raises ValueError if
    not.

    A few bytes of metadata can name a model of gigabytes, or of more layers than can be listed.
    """
    tensors = sum(w.numel() for w in weights.values())
    for key, value in options.items():
        for number in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(number, (int, float)) and abs(number) > max(tensors, 1 << 10):
                raise ValueError(f"{key} = {number!r} of {tensors:,} values")
    with torch.device("meta"):
        expected = models.create(name, scale, **options).state_dict()
    for key in expected.keys() | weights.keys():
        own, theirs = (tuple(s[key].shape) if key in s else None for s in (expected, weights))
        if own != theirs:
            raise ValueError(f"{key} of shape {theirs} where the model has {own}")


def _foreign(path: Path, weights: dict[str, Tensor]) -> Descriptor:
    if find_spec("spandrel") is None:
        near = f" ({near})" if (near := nearest(weights)) else ""
        raise RunError(f"{path}: foreign weights need spandrel{near}", hint="pip install 'srfast[train]'")
    from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

    try:
        descriptor = ModelLoader(device="cpu").load_from_state_dict(dict(weights))
    # It recognises by a few names, and fails in many ways where the others do not fit.
    except Exception as error:
        unknown = isinstance(error, UnsupportedModelError)
        known = "an unknown architecture" if unknown else "one whose tensors do not fit"
        message = f"{path}: expected a super-resolution network that srfast or spandrel knows, got {known}"
        raise InputError(message, hint=nearest(weights)) from None
    name = descriptor.architecture.name
    wanted = ("Restoration",) if descriptor.scale == 1 else ("SR", "FaceSR")
    channels, out = descriptor.input_channels, descriptor.output_channels
    upscales = isinstance(descriptor, ImageModelDescriptor) and descriptor.purpose in wanted
    refuse(
        (not upscales, f"{path}: expected a super-resolution model, got {name}"),
        (
            channels not in (1, 3) or out != channels,
            f"{path}: expected one or three channels, got {channels} in, {out} out",
        ),
    )
    model = adopted(descriptor.model, name, descriptor.scale) or _Descriptor(descriptor)
    return Descriptor.of(model, descriptor.scale, name, "y" if channels == 1 else "rgb")


class _Descriptor(nn.Module):
    """A spandrel descriptor as a module, which pads to the sizes that the architecture takes and crops the result.

    The input is copied: without padding the descriptor passes it on unchanged, and RCAN scales it in place, so that a
    second tile over the same pixels would see 255 times the image.
    """

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.module = descriptor.model
        self._call = descriptor

    def forward(self, lr: Tensor) -> Tensor:
        return self._call(lr.clone())


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file, and the model and scale that a file of srfast names."""
    if not path.exists():
        raise InputError(f"{path}: no such weights file")
    if path.is_dir() or path.suffix not in WEIGHT_FILES:
        raise InputError(f"{path}: expected a file ending in {', '.join(WEIGHT_FILES)}")
    check_input(path, "a weights file")
    about: dict[str, Any] = {}
    state: Any
    if path.suffix == ".caffemodel":
        state = load_caffemodel(path)
    elif path.suffix == ".mat":
        state = load_mat(path)
    elif path.suffix == ".safetensors":
        with (
            reading(f"{path}: expected safetensors, got a corrupt or foreign file"),
            safe_open(path, framework="pt") as file,
        ):
            state, about = {k: file.get_tensor(k) for k in file.keys()}, dict(file.metadata() or {})
    else:
        with reading(f"{path}: expected PyTorch weights, got a corrupt file or one that is not weights only"):
            state = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(state, dict) and isinstance(state.get("settings"), dict) and "average" in state:
            about, state = state["settings"], state["average"] or state.get("model")
        for key in _NESTED:
            if isinstance(state, dict) and isinstance(state.get(key), dict):
                state = state[key]
        if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
            raise InputError(f"{path}: expected a dictionary of tensors, got {type(state).__name__}")
    for name, tensor in state.items():
        _check_tensor(path, name, tensor)
    return state, about


def _check_tensor(path: Path, name: str, tensor: Tensor) -> None:
    """Refuses tensors with which no model computes: those of a training that diverged, and those without values in
    memory."""
    if (
        tensor.layout != torch.strided
        or tensor.is_meta
        or tensor.dtype not in _TYPES
        or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()  # it repeats its values
    ):
        kind = f"{tensor.layout}, {tensor.dtype}, {tensor.device}".replace("torch.", "")
        raise InputError(f"{path}: expected dense tensors of 16 to 64 bits, got {name!r} ({kind})")
    if not bool(torch.isfinite(tensor).all()):
        raise InputError(f"{path}: expected finite weights, got NaN or infinity in {name!r}")
