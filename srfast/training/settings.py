"""What a training is: its settings, declared once, free of torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from srfast.errors import InputError
from srfast.ops.device import DEVICES, Device
from srfast.settings import (
    ONE,
    SWITCH,
    Kind,
    PathLike,
    fraction,
    mapping,
    number,
    numbers,
    one_of,
    path,
    paths,
    setting,
    text,
    whole,
)
from srfast.training.recipes import Recipe

Paths = PathLike | Sequence[PathLike]
_FILE = path(absolute=True)


def _threads(value: Any) -> int | None:
    return whole().plain(value) or None


@dataclass(frozen=True, kw_only=True)
class TrainSettings(Recipe):
    """The settings of ``srfast.train``: its own, and the fields of the model's recipe.

    Raises:
        InputError: a value out of range, or settings that do not go together.
    """

    scale: Literal[2, 3, 4] = setting(2, "HR / LR.", one_of(2, 3, 4), shown="that of a core-set, else 2")
    steps: int | None = setting(None, "Optimiser updates.", whole(1), free=True)
    epochs: float | None = setting(
        None,
        "Passes over the data's patches, a crop each, instead of `steps`: a smaller core-set gets fewer updates. "
        "Images count as the patches of a crop's size on their grid.",
        number("a positive number", lambda v: v > 0),
        free=True,
    )
    match_steps: bool = setting(
        False,
        "With `epochs`: as many updates as so many passes over the dataset that the core-set is from.",
        SWITCH,
        free=True,
    )
    seed: int = setting(0, "Random seed of the weights, the crops and all else.", whole())
    init: PathLike | None = setting(
        None,
        "Weights to start from, ours or the authors'; those of another scale as far as they fit.",
        _FILE,
        metavar="CKPT",
    )
    model_options: Mapping[str, Any] = setting(
        (),
        "A size of the model other than the paper's, such as blocks=8; repeatable.",
        mapping("NAME=VALUE, such as blocks=8", lambda _, v: int(v) if v.isdigit() else v, lambda v: v != ""),
        flag="--option",
        metavar="NAME=VALUE",
        repeated=True,
    )
    rescale: Sequence[float] = setting(
        (),
        "Also train on copies of the images smaller by these factors, such as 0.9,0.8,0.7,0.6.",
        numbers("factors between 0 and 1 with commas between, such as 0.9,0.8", lambda v: 0 < v < 1),
        metavar="F,F,...",
    )
    grow: int = setting(
        0,
        "HR pixels by which crops may leave the patches of a core-set; 0 keeps a crop of a patch's size in place.",
        whole(),
        metavar="N",
    )
    root: PathLike | None = setting(
        None, "The folder of a core-set's images, where they have moved since scoring.", _FILE, metavar="DIR", free=True
    )
    lr_images: PathLike | None = setting(
        None,
        "Folder of the LR images, where they exist already, each with the path of its HR image below the folder of the "
        "data; else those of the core-set, or they are made.",
        _FILE,
        metavar="DIR",
        free=True,
    )
    lr_template: str = setting(
        ONE,
        "Name of an LR image after its HR image's name without suffix, such as {}x4.",
        text("a name with {} in it"),
    )
    recipe: Literal["default", "paper"] = setting(
        "default", "paper: the paper's own optimiser for srcnn, fsrcnn, drrn and idn.", one_of("default", "paper")
    )
    reselect_every: int | None = setting(
        None,
        "Score the patches of the data (scores.parquet or a core-set) again every K updates by the model in training, "
        "and train on a part of them.",
        whole(1),
        metavar="K",
    )
    reselect_keep: float = setting(
        0.5, "The fraction then trained on, the hardest.", fraction("reselect_keep", zero=False, one=True)
    )
    reselect_drop: float = setting(0.05, "The fraction left out first, the hardest.", fraction("reselect_drop"))
    sample: str | None = setting(
        None,
        "Draw crops by the losses of the data (scores.parquet or a core-set): hard:0.5:0.75 (the hardest half for 75 % "
        "of the updates, then all), loss:1 (in proportion to that power of the loss), loss:1:annealed (the power falls "
        "to 0), loss:1:weighted (and each crop counts 1 / p). Left out: all alike.",
        text("how crops are drawn"),
        metavar="HOW",
    )
    precision: Literal["fp32", "bf16", "fp16"] = setting(
        "fp32", "Autocast; weights stay fp32.", one_of("fp32", "bf16", "fp16")
    )
    device: Device = setting("auto", "Where it runs.", one_of(*DEVICES), free=True)
    threads: int | None = setting(
        None,
        "CPU threads of the model and of reading.",
        Kind("a whole number of at least 1", _threads, "whole"),
        shown="one for each core that is idle",
        free=True,
    )
    cache_mb: int = setting(
        2048,
        "Decoded images kept in memory, in MiB; beyond it they are read when drawn.",
        whole(),
        free=True,
    )
    eval_data: Paths = setting((), "HR images to evaluate on.", paths("a folder of images"), metavar="DIR", free=True)
    eval_protocol: Literal["classic", "rgb"] | None = setting(
        None,
        "How it evaluates; see srfast eval.",
        one_of("classic", "rgb"),
        shown="the model's, as in srfast eval",
        free=True,
    )
    eval_ssim: Literal["wang", "skimage"] = setting(
        "wang", "Window of SSIM, as in srfast eval.", one_of("wang", "skimage"), free=True
    )
    eval_every: int = setting(0, "Steps between evaluations; 0 evaluates at the end only.", whole(), free=True)
    log_every: int = setting(100, "Steps between rows of log.csv.", whole(1), free=True)
    save_every: int = setting(1000, "Steps between checkpoints.", whole(1), free=True)

    def together(self) -> None:
        super().together()
        if (self.steps is None) == (self.epochs is None):
            raise InputError("steps: expected either `steps` or `epochs`")
        if self.match_steps and self.epochs is None:
            raise InputError("match_steps: expected `epochs` with it")
        if self.reselect_keep + self.reselect_drop > 1 + 1e-12:
            raise InputError(
                f"reselect_drop: expected a fraction with 0 <= reselect_drop <= 1 - reselect_keep = "
                f"{1 - self.reselect_keep:g}, got {self.reselect_drop!r}"
            )
        if self.root is not None and not os.path.isdir(self.root):
            raise InputError(f"root: expected the folder of the core-set's images, got {self.root!r}, which is none")
        if self.lr_images is not None:
            from srfast.data.lowres import LowRes  # NumPy, which a command's help need not wait for

            LowRes.open(self.lr_images, self.lr_template, "lr_images")
            if self.rescale:
                raise InputError("rescale: expected LR images that are made; those that exist have one size")
        elif self.lr_template != ONE:
            raise InputError("lr_template: expected `lr_images` with it")


@dataclass(frozen=True, kw_only=True)
class TrainArguments(TrainSettings):
    """The settings and what concerns one call."""

    resume: bool = setting(
        False,
        "Continue the run in the output folder, if there is one, with its own settings: the model, the data and the "
        "rest need not be given again, and `steps` may grow.",
        SWITCH,
    )
    quiet: bool = setting(True, "No progress on stderr.", SWITCH, python=True)
    say: Any = setting(
        None, "A function that is called with lines for a person.", Kind("a function", lambda v: v), python=True
    )


FREE = frozenset({"data", *(n for n, f in TrainSettings.__dataclass_fields__.items() if f.metadata.get("free"))})
"""What may change when a run is resumed; where the data are no longer the same, their fingerprint says so."""
