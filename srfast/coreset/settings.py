"""What a selection is: its choices, typed once, and its arguments, checked once. Free of heavy imports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NewType

from srfast.errors import InputError
from srfast.runtime import plugins
from srfast.scoring.settings import ANY
from srfast.settings import SWITCH, Kind, Settings, did_you_mean, fraction, numbers, one_of, path, setting, text, whole

if TYPE_CHECKING:
    import numpy as np

    from srfast.coreset.methods.base import Method as OwnMethod
    from srfast.runtime.progress import Progress
    from srfast.scoring.rows import Rows

METHODS = {
    "loss": "the loss of the network (Moser et al.)",
    "bicubic": "the loss of bicubic interpolation, without a network",
    "sobel": "the mean gradient (Ding et al.)",
    "reducible": "bicubic - loss, which is what the network gains",
    "relative": "(bicubic - loss) / bicubic, which noise does not raise",
    "random": "a uniform draw",
    "stratified": "the same number of each of 20 loss quantiles",
    "hdc": "Sobel, then a draw from clusters of texture (Ding et al.)",
    "diverse": "clusters of texture in turn, typical patches first",
    "influence": "the predicted fall of the scorer's loss on `target` (docs/influence.md)",
    "similar": "nearness to the textures of `target`",
}
"""Name and one line of help; any numeric column of the score table is a method too."""
TARGETED = ("influence", "similar")
"""Methods that choose for a target; each is a column as well, where a table has it already."""
ORDERS = {"des": "the highest", "asc": "the lowest"}
PER_IMAGE = {
    "share": "the same share of every image",
    "even": "the same number of every image, as far as it has so many",
}
SIZES = {
    "best": "patches of two sizes of an image that overlap by more than half of the smaller one are one place, kept at "
    "the size where the method ranks it first",
    "all": "each size is kept or left by itself",
}
ENGINES = {
    "auto": "duckdb from 20 million patches on",
    "memory": "NumPy, with the tables in memory",
    "duckdb": "DuckDB, with the tables on disk",
}

Column = NewType("Column", str)
"""``srfast.Column("blockiness")``: a numeric column of the table as the method, where a type checker reads along."""
Method = Literal[
    "loss",
    "bicubic",
    "sobel",
    "reducible",
    "relative",
    "random",
    "stratified",
    "hdc",
    "diverse",
    "influence",
    "similar",
]
Own = Callable[["Rows"], "np.ndarray"]
"""A method of the caller's: a number for each row of the table; high means: kept first under "des"."""
Sorter = Literal["auto", "memory", "duckdb"]
Order = Literal["des", "asc"]
PerImage = Literal["share", "even"]
Sizes = Literal["best", "all"]

SCORES = ("loss", "bicubic", "sobel")
"""Numeric columns that every score table has, and that may be sorted by."""
POSITIONAL = ("keep", "order", "drop_hardest", "method", "max_per_image", "seed")
"""The settings that ``srfast.select`` once took by position."""


