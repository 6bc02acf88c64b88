"""The list of all models."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

from srfast.errors import InputError, refuse
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


class ByScale(NamedTuple):
    """A field of a recipe that differs by scale, since crops have the papers' sizes; x1 is as x2."""

    x2: int
    x3: int
    x4: int


@dataclass(frozen=True)
class Description:
    """A network: all that creating, training, help and studies know of it."""

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
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ``training.recipes.Recipe`` by which it is trained, where they differ from the defaults."""
    papers_recipe: Mapping[str, Any] = field(default_factory=dict)
    """The paper's own optimiser (``--recipe paper``), where ``recipe`` has another."""
    build: Callable[..., nn.Module] | None = None
    """A class, a function or a module of the caller's, in place of ``factory``."""

    @property
    def foreign(self) -> bool:
        """Whether it is spandrel's, so that files of its authors have spandrel's names of tensors."""
        return self.factory.startswith("srfast.models.foreign:")

    @property
    def shipped(self) -> bool:
        """Whether it is a model of the package, whose weights are another matter; others bring their own."""
        return self.build is None and self.name in NETWORKS


# Adam, rates and patch sizes are the papers' or their maintained re-implementations', except where a comment
# says so. Averaged weights (ema) are SwinIR's and HAT's; SRCNN's and FSRCNN's are an addition.
_SWINIR_MILESTONES = (0.5, 0.8, 0.9, 0.95)
_PLKSR_MILESTONES = (2 / 9, 4 / 9, 6 / 9, 8 / 9, 17 / 18)
_SMALL = {"quantise": False, "channels_last": True}
NETWORKS = {
    d.name: d
    for d in (
        Description(
            "srcnn", "srfast.models.srcnn:SRCNN", "y", "Dong et al., 2014 (9-1-5)", pretrained=True,
            # The paper's SGD took 8e8 back-propagations. Measured at x2 with these crops, 2,000 steps, PSNR on Set5:
            # SOAP 36.06 dB, Adam (1e-3, and a tenth of it in the last layer) 35.05 dB; after 12,000 steps Adam had
            # reached 35.67 dB.
            recipe={
                "loss": "mse", "optimizer": "soap", "lr": 5e-3, "betas": (0.9, 0.99), "schedule": "cosine",
                "ema": 0.999, "loss_border": 3, "fp32_tail": 0.15, "batch": 8, "lr_patch": 32, **_SMALL,
            },
            # SGD, a tenth of the rate in the last layer, crops of 33 HR pixels of which the loss sees the inner 21.
            papers_recipe={
                "loss": "euclidean", "optimizer": "sgd", "lr": 1e-4, "milestones": (), "lr_factors": {"conv3": 0.1},
                "loss_border": ByScale(3, 2, 1), "batch": 128, "lr_patch": ByScale(16, 11, 8), **_SMALL,
            },
        ),
        Description(
            "fsrcnn", "srfast.models.fsrcnn:FSRCNN", "y", "Dong et al., 2016",
            # SOAP as for SRCNN: 36.62 dB on Set5 at x2 after 16,000 steps of 8 crops.
            recipe={
                "loss": "mse", "optimizer": "soap", "lr": 3e-3, "betas": (0.9, 0.99), "schedule": "cosine",
                "ema": 0.999, "loss_border": 4, "fp32_tail": 0.15, "batch": 8, "lr_patch": 32, **_SMALL,
            },
            # SGD, a tenth of the rate in the deconvolution; the batch is SRCNN's. The loss is a mean, as in the
            # maintained re-implementations that reach the paper's figures: summed over a crop, as Caffe does, it was
            # NaN after 15 updates.
            papers_recipe={
                "loss": "mse", "optimizer": "sgd", "lr": 1e-3, "milestones": (), "lr_factors": {"deconv": 0.1},
                "batch": 128, "lr_patch": ByScale(10, 7, 6), **_SMALL,
            },
        ),
        Description(
            "drrn", "srfast.models.drrn:DRRN", "y", "Tai et al., 2017 (B1U25)",
            # Adam at 1e-4, clipped at a norm of 1, in place of the paper's SGD at 0.1.
            recipe={"loss": "mse", "lr": 1e-4, "clip": 1.0, "lr_patch": 32, **_SMALL},
            # Halved every tenth epoch, of fifty here. Without the clipping a rate of 0.1 diverges.
            papers_recipe={
                "loss": "euclidean", "optimizer": "sgd", "lr": 0.1, "weight_decay": 1e-4, "clip": 0.01,
                "clip_by_rate": True, "lr_factors": {"first.1.bias": 0.1, "conv_?.bias": 0.1, "last.1.bias": 0.1},
                "batch": 128, "lr_patch": ByScale(16, 11, 8), **_SMALL,
            },
        ),
        Description(
            "idn", "srfast.models.idn:IDN", "y", "Hui et al., 2018",
            recipe={"lr": 1e-4, "milestones": (0.5, 0.75), "lr_patch": ByScale(39, 26, 19), **_SMALL},
            # A tenth after 250,000 and 500,000 of 600,000 updates; crops of the second stage.
            papers_recipe={
                "lr": 1e-4, "weight_decay": 1e-4, "milestones": (5 / 12, 10 / 12), "decay": 0.1,
                "lr_factors": {"*.bias": 0.1, "deconv": 0.1}, "batch": 64, "lr_patch": ByScale(39, 26, 19), **_SMALL,
            },
        ),
        Description("edsr_baseline", "srfast.models.edsr:baseline", "rgb", "Lim et al., 2017 (16 x 64)",
                    recipe={"lr": 1e-4, "milestones": (2 / 3,), "channels_last": True}),
        Description("edsr", "srfast.models.edsr:EDSR", "rgb", "Lim et al., 2017 (32 x 256)",
                    recipe={"lr": 1e-4, "milestones": (2 / 3,), "channels_last": True}),
        Description("rdn", "srfast.models.rdn:RDN", "rgb", "Zhang et al., 2018",
                    recipe={"lr": 1e-4, "lr_patch": ByScale(48, 32, 32), "channels_last": True}),
        Description("swinir", "srfast.models.foreign:swinir", "rgb", "Liang et al., 2021 (classical)", extra="train",
                    recipe={"milestones": _SWINIR_MILESTONES, "ema": 0.999, "batch": 32}),
        Description("swinir_light", "srfast.models.foreign:swinir_light", "rgb", "Liang et al., 2021 (lightweight)",
                    extra="train",
                    recipe={"milestones": _SWINIR_MILESTONES, "ema": 0.999, "batch": 64, "lr_patch": 64}),
        Description("rcan", "srfast.models.foreign:rcan", "rgb", "Zhang et al., 2018", extra="train",
                    recipe={"lr": 1e-4, "channels_last": True}),
        Description("hat", "srfast.models.foreign:hat", "rgb", "Chen et al., 2023", extra="train",
                    recipe={"betas": (0.9, 0.99), "milestones": _SWINIR_MILESTONES, "ema": 0.999, "batch": 32,
                            "lr_patch": 64}),
        # Real-ESRGAN's options/train_realesrnet_x4plus.yml: L1 at one rate, 48 crops; Compact has no file of its own
        # there.
        Description("compact", "srfast.models.foreign:compact", "rgb", "Wang et al., 2021", extra="train",
                    recipe={"betas": (0.9, 0.99), "milestones": (), "ema": 0.999, "batch": 48, "lr_patch": 64,
                            "channels_last": True}),
        # traiNNer-redux's options/_templates/train/SPAN/SPAN_fidelity.yml, with the batch that it calls the paper's;
        # the authors published no options.
        Description("span", "srfast.models.foreign:span", "rgb", "Wan et al., 2024", extra="train",
                    recipe={"lr": 5e-4, "betas": (0.9, 0.99), "batch": 64, "lr_patch": 64}),
        # PLKSR's options/train/train_PLKSR_DIV2K_X2_64_28_0.25_17.yaml, 450,000 updates; RealPLKSR has no file of its
        # own.
        Description("realplksr", "srfast.models.foreign:realplksr", "rgb", "Lee et al., 2024", extra="train",
                    recipe={"betas": (0.9, 0.99), "milestones": _PLKSR_MILESTONES, "batch": 64, "lr_patch": 96}),
        Description("san", "srfast.models.san:SAN", "rgb", "Dai et al., 2019", recipe={"lr": 1e-4}),
        Description("han", "srfast.models.han:HAN", "rgb", "Niu et al., 2020", recipe={"lr": 1e-4}),
        Description("nlsn", "srfast.models.nlsn:NLSN", "rgb", "Mei et al., 2021", recipe={"lr": 1e-4}),
        Description("ignn", "srfast.models.ignn:IGNN", "rgb", "Zhou et al., 2020", asset="matcher",
                    recipe={"lr": 1e-4, "batch": 4, "lr_patch": ByScale(80, 66, 40)}),
    )
}  # fmt: skip
"""The networks of the package, from which help, recipes, studies and the refusals of unknown names derive."""


