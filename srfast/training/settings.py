"""The settings of a training, declared once, without importing torch."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from srfast.degradation.settings import degradation
from srfast.errors import refuse
from srfast.ops.device import Device, device
from srfast.settings import (
    PAIR_SCALES,
    SWITCH,
    Kind,
    PathLike,
    check_same_size,
    images_root,
    lr_template,
    mapping,
    number,
    numbers,
    one_of,
    path,
    paths,
    setting,
    whole,
)
from srfast.training.recipes import Recipe

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from srfast.coreset.selection import CoreSet
    from srfast.scoring.table import ScoreTable

Paths = PathLike | Sequence[PathLike]
Data: TypeAlias = "Paths | ScoreTable | CoreSet | pyarrow.Table | pandas.DataFrame"
"""Images and folders of them, or one table: its path or itself."""
_FILE = path(absolute=True)


@dataclass(frozen=True, kw_only=True)
class TrainSettings(Recipe):
    """The settings of ``srfast.train``: its own, and the fields of the model's recipe.

    Raises:
        InputError: a value is out of range, or two settings contradict each other.
    """

    scale: Literal[1, 2, 3, 4] = setting(
        2,
        "Super-resolution factor: the side of an HR image over that of its LR image. 1: restoration at the same size, "
        "of LR images that exist or of a degradation.",
        one_of(*PAIR_SCALES),
        shown="that of the core-set, or 2 for images",
    )
    steps: int | None = setting(None, "Number of optimiser updates.", whole(1), free=True)
    epochs: float | None = setting(
        None,
        "Number of passes over the data, instead of `steps`. A pass draws one crop for every patch, so that a smaller "
        "core-set gets fewer updates; an image counts as the crops that fit side by side in it.",
        number("a positive, finite number", lambda v: 0 < v < math.inf),
        free=True,
    )
    match_steps: bool = setting(
        False,
        "With `epochs`, make as many updates as for that many passes over the whole dataset from which the core-set "
        "was chosen.",
        SWITCH,
        free=True,
        needs="epochs",
    )
    seed: int = setting(
        0, "Random seed of the weights, the crops and everything else, at least 0.", whole(most=2**63 - 1)
    )
    init: PathLike | None = setting(
        None,
        "File of weights to start from, written by srfast or by the network's authors. If it is for another scale, the "
        "weights that fit are taken.",
        _FILE,
        metavar="CKPT",
        shown="random weights",
    )
    model_options: Mapping[str, Any] = setting(
        (),
        "Size of the model that differs from the paper's, such as blocks=8. Repeatable.",
        mapping("NAME=VALUE, such as blocks=8", lambda _, v: int(v) if v.isdigit() else v, lambda v: v != ""),
        flag="--option",
        metavar="NAME=VALUE",
        repeated=True,
    )
    rescale: Sequence[float] = setting(
        (),
        "Also train on copies of the images shrunk by these factors between 0 and 1, such as 0.9,0.8,0.7,0.6.",
        numbers("factors between 0 and 1 with commas between, such as 0.9,0.8", lambda v: 0 < v < 1),
        metavar="F,F,...",
    )
    grow: int = setting(
        0,
        "Number of HR pixels by which a crop may reach beyond its patch of a core-set at each side. With 0, a crop as "
        "large as its patch has only one position.",
        whole(),
        metavar="N",
    )
    root: PathLike | None = images_root(_FILE, free=True)
    lr_images: PathLike | None = setting(
        None,
        "Folder of LR images to use instead of making them. An LR image has the path that its HR image has below the "
        "folder of the data.",
        _FILE,
        metavar="DIR",
        free=True,
        shown="those that the core-set was scored with, or none",
    )
    lr_template: str = lr_template()
    degradation: PathLike | None = degradation(
        "Degradation that makes LR images, with a fresh draw in each pass over the data, by `seed`; evaluations take "
        "draw 0.",
        shown="MATLAB's bicubic",
    )
    depth: Literal[8, 16] = setting(
        8, "Bits per channel with which images are read, in the training and its evaluations; 16 as in `srfast "
        "export`.",
        one_of(8, 16),
    )  # fmt: skip
    recipe: Literal["default", "paper"] = setting(
        "default",
        "Recipe to train by. default: that of this help. paper: the paper's own optimiser, for srcnn, fsrcnn, drrn and "
        "idn.",
        one_of("default", "paper"),
    )
    precision: Literal["fp32", "bf16", "fp16"] = setting(
        "fp32", "Precision of autocast; the weights remain fp32.", one_of("fp32", "bf16", "fp16")
    )
    device: Device = device("trains", free=True)
    threads: int | None = setting(
        None,
        "Number of CPU threads that compute and read images.",
        Kind("a whole number of at least 1", lambda value: whole().convert(value) or None, "whole"),
        shown="one per idle core",
        free=True,
    )
    cache_mb: int = setting(
        2048,
        "Memory for decoded images in MiB; images that do not fit are read again whenever they are drawn.",
        whole(),
        free=True,
    )
    eval_data: Paths = setting(
        (),
        "HR images, or folders of them, to evaluate the model on. Repeatable.",
        paths("a folder of images"),
        metavar="DIR",
        free=True,
    )
    eval_lr_images: PathLike | None = setting(
        None, "Folder of the LR images of `eval_data`, as for `srfast eval --lr-images`.", _FILE, metavar="DIR",
        free=True, needs="eval_data",
    )  # fmt: skip
    eval_protocol: Literal["classic", "rgb"] | None = setting(
        None,
        "Protocol of the evaluation; `srfast eval --help` describes both.",
        one_of("classic", "rgb"),
        shown="classic for Y models, rgb for RGB models",
        free=True,
    )
    eval_ssim: Literal["wang", "skimage"] = setting(
        "wang", "Window of SSIM; `srfast eval --help` describes both.", one_of("wang", "skimage"), free=True
    )
    eval_every: int = setting(
        0, "Number of updates between evaluations. With 0, the model is evaluated at the end only.", whole(), free=True
    )
    log_every: int = setting(100, "Number of updates between rows of log.csv.", whole(1), free=True)
    save_every: int = setting(1000, "Number of updates between checkpoints.", whole(1), free=True)

    def validate(self) -> None:
        super().validate()
        made, given = self.degradation is not None, self.lr_images is not None
        known = self.eval_lr_images is not None or made or not self.eval_data
        check_same_size(self.scale, known, "`eval_lr_images` with `eval_data`, or `degradation`,")
        deep, folder = self.depth == 16, f"the folder of the core-set's images, got {self.root!r}"
        refuse(
            ((self.steps is None) == (self.epochs is None), "steps: expected either `steps` or `epochs`"),
            (self.root and not os.path.isdir(self.root), f"root: expected {folder}, which is not a folder"),
            (deep and made, "depth: expected 8 with `degradation`, which makes LR of 8 bits, got 16"),
            (
                deep and self.eval_protocol == "classic",
                "depth: expected 8 with `eval_protocol` classic, which rounds Y to 8 bits, got 16",
            ),
            (given and made, "degradation: expected LR images that are made, got `lr_images` as well"),
            (given and self.rescale, "rescale: expected LR images that are made; those that exist have one size"),
        )
        if self.lr_images is not None:
            from srfast.data.lowres import LowRes  # NumPy, which a command's help need not wait for

            LowRes.open(self.lr_images, self.lr_template)


@dataclass(frozen=True, kw_only=True)
class TrainArguments(TrainSettings):
    """The settings of a training, and those that concern one call only."""

    resume: bool = setting(
        False,
        "Continue the run in the output folder, if there is one, with its settings. The model, the data and the other "
        "settings need not be given again, and `steps` may grow.",
        SWITCH,
    )
    quiet: bool = setting(True, "Whether to show no progress on stderr.", SWITCH, python=True)
    say: Any = setting(
        None,
        "Function that is called with each line of text for a person.",
        Kind("a function", lambda v: v),
        python=True,
    )


FREE = frozenset({"data", *(n for n, f in TrainSettings.__dataclass_fields__.items() if f.metadata.get("free"))})
"""Settings that may change when a run is resumed; the data's fingerprint shows whether the data are the same."""
