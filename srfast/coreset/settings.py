"""What a selection is: its choices, typed once, and its arguments, checked once. Free of heavy imports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Literal, NewType, TypedDict

from srfast.errors import InputError

METHODS = {
    "loss": "the network's loss (Moser et al.)",
    "bicubic": "the loss of bicubic, no network",
    "sobel": "mean gradient (Ding et al.)",
    "reducible": "bicubic - loss, what the network gains",
    "relative": "(bicubic - loss) / bicubic, which noise does not raise",
    "random": "a uniform draw",
    "stratified": "the same number of each of 20 loss quantiles",
    "hdc": "Sobel, then a draw from clusters of texture (Ding et al.)",
    "diverse": "of clusters of texture in turn, typical patches first",
}
"""Name and one line of help; any numeric column of the score table is a method too."""
ORDERS = {"des": "the highest", "asc": "the lowest"}
PER_IMAGE = {
    "share": "the same share of every image",
    "even": "the same number of every image, as far as it has so many",
}

Column = NewType("Column", str)
"""``srfast.Column("blockiness")``: a numeric column of the table as the method, where a type checker reads along."""
Method = Literal["loss", "bicubic", "sobel", "reducible", "relative", "random", "stratified", "hdc", "diverse"]

ENGINES = {"auto": "duckdb from 20 million patches on", "memory": "the tables are read", "duckdb": "they stay on disk"}

Engine = Literal["auto", "memory", "duckdb"]
Order = Literal["des", "asc"]
PerImage = Literal["share", "even"]

SCORES = ("loss", "bicubic", "sobel")
"""Numeric columns that every score table has, and that may be sorted by."""


@dataclass(frozen=True)
class Selection:
    """The arguments of ``srfast.select``, which documents them."""

    keep: float | None = None
    order: str = "des"
    drop_hardest: float = 0.0
    method: str = "loss"
    max_per_image: int | None = None
    seed: int = 0
    where: str | None = None
    window: tuple[float, float] | None = None
    flat_floor: float = 0.0
    per_image: str | None = None
    nms: float | None = None

    def checked(self, columns: Iterable[str] = SCORES) -> Selection:
        """The same arguments as plain Python values.

        Args:
            columns: The numeric columns of the table to select from; without a table, those that every table has.

        Raises:
            InputError: an argument outside its range; names it.
        """
        if self.keep is not None and (not _is(self.keep, Real) or not 0 < self.keep <= 1):
            raise InputError(f"keep: expected a fraction with 0 < keep <= 1, got {self.keep!r}")
        _one_of("order", self.order, ORDERS)
        for name in ("drop_hardest", "flat_floor"):
            value = getattr(self, name)
            if not _is(value, Real) or not 0 <= value < 1:
                raise InputError(f"{name}: expected a fraction with 0 <= {name} < 1, got {value!r}")
        columns = list(columns)
        if self.method not in METHODS and self.method not in columns:
            names = [*METHODS, *(c for c in columns if c not in METHODS)]
            raise InputError(
                f"method: expected one of {', '.join(names)}, or a numeric column of the table, got {self.method!r}"
            )
        if self.max_per_image is not None and (not _is(self.max_per_image, Integral) or self.max_per_image < 1):
            raise InputError(f"max_per_image: expected an integer of at least 1, got {self.max_per_image!r}")
        if not _is(self.seed, Integral) or self.seed < 0:
            raise InputError(f"seed: expected a non-negative integer, got {self.seed!r}")
        if self.where is not None and (not isinstance(self.where, str) or not self.where.strip()):
            raise InputError(f"where: expected a condition such as 'loss > 10', got {self.where!r}")
        if self.nms is not None and (not _is(self.nms, Real) or not 0 <= self.nms < 1):
            raise InputError(f"nms: expected an overlap with 0 <= nms < 1, got {self.nms!r}")
        if self.per_image is not None:
            _one_of("per_image", self.per_image, PER_IMAGE)
        return Selection(
            keep=None if self.keep is None else float(self.keep),
            order=self.order,
            drop_hardest=float(self.drop_hardest),
            method=self.method,
            max_per_image=None if self.max_per_image is None else int(self.max_per_image),
            seed=int(self.seed),
            where=self.where,
            window=None if self.window is None else _window(self.window),
            flat_floor=float(self.flat_floor),
            per_image=self.per_image,
            nms=None if self.nms is None else float(self.nms),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the core-set's metadata."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**values, "window": None if self.window is None else list(self.window)}


class SelectOptions(TypedDict, total=False):
    """The same arguments as keyword arguments, for type checkers (PEP 692)."""

    keep: float | None
    order: Order
    drop_hardest: float
    method: Method | Column
    max_per_image: int | None
    seed: int
    where: str | None
    window: tuple[float, float] | None
    flat_floor: float
    per_image: PerImage | None
    nms: float | None


ARGUMENTS = tuple(f.name for f in fields(Selection))


def share(fraction: float, n: int) -> int:
    """That fraction of n patches, half up."""
    return int(fraction * n + 0.5)


def check_engine(engine: object) -> None:
    """Raises InputError unless it is one of ENGINES."""
    _one_of("engine", engine, ENGINES)


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


def short_of(asked: Selection, n: int, count: int, kept: int) -> str | None:
    """Why there are fewer patches than asked for, if so."""
    if kept == count:
        return None
    limits = [f"{k}={v}" for k, v in (("max_per_image", asked.max_per_image), ("nms", asked.nms)) if v is not None]
    return (
        f"kept {kept} of the {count} patches asked for ({kept / n:.3g} of all): {' and '.join(limits)} allow"
        f"{'s' if len(limits) == 1 else ''} no more"
    )


def _window(value: Any) -> tuple[float, float]:
    try:
        low, high = value
    except (TypeError, ValueError):
        low = high = None
    if not (_is(low, Real) and _is(high, Real) and 0 <= low < high <= 1):
        raise InputError(f"window: expected two shares LO, HI with 0 <= LO < HI <= 1, got {value!r}")
    return float(low), float(high)


def _one_of(name: str, value: object, choices: Iterable[str]) -> None:
    if value not in tuple(choices):
        raise InputError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