GROUP = "srfast.models"
"""Group of entry points: a name, and a callable that takes the scale; its ``color`` is "y" or "rgb"."""


def names() -> list[str]:
    """The names that ``create`` takes: those of the package, and those that installed packages add."""
    return [*NETWORKS, *(n for n in plugins.added(GROUP) if n not in NETWORKS)]


def of_package(name: str) -> Description | None:
    """The description of a model of the package, by its name in any case; None for all others."""
    return NETWORKS.get(name.lower().replace("-", "_"))


def describe(model: Buildable) -> Description:
    """The description of a model that can be built: a name in any case, FILE.py:NAME, a class or function that takes
    the scale and returns a module, or a module. Raises InputError if the name is unknown, in which case the message
    proposes the nearest, or it is none of these."""
    if not isinstance(model, str):
        kind = type(model) if is_module(model) else model
        if is_module(model):
            from srfast.models.tiling import Descriptor

            color = Descriptor.of(cast(Any, model), 2).color
        elif callable(model):
            color = _color(model)
        else:
            raise InputError(f"model: expected a name, FILE.py:NAME, a module or its class, got {model!r}")
        name = getattr(kind, "__qualname__", type(model).__name__)
        return Description(name, "", color, "a model of the user's", build=model)
    if (description := of_package(model)) is not None:
        return description
    if plugins.is_file(model):
        path = Path(model).resolve()
        return Description(str(path), str(path), _color(plugins.from_file(model)), "a model of the user's")
    if point := plugins.added(GROUP).get(model):
        return Description(model, point.value, _color(plugins.loaded(GROUP, model)), f"added by {point.module}")
    near, known = did_you_mean(model, names()), ", ".join(names())
    message = f"model: expected one of {known}, or FILE.py:NAME, got {model!r}"
    raise InputError(message, hint=f"did you mean {near}?" if near else None)


def is_module(value: object) -> bool:
    """Whether a value is a torch module; torch is not imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _color(factory: Any) -> Literal["y", "rgb"]:
    color: Any = getattr(factory, "color", "rgb")
    if color not in ("y", "rgb"):
        raise InputError(f"model: expected an attribute color of 'y' or 'rgb', got {color!r}")
    return color


def weights_of(model: str | os.PathLike[str]) -> Path | None:
    """The file of weights that is meant: a file itself, or that of the training in a folder; None for a name. Raises
    InputError if the folder holds no trained model, or the text is both a name and such a folder."""
    file = Path(model) / OF_RUN
    if isinstance(model, str) and (of_package(model) is not None or model in plugins.added(GROUP)):
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
    return None if plugins.is_file(os.fspath(model)) or not Path(model).suffix else Path(model)


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
        shipped = ", ".join(d.name for d in NETWORKS.values() if d.pretrained)
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
        own, sizes = getattr(factory, "scale", scale), ", ".join(options)
        refuse(
            (
                own in SCALES and own != scale,
                f"scale: {type(factory).__name__} is a x{own} network, got `scale` {scale}",
            ),
            (options, f"model_options: expected none for a module, which has its size, got {sizes}"),
        )
        return factory
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
