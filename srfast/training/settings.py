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

    scale: Literal[2, 3, 4] = setting(
        2,
        "How many times larger an HR image is than its LR image, on each side.",
        one_of(2, 3, 4),
        shown="that of a core-set, else 2",
    )
    steps: int | None = setting(None, "Number of optimiser updates.", whole(1), free=True)
    epochs: float | None = setting(
        None,
        "Number of passes over the patches of the data, one crop for each, instead of `steps`; a smaller core-set then "
        "gets fewer updates. Images count as the patches of a crop's size on their grid.",
        number("a positive number", lambda v: v > 0),
        free=True,
    )
    match_steps: bool = setting(
        False,
        "With `epochs`, make as many updates as that many passes over the dataset that the core-set was chosen from.",
        SWITCH,
        free=True,
    )
    seed: int = setting(0, "Random seed of the weights, the crops and all else.", whole())
    init: PathLike | None = setting(
        None,
        "File of weights to start from, of srfast or of the network's authors; of weights for another scale, those "
        "that fit are taken.",
        _FILE,
        metavar="CKPT",
    )
    model_options: Mapping[str, Any] = setting(
        (),
        "A size of the model that differs from the paper's, such as blocks=8. Repeatable.",
        mapping("NAME=VALUE, such as blocks=8", lambda _, v: int(v) if v.isdigit() else v, lambda v: v != ""),
        flag="--option",
        metavar="NAME=VALUE",
        repeated=True,
    )
    rescale: Sequence[float] = setting(
        (),
        "Train also on copies of the images that are smaller by these factors, such as 0.9,0.8,0.7,0.6.",
        numbers("factors between 0 and 1 with commas between, such as 0.9,0.8", lambda v: 0 < v < 1),
        metavar="F,F,...",
    )
    grow: int = setting(
        0,
        "Number of HR pixels by which a crop may leave its patch of a core-set; with 0 a crop as large as its patch "
        "has one place.",
        whole(),
        metavar="N",
    )
    root: PathLike | None = setting(
        None, "Folder of a core-set's images, where they have moved since scoring.", _FILE, metavar="DIR", free=True
    )
    lr_images: PathLike | None = setting(
        None,
        "Folder of LR images that exist already, each with the path that its HR image has below the folder of the "
        "data. Without it, those that the core-set was scored with are taken, or LR images are made.",
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
        "default",
        "Which recipe to train by. paper: the optimiser of the paper, for srcnn, fsrcnn, drrn and idn.",
        one_of("default", "paper"),
    )
    reselect_every: int | None = setting(
        None,
        "Every K updates, score the patches of the data (scores.parquet or a core-set) by the model in training, and "
        "go on with a part of them.",
        whole(1),
        metavar="K",
    )
    reselect_keep: float = setting(
        0.5,
        "Fraction of the patches, the hardest, that is trained on after `reselect_every`.",
        fraction("reselect_keep", zero=False, one=True),
    )
    reselect_drop: float = setting(
        0.05, "Fraction of the patches, the hardest, that is left out before.", fraction("reselect_drop")
    )
    sample: str | None = setting(
        None,
        "How crops are drawn by the losses of the data (scores.parquet or a core-set). hard:0.5:0.75: from the "
        "hardest half for 75 % of the updates, then from all; loss:1: in proportion to that power of the loss; "
        "loss:1:annealed: the power falls to 0; loss:1:weighted: a crop drawn with probability p counts 1 / p. "
        "Without it, all crops are drawn alike.",
        text("how crops are drawn"),
        metavar="HOW",
    )
    precision: Literal["fp32", "bf16", "fp16"] = setting(
        "fp32", "Precision that autocast computes in; weights stay fp32.", one_of("fp32", "bf16", "fp16")
    )
    device: Device = setting(
        "auto", "The device that trains. auto takes a GPU where there is one.", one_of(*DEVICES), free=True
    )
    threads: int | None = setting(
        None,
        "Number of CPU threads that compute and read.",
        Kind("a whole number of at least 1", _threads, "whole"),
        shown="one for each core that is idle",
        free=True,
    )
    cache_mb: int = setting(
        2048,
        "MiB of memory for decoded images; images beyond it are read when they are drawn.",
        whole(),
        free=True,
    )
    eval_data: Paths = setting(
        (),
        "HR images, or folders of them, to evaluate on. Repeatable.",
        paths("a folder of images"),
        metavar="DIR",
        free=True,
    )
    eval_protocol: Literal["classic", "rgb"] | None = setting(
        None,
        "Protocol of the evaluation, as `srfast eval` describes it.",
        one_of("classic", "rgb"),
        shown="the model's, as in srfast eval",
        free=True,
    )
    eval_ssim: Literal["wang", "skimage"] = setting(
        "wang", "Window of SSIM, as `srfast eval` describes it.", one_of("wang", "skimage"), free=True
    )
    eval_every: int = setting(
        0, "Number of updates between evaluations; 0 evaluates at the end only.", whole(), free=True
    )
    log_every: int = setting(100, "Number of updates between rows of log.csv.", whole(1), free=True)
    save_every: int = setting(1000, "Number of updates between checkpoints.", whole(1), free=True)

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
        "Continue the run in the output folder, where there is one, with the settings that it has: the model, the "
        "data and the rest need not be given again, and `steps` may grow.",
        SWITCH,
    )
    quiet: bool = setting(True, "No progress on stderr.", SWITCH, python=True)
    say: Any = setting(
        None, "A function that is called with lines for a person.", Kind("a function", lambda v: v), python=True
    )


FREE = frozenset({"data", *(n for n, f in TrainSettings.__dataclass_fields__.items() if f.metadata.get("free"))})
"""What may change when a run is resumed; where the data are no longer the same, their fingerprint says so."""
