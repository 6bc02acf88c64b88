"""The settings of a selection, declared and checked once, without heavy imports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, NewType

from srfast.errors import InputError
from srfast.runtime import plugins
from srfast.scoring.settings import allow_missing_shards
from srfast.settings import (
    SWITCH,
    Kind,
    Settings,
    did_you_mean,
    fitting,
    fraction,
    images_root,
    numbers,
    one_of,
    path,
    progress,
    setting,
    text,
    texts,
    whole,
)

if TYPE_CHECKING:
    import numpy as np

    from srfast.runtime.progress import Progress
    from srfast.scoring.rows import Rows


@dataclass(frozen=True)
class Method:
    """A way to choose patches: all that selection, help, joins, studies and documentation know of it.

    A function is itself or, so that a list of methods loads none, "module:function" below ``srfast.coreset``.
    """

    source: str
    """The publication or the idea that the method comes from."""
    key: Any = "loss"
    """The numbers by which ``window`` ranks: a ``SortKey`` of ``methods.base``, or the name of a column."""
    ordering: Any = None
    """An ``Ordering`` of ``methods.base``; None: the order of ``key``."""
    counts: bool = False
    """Whether the order depends on the number of patches that will be kept, which ``keep_loss`` does not know."""
    help: str = ""
    """One line of help."""
    unit: str = ""
    """The unit of the column of its name, as a page shows it."""
    scored: bool = True
    """Whether a study selects by it once for each scorer."""
    target: Any = None
    """Function that adds the column of the method's name to a table for the images of ``target``."""


GROUP = "srfast.methods"
"""Group of entry points of installed packages: a name, and a function or ``Method``."""
METHODS = {
    "loss": Method("Moser, Raue, Dengel (2024), arXiv 2403.17083, Section 3.2",
                   help="the loss of the network (Moser et al.)", unit="mse"),
    "bicubic": Method("the control without a network: the same loss of plain bicubic", "bicubic", scored=False,
                      help="the loss of bicubic interpolation, without a network", unit="mse"),
    "sobel": Method("Ding et al., Hierarchical Dataset Condensation (IEEE SPL 2023), texture complexity", "sobel",
                    scored=False, help="the mean gradient (Ding et al.)"),
    "reducible": Method("after Mindermann et al. (2022), arXiv 2206.07137", "methods.base:reducible",
                        help="bicubic - loss, which is what the network gains"),
    "relative": Method("reducible as a part of bicubic's loss", "methods.base:relative",
                       help="(bicubic - loss) / bicubic, which noise does not raise"),
    "random": Method("the control of every comparison", ordering="methods.base:random", scored=False,
                     help="a uniform draw"),
    "stratified": Method("stratified sampling by loss, 20 quantiles", ordering="methods.base:stratified",
                         counts=True, help="the same number from each of 20 loss quantiles"),
    "hdc": Method("Ding et al., Hierarchical Dataset Condensation (IEEE SPL 2023)", "sobel", "methods.textures:hdc",
                  counts=True, help="Sobel, then a draw from clusters of texture (Ding et al.)"),
    "diverse": Method("coverage: k-means on the patches' spectra", ordering="methods.textures:diverse", counts=True,
                      help="clusters of texture in turn, typical patches first"),
    "influence": Method("influence functions of the scorer (Koh and Liang, ICML 2017): docs/influence.md", "influence",
                        help="the predicted decrease of the scorer's loss on `target` (docs/influence.md)",
                        target="methods.textures:influential"),
    "similar": Method("the control of influence: the nearest spectrum", "similar",
                      help="the similarity of texture to `target`", target="methods.textures:similar"),
}  # fmt: skip
"""The methods of the package; any numeric column of the score table is a method too."""
TARGETED = tuple(name for name, method in METHODS.items() if method.target)
"""Methods that choose for a target; a table may also hold each of them as a column."""
COMPUTED = tuple(name for name, method in METHODS.items() if method.key != name)
"""Methods that would not read a column of their name."""


