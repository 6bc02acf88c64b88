"""The list of all models."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from srfast.errors import InputError
from srfast.runtime import plugins
from srfast.runtime.optional import needing
from srfast.settings import PAIR_SCALE, SCALE, SCALES, did_you_mean

if TYPE_CHECKING:
    from torch import nn

Buildable: TypeAlias = "str | Callable[..., nn.Module] | nn.Module"
"""A network to be trained: a name, FILE.py:NAME, a class or function that takes the scale, or a module."""
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
WEIGHT_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".caffemodel", ".mat")
"""Suffixes of the files that ``models.load`` opens."""
OF_RUN = "model.safetensors"
"""The file of the weights in the folder of a training."""


@dataclass(frozen=True)
class Description:
    """The description of a model for the rest of the package."""

    name: str
    factory: str
    """``module:callable``, which is called with the scale."""
    color: Literal["y", "rgb"]
    """The planes that it takes and returns: "y" or "rgb"."""
    paper: str
    pretrained: bool = False
    """Whether weights come with the package."""
    extra: str = ""
    """The extra that it needs: ``pip install 'srfast[extra]'``."""
    asset: str = ""
    """An option of ``create`` that names a file without which the model can be built but not run."""
    build: Callable[..., nn.Module] | None = None
    """A class, a function or a module of the caller's, in place of ``factory``."""

    @property
    def foreign(self) -> bool:
        """Whether it is spandrel's, so that files of its authors have spandrel's names of tensors."""
        return self.factory.startswith("srfast.models.foreign:")

    @property
    def shipped(self) -> bool:
        """Whether it is a model of the package, whose weights are another matter; others bring their own."""
        return self.build is None and self.name in _MODELS


_MODELS = {
    d.name: d
    for d in (
        Description("srcnn", "srfast.models.srcnn:SRCNN", "y", "Dong et al., 2014 (9-1-5)", pretrained=True),
        Description("fsrcnn", "srfast.models.fsrcnn:FSRCNN", "y", "Dong et al., 2016"),
        Description("drrn", "srfast.models.drrn:DRRN", "y", "Tai et al., 2017 (B1U25)"),
        Description("idn", "srfast.models.idn:IDN", "y", "Hui et al., 2018"),
        Description("edsr_baseline", "srfast.models.edsr:baseline", "rgb", "Lim et al., 2017 (16 x 64)"),
        Description("edsr", "srfast.models.edsr:EDSR", "rgb", "Lim et al., 2017 (32 x 256)"),
        Description("rdn", "srfast.models.rdn:RDN", "rgb", "Zhang et al., 2018"),
        Description("swinir", "srfast.models.foreign:swinir", "rgb", "Liang et al., 2021 (classical)", extra="train"),
        Description(
            "swinir_light",
            "srfast.models.foreign:swinir_light",
            "rgb",
            "Liang et al., 2021 (lightweight)",
            extra="train",
        ),
        Description("rcan", "srfast.models.foreign:rcan", "rgb", "Zhang et al., 2018", extra="train"),
        Description("hat", "srfast.models.foreign:hat", "rgb", "Chen et al., 2023", extra="train"),
        Description("compact", "srfast.models.foreign:compact", "rgb", "Wang et al., 2021", extra="train"),
        Description("span", "srfast.models.foreign:span", "rgb", "Wan et al., 2024", extra="train"),
        Description("realplksr", "srfast.models.foreign:realplksr", "rgb", "Lee et al., 2024", extra="train"),
        Description("san", "srfast.models.san:SAN", "rgb", "Dai et al., 2019"),
        Description("han", "srfast.models.han:HAN", "rgb", "Niu et al., 2020"),
        Description("nlsn", "srfast.models.nlsn:NLSN", "rgb", "Mei et al., 2021"),
        Description("ignn", "srfast.models.ignn:IGNN", "rgb", "Zhou et al., 2020", asset="matcher"),
    )
}


GROUP = "srfast.models"
"""Group of entry points: a name, and a callable that takes the scale; its ``color`` is "y" or "rgb"."""


def names() -> list[str]:
    """The names that ``create`` takes: those of the package, and those that installed packages add."""
    return [*_MODELS, *(n for n in plugins.added(GROUP) if n not in _MODELS)]


def of_package(name: str) -> Description | None:
    """The description of a model of the package, by its name in any case; None for all others."""
    return _MODELS.get(name.lower().replace("-", "_"))


