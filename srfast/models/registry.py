"""The list of all models."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from srfast.errors import InputError
from srfast.runtime import plugins
from srfast.runtime.optional import needing
from srfast.settings import did_you_mean

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
WEIGHT_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".caffemodel", ".mat")
"""Suffixes of the files that ``models.load`` opens."""


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


def describe(name: str) -> Description:
    """The description of a model, by its name in any case, or by FILE.py:NAME.

    Raises:
        InputError: the name is unknown; the message proposes the nearest.
    """
    if (found := of_package(name)) is not None:
        return found
    if plugins.is_file(name):
        path = Path(name).resolve()
        return Description(
            str(path), str(path), getattr(plugins.from_file(name), "color", "rgb"), "a model of the user's"
        )
    if point := plugins.added(GROUP).get(name):
        return Description(
            name, point.value, getattr(plugins.loaded(GROUP, name), "color", "rgb"), f"added by {point.module}"
        )
    near = did_you_mean(name, names())
    known = ", ".join(names())
    raise InputError(
        f"model: expected one of {known}, or FILE.py:NAME, got {name!r}" + (f"; did you mean {near}?" if near else "")
    )


def create(name: str, scale: int = 2, pretrained: bool = False, **options: Any) -> nn.Module:
    """Builds a model with fresh weights, or with the shipped ones.

    Args:
        name: One of ``names()``, in any case.
        scale: 2, 3 or 4.
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
    from srfast.ops.checks import check_scale  # loads NumPy, which lists of names do without

    if not isinstance(name, str):
        raise InputError(f"name: expected the name of a model, got {name!r}")
    description, scale = describe(name), check_scale(scale)
    if pretrained and not description.pretrained:
        shipped = ", ".join(d.name for d in _MODELS.values() if d.pretrained)
        raise InputError(f"pretrained: weights ship for {shipped} only, not for {name}; train it or load a checkpoint")
    module, _, attribute = description.factory.rpartition(":")
    with needing(f"srfast.models.create({name!r})"):
        if plugins.is_file(description.factory):
            factory = plugins.from_file(description.factory)
        else:
            factory = getattr(importlib.import_module(module), attribute)
    try:
        inspect.signature(factory).bind(scale, **options)
    except TypeError as error:
        raise InputError(f"{name}: {error}") from error
    model = factory(scale, **options)
    if pretrained:
        from safetensors.torch import load_file

        model.load_state_dict(load_file(WEIGHTS / f"{description.name}_x{scale}.safetensors"))
    return model