def listed() -> dict[str, str]:
    """Every name with a line of help, those that installed packages add included."""
    theirs = {name: f"added by {point.value.partition(':')[0]}" for name, point in plugins.added(GROUP).items()}
    return {**theirs, **{name: method.help for name, method in METHODS.items()}}


ORDERS = {"des": "the highest", "asc": "the lowest"}
PER_IMAGE = {
    "share": "the same share of every image",
    "even": "the same number from every image, as far as it has so many",
}
SIZES = {
    "best": "of patches at two sizes that overlap by more than half of the smaller one, only that which the method "
    "ranks first is kept",
    "all": "patches of all sizes may be kept",
}
ENGINES = ("auto", "memory", "duckdb")
"""Former ways of sorting the tables."""

Column = NewType("Column", str)
"""A numeric column of the table as the method, for code under a type checker: ``srfast.Column("blockiness")``."""
Own = Callable[["Rows"], "np.ndarray"]
"""A method of the caller's own: it returns one number per row of the table; the order "des" keeps the highest first."""
SCORES = ("loss", "bicubic", "sobel")
"""Numeric columns that every score table has, and that may be sorted by."""
POSITIONAL = ("keep", "order", "drop_hardest", "method", "max_per_image", "seed")
"""The settings that ``srfast.select`` once took by position."""