def describe(model: Buildable) -> Description:
    """The description of a model that can be built.

    Args:
        model: A name in any case, FILE.py:NAME, a class or function that takes the scale and returns a module, or a
            module.

    Raises:
        InputError: the name is unknown, in which case the message proposes the nearest, or it is none of these.
    """
    if not isinstance(model, str):
        return _of_object(model)
    if (description := of_package(model)) is not None:
        return description
    if plugins.is_file(model):
        path = Path(model).resolve()
        return Description(str(path), str(path), _color(plugins.from_file(model)), "a model of the user's")
    if point := plugins.added(GROUP).get(model):
        return Description(model, point.value, _color(plugins.loaded(GROUP, model)), f"added by {point.module}")
    near = did_you_mean(model, names())
    known = ", ".join(names())
    raise InputError(
        f"model: expected one of {known}, or FILE.py:NAME, got {model!r}",
        hint=f"did you mean {near}?" if near else None,
    )


def is_module(value: object) -> bool:
    """Whether a value is a torch module; torch is not imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _of_object(model: Any) -> Description:
    if is_module(model):
        from srfast.models.descriptor import Descriptor

        color = Descriptor.of(model, 2).color
    elif callable(model):
        color = _color(model)
    else:
        raise InputError(f"model: expected a name, FILE.py:NAME, a module or its class, got {model!r}")
    kind = type(model) if is_module(model) else model
    return Description(
        getattr(kind, "__qualname__", type(model).__name__), "", color, "a model of the user's", build=model
    )


def _color(factory: Any) -> Literal["y", "rgb"]:
    color = getattr(factory, "color", "rgb")
    if color not in ("y", "rgb"):
        raise InputError(f"model: expected an attribute color of 'y' or 'rgb', got {color!r}")
    return "y" if color == "y" else "rgb"


def weights_of(model: str | os.PathLike[str]) -> Path | None:
    """The file of weights that is meant: a file itself, or that of the training in a folder; None for a name.

    Raises:
        InputError: the folder holds no trained model, or the text is both a name and such a folder.
    """
    named = isinstance(model, str) and (of_package(model) is not None or model in plugins.added(GROUP))
    file = Path(model) / OF_RUN
    if named:
        if file.is_file():
            raise InputError(
                f"model: expected a network or a training run, got {model!r}, which is both",
                hint=f"write ./{model} for the folder",
            )
        return None
    if Path(model).is_dir():
        if not file.is_file():
            raise InputError(
                f"model: expected a weights file or the folder of a training run, got {os.fspath(model)} without "
                f"{OF_RUN}"
            )
        return file
    if plugins.is_file(os.fspath(model)) or not Path(model).suffix:
        return None
    return Path(model)


def create(name: Buildable, scale: int = 2, pretrained: bool = False, **options: Any) -> nn.Module:
    """Builds a model with fresh weights, or with the shipped ones.

    Args:
        name: One of ``names()``, in any case, FILE.py:NAME, or a class or function that takes the scale. A module is
            returned as it is.
        scale: 1 (restoration at the same size), 2, 3 or 4.
        pretrained: Whether to load the weights that come with the package (srcnn only).
        **options: Keyword arguments of the model: its sizes, by default the paper's, or a file that it needs
            (``describe(name).asset``).

    Returns:
        A module in training mode, which takes LR [N, C, h, w] float in [0, 1] and returns SR [N, C, scale * h, scale *
        w].

    Raises:
        InputError: the name, scale or an option is unknown, or there are no shipped weights for this model.
        RunError: the model needs an extra that is not installed.
    """
    description, scale = describe(name), int(PAIR_SCALE.check("scale", scale))
    title = description.name if description.build else name
    if pretrained and not description.pretrained:
        shipped = ", ".join(d.name for d in _MODELS.values() if d.pretrained)
        raise InputError(
            f"pretrained: weights ship for {shipped} only, not for {title}", hint="train it or load a checkpoint"
        )
    module, _, attribute = description.factory.rpartition(":")
    with needing(f"srfast.models.create({title!r})"):
        factory: Any = description.build
        if factory is None and plugins.is_file(description.factory):
            factory = plugins.from_file(description.factory)
        elif factory is None:
            factory = getattr(importlib.import_module(module), attribute)
    if is_module(factory):
        return _as_it_is(factory, scale, options)
    try:
        inspect.signature(factory).bind(scale, **options)
    except TypeError as error:
        raise InputError(f"{title}: {error}; it is called with the scale") from error
    model = factory(scale, **options)
    if not is_module(model):
        raise InputError(f"{title}: expected it to return a torch module, got {type(model).__name__}")
    if pretrained:
        SCALE.check("scale", scale)
        from safetensors.torch import load_file

        model.load_state_dict(load_file(WEIGHTS / f"{description.name}_x{scale}.safetensors"))
    return model


def _as_it_is(model: nn.Module, scale: int, options: dict[str, Any]) -> nn.Module:
    """A module that is given in place of a name."""
    own = getattr(model, "scale", scale)
    if own in SCALES and own != scale:
        raise InputError(f"scale: {type(model).__name__} is a x{own} network, got `scale` {scale}")
    if options:
        raise InputError(f"model_options: expected none for a module, which has its size, got {', '.join(options)}")
    return model