def _listed(choices: dict[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in choices.items())


def _method(value: Any) -> Any:
    if not (callable(value) or hasattr(value, "ordering") or (isinstance(value, str) and value)):
        raise ValueError
    return value


@dataclass(frozen=True, kw_only=True)
class Selection(Settings):
    """What makes a core-set what it is."""

    keep: float | None = setting(
        None,
        "Fraction r of the N patches to keep, 0 < r <= 1: round(r * N) patches, half up, and at least one.",
        fraction("keep", zero=False, one=True),
        shown="0.5, or all of `window`",
    )
    order: Order = setting("des", f"Which values are kept first. {_listed(ORDERS)}.", one_of(*ORDERS))
    drop_hardest: float = setting(
        0.0,
        "Fraction of the patches, the hardest by loss, that is dropped first; 0.05 gives the paper's refined core-set.",
        fraction("drop_hardest"),
        more="With keep=0.5, what is kept is then the hardest round(r * N) of what is left.",
    )
    method: Method | Column | Own | OwnMethod = setting(
        "loss",
        f"What patches are sorted or drawn by. {_listed(METHODS)}; COLUMN: any numeric column of the table; "
        "FILE.py:NAME: a function of yours (docs/extending.md).",
        Kind("a method's name, a column or a function", _method),
        metavar="|".join([*METHODS, "COLUMN", "FILE.py:NAME"]),
        more="In Python also the function itself. docs/selection.md has the sources.",
    )
    max_per_image: int | None = setting(
        None, "Largest number of patches of one image; the first in the method's order are kept.", whole(1)
    )
    seed: int = setting(0, "Random seed of methods that draw.", Kind("a non-negative integer", whole().plain, "whole"))
    where: str | None = setting(
        None,
        "Choose only among patches for which this condition holds; fractions are of these. It is SQL on the columns, "
        "for example 'bicubic > 0.5 and x < 2000'.",
        text("a condition such as 'loss > 10'"),
        metavar="EXPR",
    )
    window: tuple[float, float] | None = setting(
        None,
        "Choose only among patches whose rank by the method, in `order`, lies between these fractions, for example "
        "0.05:0.55. Where the method does not sort, the rank is that of the loss.",
        numbers("two shares LO, HI with 0 <= LO < HI <= 1", lambda v: 0 <= v <= 1, 2, ":"),
        metavar="LO:HI",
    )
    flat_floor: float = setting(
        0.0,
        "Fraction of what is kept that is given to the easiest patches by loss, whatever the method.",
        fraction("flat_floor"),
    )
    per_image: PerImage | None = setting(
        None,
        f"Spread what is kept over the images. {_listed(PER_IMAGE)}. Each image gives its first in the method's order.",
        one_of(*PER_IMAGE),
    )
    nms: float | None = setting(
        None,
        "Largest overlap (intersection over union, from 0 to below 1) of two kept patches of an image; patches are "
        "taken greedily in the method's order.",
        Kind("an overlap with 0 <= nms < 1", fraction("nms").plain, "number"),
        metavar="IOU",
    )
    target: str | os.PathLike[str] | None = setting(
        None,
        "A folder or a file of images that a model shall be good at; the methods influence and similar choose for it.",
        path(absolute=True),
        metavar="DIR",
    )
    clean: bool = setting(
        False,
        "Leave out patches with defects beyond the thresholds, and all patches of an image that is beyond them as a "
        "whole (docs/defects.md). The `where` that does the same is printed.",
        SWITCH,
        more="The table has columns of ``score(defects=True)``.",
    )
    reject: str | os.PathLike[str] | None = setting(
        None,
        "Leave out what this list names. It is a CSV file with the columns image,x,y,size,reason; empty x, y and size "
        "mean the whole image.",
        path(),
        metavar="FILE",
        more="Such as ``srfast.audit`` writes.",
    )

    sizes: Sizes = setting(
        "best",
        f"What to do with images that were scored at several sizes (`shrink`). {_listed(SIZES)}.",
        one_of(*SIZES),
    )
    one_size: bool = setting(
        False,
        "Choose of each image among the patches of one size alone, the largest at which it is no longer soft "
        "(docs/selection.md); fractions are of these.",
        SWITCH,
    )

    def together(self) -> None:
        super().together()
        if self.target is not None and self.method not in TARGETED:
            raise InputError(f"target: expected method influence or similar with it, got method {self.method!r}")
        if self.reject is not None and not os.path.isfile(self.reject):
            raise InputError(f"reject: {os.fspath(self.reject)}: no such file")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise InputError(f"window: expected two shares LO, HI with 0 <= LO < HI <= 1, got {self.window!r}")

    def checked(self, columns: Iterable[str] = SCORES) -> Selection:
        """Passes itself through, where the method is one or a column.

        Args:
            columns: The numeric columns of the table to select from; without a table, those that every table has.

        Raises:
            InputError: the method is neither.
        """
        if not isinstance(self.method, str):
            return self
        columns = list(columns)
        if self.method in TARGETED and (self.method in columns) == (self.target is not None):
            if self.target is None:
                raise InputError(
                    f"target: expected images that the patches shall be chosen for, got none with method {self.method}"
                )
            raise InputError(f"target: the table has a column {self.method!r} already; leave the target out, or take "
                             "the table it was made from")  # fmt: skip
        if self.method not in METHODS and self.method not in columns and not plugins.is_file(self.method):
            names = [*METHODS, *plugins.added("srfast.methods"), *(c for c in columns if c not in METHODS)]
            if self.method not in names:
                near = did_you_mean(self.method, names)
                raise InputError(
                    f"method: expected one of {', '.join(names)}, or a numeric column of the table, got {self.method!r}"
                    + (f"; did you mean {near}?" if near else "")
                )
        return self

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the core-set's metadata: the settings of the selection, a function by its name."""
        found = {name: v for name, v in self.values().items() if name in ARGUMENTS}
        if not isinstance(self.method, str):
            found["method"] = getattr(self.method, "__name__", None) or getattr(self.method, "source", "own")
        return found


@dataclass(frozen=True, kw_only=True)
class SelectArguments(Selection):
    """The selection and what concerns one call: everything that ``srfast.select`` takes beside the scores."""

    root: str | os.PathLike[str] | None = setting(
        None, "Folder of the images, where they have moved since scoring; hdc and diverse read them.", path()
    )
    engine: Sorter = setting(
        "auto",
        f"What sorts the tables. {_listed(ENGINES)}.",
        one_of(*ENGINES),
        more="duckdb gives the same rows: it sorts, so it has no draws, clusters, `per_image` and `nms`.",
    )
    progress: Progress | bool | None = setting(
        None,
        "True shows a bar while duckdb selects; a function is called with (rows written, rows in all, rows written).",
        ANY,
        python=True,
    )


ARGUMENTS = tuple(Selection.__dataclass_fields__)


def share(fraction: float, n: int) -> int:
    """That fraction of n patches, half up."""
    return int(fraction * n + 0.5)


def counted(asked: Selection, n: int, left: int, dropped: int) -> int:
    """How many patches to keep, of ``n``, where ``left`` are left to choose from."""
    cuts = [
        f"{name}={value}" for name, value in (("drop_hardest", asked.drop_hardest), ("window", asked.window)) if value
    ]
    if not left:
        what = "drop_hardest" if asked.window is None else "window"
        raise InputError(f"{what}: nothing is left of {n} patches after {' and '.join(cuts)}")
    if asked.keep is None and asked.window is not None:
        return left
    keep = 0.5 if asked.keep is None else asked.keep
    count = max(1, share(keep, n))
    if count <= left:
        return count
    low, high = asked.window or (0.0, 1.0)
    if keep <= min(1 - asked.drop_hardest, high - low) + 1e-12:
        return left  # fractions that fit, of which both were rounded up
    raise InputError(
        f"keep: {keep:g} of {n} patches is {count}, but {' and '.join(cuts)} leaves {left}; "
        f"expected at most keep={int(1000 * left / n) / 1000:g}"
    )


def short_of(asked: Selection, n: int, count: int, kept: int, apart: bool = False) -> str | None:
    """Why there are fewer patches than asked for, if so; ``apart``: places are kept at one size."""
    if kept == count:
        return None
    limits = [f"{k}={v}" for k, v in (("max_per_image", asked.max_per_image), ("nms", asked.nms)) if v is not None]
    limits += ["sizes=best"] if apart else []
    return (
        f"kept {kept} of the {count} patches asked for ({kept / n:.3g} of all): {' and '.join(limits)} allow"
        f"{'s' if len(limits) == 1 else ''} no more"
    )