def _listed(choices: dict[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in choices.items())


_METHODS = _listed({name: method.help for name, method in METHODS.items()})
_METHOD = fitting(lambda value: callable(value) or hasattr(value, "ordering") or (isinstance(value, str) and value))


@dataclass(frozen=True, kw_only=True)
class Selection(Settings):
    """The settings that determine which patches a core-set holds."""

    keep: float | None = setting(
        None,
        "Fraction r of the N patches to keep, 0 < r <= 1. round(r * N) patches are kept, half up, and at least one.",
        fraction("keep", zero=False, one=True),
        shown="0.5, or all of `window`",
        said="share to keep",
    )
    keep_loss: float | None = setting(
        None,
        "Share F of the summed loss to keep, 0 < F <= 1, in place of `keep`: patches are taken in the method's order "
        "until they hold it. The sum is over all patches that may be kept, without those of `drop_hardest`.",
        fraction("keep_loss", zero=False, one=True),
        shown="`keep` decides",
        more="The patch that reaches F is kept. ``window``, ``nms``, ``max_per_image`` and ``sizes`` limit what is "
        "kept, and do not change the sum.",
        said="share of the error to keep",
    )
    order: str = setting("des", f"Which values are kept first. {_listed(ORDERS)}.", one_of(*ORDERS))
    drop_hardest: float = setting(
        0.0,
        "Fraction of all patches, the hardest by loss, that is dropped before the selection, from 0 to below 1. 0.05 "
        "gives the paper's refined core-set.",
        fraction("drop_hardest"),
        more="``keep`` remains a fraction of all patches.",
        said="share dropped first as the hardest",
    )
    method: str | Column | Own | Method = setting(
        "loss",
        f"Score to sort the patches by, or way to draw them. {_METHODS}; COLUMN: any numeric "
        "column of the table; FILE.py:NAME: a function of your own (docs/extending.md).",
        Kind("a method's name, a column or a function", _METHOD),
        words=tuple(METHODS),
        metavar="|".join([*METHODS, "COLUMN", "FILE.py:NAME"]),
        more="In Python it may also be the function itself. docs/selection.md has the sources.",
    )
    max_per_image: int | None = setting(
        None,
        "Largest number of patches to keep of one image, at least 1; those that the method ranks first are kept.",
        whole(1),
        shown="no limit",
        said="most of one image",
    )
    seed: int = setting(
        0, "Random seed of the methods that draw, at least 0.", Kind("a non-negative integer", whole().convert, "whole")
    )
    where: str | None = setting(
        None,
        "Condition that patches must meet, as SQL on the columns, for example 'bicubic > 0.5 and x < 2000'. All "
        "fractions are then of the patches that meet it.",
        text("a condition such as 'loss > 10'"),
        metavar="EXPR",
        said="condition",
    )
    window: tuple[float, float] | None = setting(
        None,
        "Range of ranks to choose from, as two fractions from 0 to 1, for example 0.05:0.55. The ranks are those of "
        "the method in `order`, or those of the loss if the method does not sort.",
        numbers("two shares LO, HI with 0 <= LO < HI <= 1", lambda v: 0 <= v <= 1, 2, ":"),
        metavar="LO:HI",
        said="range of ranks",
    )
    flat_floor: float = setting(
        0.0,
        "Fraction of the kept patches, from 0 to below 1, that is reserved for the easiest by loss, whatever the "
        "method.",
        fraction("flat_floor"),
        said="share of the easiest always kept",
    )
    per_image: str | None = setting(
        None,
        f"How to spread the kept patches over the images. {_listed(PER_IMAGE)}. From each image, those that the method "
        "ranks first are kept.",
        one_of(*PER_IMAGE),
        shown="they are not spread",
        said="quota of an image",
    )
    nms: float | None = setting(
        None,
        "Largest overlap of two kept patches of an image, as intersection over union from 0 to below 1. Patches are "
        "taken greedily in the method's order.",
        Kind("an overlap with 0 <= nms < 1", fraction("nms").convert, "number"),
        metavar="IOU",
        shown="no limit",
        said="largest overlap of two kept",
    )
    target: str | os.PathLike[str] | None = setting(
        None,
        "Images that the model should reconstruct well, a folder or a file; the methods influence and similar select "
        "for them.",
        path(absolute=True),
        metavar="DIR",
    )
    clean: bool = setting(
        False,
        "Leave out patches with defects beyond the thresholds, and all patches of images that are beyond them as a "
        "whole (docs/defects.md). With -v the equivalent `where` is printed.",
        SWITCH,
        more="The table needs the columns of ``score(defects=True)``.",
    )
    reject: str | os.PathLike[str] | None = setting(
        None,
        "List of patches and images to leave out, such as `srfast audit` writes: a CSV file with the columns "
        "image,x,y,size,reason, where empty x, y and size stand for the whole image.",
        path(),
        metavar="FILE",
    )

    sizes: str = setting(
        "best",
        f"How to choose among several sizes of an image (`srfast score --shrink`). {_listed(SIZES)}.",
        one_of(*SIZES),
    )
    one_size: bool = setting(
        False,
        "From each image, choose only among the patches of one size, the largest at which the image is no longer soft "
        "(docs/selection.md). All fractions are then of these patches.",
        SWITCH,
    )

    def validate(self) -> None:
        super().validate()
        if self.keep_loss is not None:
            for name, value in (("keep", self.keep), ("flat_floor", self.flat_floor or None)):
                if value is not None:
                    raise InputError(f"{name}: cannot be combined with keep_loss, got {name}={value:g}")
        if self.target is not None and self.method not in TARGETED:
            raise InputError(f"target: needs the method influence or similar, got {self.method!r}")
        if self.reject is not None and not os.path.isfile(self.reject):
            raise InputError(f"reject: {os.fspath(self.reject)}: no such file")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise InputError(f"window: expected two shares LO, HI with 0 <= LO < HI <= 1, got {self.window!r}")

    def checked(self, columns: Iterable[str] = SCORES) -> Selection:
        """Returns itself after a check of the method against the numeric columns of the table. Raises InputError if it
        is neither known nor one of them, or lacks its target."""
        if not isinstance(self.method, str):
            return self
        columns = list(columns)
        if self.method in TARGETED and (self.method in columns) == (self.target is not None):
            if self.target is None:
                raise InputError(
                    f"target: expected images to choose the patches for, got none with method {self.method}"
                )
            raise InputError(f"target: the table has a column {self.method!r} already",
                             hint="leave the target out, or take the table without the column")  # fmt: skip
        if self.method not in METHODS and self.method not in columns and not plugins.is_file(self.method):
            names = [*METHODS, *plugins.added(GROUP), *(c for c in columns if c not in METHODS)]
            if self.method not in names:
                near = did_you_mean(self.method, names)
                raise InputError(
                    f"method: expected one of {', '.join(names)}, or a numeric column of the table, "
                    f"got {self.method!r}",
                    hint=f"did you mean {near}?" if near else None,
                )
        return self

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values for the core-set's metadata, with a function as its name."""
        values = {name: v for name, v in self.values().items() if name in ARGUMENTS}
        if not isinstance(self.method, str):
            values["method"] = getattr(self.method, "__name__", None) or getattr(self.method, "source", "own")
        return values


@dataclass(frozen=True, kw_only=True)
class SelectArguments(Selection):
    """All arguments of ``srfast.select`` except the scores."""

    root: str | os.PathLike[str] | None = images_root(
        path(), "; the methods hdc, diverse, influence and similar read them"
    )
    engine: str = setting(
        "auto",
        "Has no effect any more. Tables of every size are read in the same way, column by column.",
        one_of(*ENGINES),
    )
    allow_missing_shards: bool = allow_missing_shards()
    progress: Progress | bool | None = progress("rows written, rows in all, rows written")


ARGUMENTS = tuple(Selection.__dataclass_fields__)
COUNTS = {
    "patches": "patches to choose from",
    "passing": "patches that meet the condition",
    "kept": "kept",
    "dropped_hardest": "patches dropped as the hardest",
}
"""What the metadata of a core-set count beside the settings of its selection."""


def share(fraction: float, n: int) -> int:
    """The number of patches that is that fraction of n, rounded half up."""
    return int(fraction * n + 0.5)


@dataclass(frozen=True, kw_only=True)
class ManifestArguments(Settings):
    """The settings of ``srfast.manifest``."""

    name: str | None = setting(None, "Name of the selection.", text("a name"), shown="that of the folder")
    licence: str | None = setting(
        None, "Licence of the selection, by its URL or name. It does not apply to the images.", text("a licence")
    )
    url: str | None = setting(None, "Address at which the selection is published.", text("an address"))
    creator: str | None = setting(None, "Who made the selection.", text("a name"))
    published: str | None = setting(
        None,
        "Date of publication, such as 2026-01-31.",
        Kind("a date such as 2026-01-31", lambda value: date.fromisoformat(value).isoformat()),
        metavar="DATE",
    )
    source: tuple[str, ...] = setting(
        (),
        "Where the images are from: DATASET=URL for all of them, or a CSV file with the columns image, dataset, "
        "version, licence and url, where image is the path of an image or the beginning of it. Repeatable.",
        texts("DATASET=URL, or a CSV file"),
        repeated=True,
        metavar="DATASET=URL|CSV",
    )
    rejects: str | os.PathLike[str] | None = setting(
        None,
        "List of rejects, as `audit` writes it, whose images are published by hash with their reasons.",
        path(),
        metavar="CSV",
    )
    degradation: str | os.PathLike[str] | None = setting(
        None,
        "The degradation.parquet of an export, whose draws are published too.",
        path(),
        metavar="PARQUET",
    )
    run: tuple[str, ...] = setting(
        (),
        "Folder of a training, or JSON of an evaluation, whose settings and numbers are published. Repeatable.",
        texts("folders of trainings or JSON files"),
        repeated=True,
        metavar="RUN",
    )
    root: str | os.PathLike[str] | None = images_root(path())
    progress: Progress | bool | None = progress("images done, images in all, patches")


@dataclass(frozen=True, kw_only=True)
class RebuildArguments(Settings):
    """The settings of ``srfast.rebuild``."""

    output: str | os.PathLike[str] | None = setting(None, "Core-set to write, such as coreset.parquet.", path())
    partial: bool = setting(
        False, "Continue without the images that are missing or differ from the manifest, and record them.", SWITCH
    )
    verify: bool = setting(False, "Check the images only; nothing is written.", SWITCH)
    progress: Progress | bool | None = progress("images done, images in all, patches")

    def validate(self) -> None:
        if self.verify == (self.output is not None):
            raise InputError("output: expected a core-set to write, or `verify`, and not both")
