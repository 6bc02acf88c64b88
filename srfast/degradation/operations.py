"""The operations of a degradation: their settings in a file, and what is drawn from these."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, replace
from typing import Any

import numpy as np

from srfast.data.toml import Key, key, number, read, unknown
from srfast.degradation.chance import Chance
from srfast.errors import InputError
from srfast.ops.degrade import FILTERS
from srfast.settings import SWITCH, whole

Step = dict[str, Any]
"""The values drawn for one operation: its name as ``operation``, and numbers and words. ``carry_out`` needs nothing
else."""
BLURS = {
    "iso": ("gaussian", False), "aniso": ("gaussian", True), "generalized_iso": ("generalized", False),
    "generalized_aniso": ("generalized", True), "plateau_iso": ("plateau", False), "plateau_aniso": ("plateau", True),
}  # fmt: skip
"""The kinds of blur kernels by BasicSR's names: the density, and whether it differs along its two axes."""
SUBSAMPLINGS = ("444", "422", "420")
WAYS = ("up", "down", "keep", "any")
_FILTERS = (*FILTERS, "lanczos")
NESTED = "operation"
MOST_REPEATS, MOST_CHILDREN, DEEPEST = 8, 32, 6
_LARGE = 13
"""Size from which a low-pass kernel takes ``cutoff_large``."""


@dataclass
class Frame:
    """The size of the image between two operations, and what it is to become."""

    height: int
    width: int
    lr: tuple[int, int]
    hr: tuple[int, int]
    scale: int


def _range(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _quantiles(least: float, most: float, default: Any = MISSING, *, whole: bool = False) -> Key:
    """A number, or two or more quantiles in ascending order."""
    kind = "a whole number" if whole else "a number"

    def one(value: Any) -> bool:
        right = isinstance(value, int) if whole else isinstance(value, (int, float))
        return right and not isinstance(value, bool) and least <= value <= most

    def fits(value: Any) -> bool:
        if isinstance(value, list):
            return 2 <= len(value) <= 100 and all(map(one, value)) and sorted(value) == value
        return one(value)

    return key(f"{kind} from {least:g} to {most:g}, or two or more in ascending order", fits, default)


def _share(value: Any, most: float = 1e9) -> bool:
    return number(value, 0, most) or (value == 0 and not isinstance(value, bool))


def _weights(known: tuple[str, ...], default: Any = MISSING) -> Key:
    def fits(value: Any) -> bool:
        if isinstance(value, str):
            return value in known
        return (
            isinstance(value, dict)
            and bool(value)
            and set(value) <= set(known)
            and all(map(_share, value.values()))
            and sum(value.values()) > 0
        )

    return key(f"one of {', '.join(known)}, or a table of their weights", fits, default)


PROBABILITY = key("a probability from 0 to 1", lambda v: _share(v, 1))
_COMMON = {
    "do": key("the name of an operation", lambda v: isinstance(v, str)),
    "chance": replace(PROBABILITY, default=1.0),
    "repeat": Key(replace(whole(1, MOST_REPEATS), expected=f"a whole number from 1 to {MOST_REPEATS}"), 1),
}
_ODD = key(
    "an odd number from 3 to 27, or two of them in ascending order",
    lambda v: (
        all(type(n) is int and 3 <= n <= 27 and n % 2 for n in _range(v))
        and len(_range(v)) in (1, 2)
        and _range(v)[0] <= _range(v)[-1]
    ),
)


def _choice(chance: Chance, i: int, value: Any, known: Iterable[str]) -> str:
    """One of the names, in the order in which they are known, since that of a file's keys has no meaning."""
    if isinstance(value, str):
        return value
    names = [name for name in known if name in value]
    return names[chance.among(i, [value[name] for name in names])]


def _blur(chance: Chance, slot: int, s: Mapping[str, Any], frame: Frame) -> Step:
    low, high = _range(s["size"])[0], _range(s["size"])[-1]
    size = int(low + 2 * chance.whole(1, [0, (high - low) // 2]))
    if chance.happens(2, s["sinc"]):
        cutoff = s["cutoff_large"] if size >= _LARGE and s["cutoff_large"] is not None else s["cutoff"]
        shape = math.pi * chance.within(3, _range(cutoff))
        return {"operation": "blur", "kind": "sinc", "size": size, "shape": shape}
    kind, two = BLURS[_choice(chance, 4, s["kinds"], BLURS)]
    sigma = chance.within(5, _range(s["sigma"]))
    step = {"operation": "blur", "kind": kind, "size": size, "sigma_x": sigma, "sigma_y": sigma, "angle": 0.0}
    if two:
        step["sigma_y"] = chance.within(6, _range(s["sigma"]))
        step["angle"] = math.pi * (2 * chance.uniform(7) - 1)
    step["shape"] = 1.0 if kind == "gaussian" else chance.within(8, _range(s[kind]))
    return step


def _resize(chance: Chance, slot: int, s: Mapping[str, Any], frame: Frame) -> Step | None:
    way = _choice(chance, 1, s["ways"], WAYS)
    factors = _range(s["factor"])
    if way == "up":
        factor = chance.within(2, [1.0, *(f for f in factors if f > 1)] if factors[-1] > 1 else [1.0])
    elif way == "down":
        factor = chance.within(2, [*(f for f in factors if f < 1), 1.0] if factors[0] < 1 else [1.0])
    else:
        factor = chance.within(2, factors) if way == "any" else 1.0
    if way == "keep" and s["keep"] == "skip":
        return None
    filter = _choice(chance, 3, s["filters"], _FILTERS)
    if s["to"] == "lr":
        h, w = (n / frame.scale for n in frame.hr) if factor != 1 else frame.lr
        height, width = (max(1, int(n * factor)) for n in (h, w))
    elif s["rounding"] == "floor":
        height, width = (max(1, int(n * factor)) for n in (frame.height, frame.width))
    else:
        height, width = (max(1, round(n * factor)) for n in (frame.height, frame.width))
    by_factor = s["to"] == "image" and s["mapping"] == "factor"
    step = {
        "operation": "resize", "height": height, "width": width, "filter": filter,
        "antialias": bool(s["antialias"]) and filter in ("bilinear", "bicubic"),
        "step_y": 1 / factor if by_factor else frame.height / height,
        "step_x": 1 / factor if by_factor else frame.width / width,
    }  # fmt: skip
    frame.height, frame.width = height, width
    return step


def _bicubic(chance: Chance, slot: int, s: Mapping[str, Any], frame: Frame) -> Step | None:
    same = (frame.height, frame.width) == frame.lr
    frame.height, frame.width = frame.lr
    return None if same else {"operation": "bicubic", "height": frame.lr[0], "width": frame.lr[1]}


def _noise(name: str, strength: str) -> Callable[[Chance, int, Mapping[str, Any], Frame], Step]:
    def draw(chance: Chance, slot: int, s: Mapping[str, Any], frame: Frame) -> Step:
        gray = chance.happens(2, s["gray"])
        return {"operation": name, "strength": chance.within(1, _range(s[strength])), "gray": gray, "slot": slot}

    return draw


def _unsharp(chance: Chance, slot: int, s: Mapping[str, Any], frame: Frame) -> Step:
    taps = chance.whole(1, _range(s["taps"]))
    how = {name: chance.within(i, _range(s[name])) for i, name in enumerate(("sigma", "amount", "threshold"), 2)}
    return {"operation": "unsharp", "size": taps + 1 - taps % 2, "sigma_x": how["sigma"], "strength": how["amount"],
            "shape": how["threshold"]}  # fmt: skip


@dataclass(frozen=True)
class OperationKind:
    """A kind of operation: its settings, and the function that draws a step; containers have none."""

    keys: Mapping[str, Key]
    draw: Callable[[Chance, int, Mapping[str, Any], Frame], Step | None] | None = None


_GRAY = replace(PROBABILITY, default=0.0)
KINDS: dict[str, OperationKind] = {
    "blur": OperationKind(
        {
            "size": _ODD,
            "sigma": _quantiles(0.05, 30, 1.0),
            "kinds": _weights(tuple(BLURS), "iso"),
            "generalized": _quantiles(0.1, 16, 1.0),
            "plateau": _quantiles(0.1, 16, 1.0),
            "sinc": replace(PROBABILITY, default=0.0),
            "cutoff": _quantiles(0.01, 1, [1 / 3, 1.0]),
            "cutoff_large": _quantiles(0.01, 1, None),
        },
        _blur,
    ),
    "resize": OperationKind(
        {
            "to": key("image or lr", lambda v: v in ("image", "lr"), "image"),
            "factor": _quantiles(0.02, 8, 1.0),
            "ways": _weights(WAYS, "any"),
            "keep": key("resize or skip", lambda v: v in ("resize", "skip"), "resize"),
            "filters": _weights(_FILTERS),
            "antialias": Key(replace(SWITCH, expected="true or false"), False),
            "rounding": key("floor or nearest", lambda v: v in ("floor", "nearest"), "nearest"),
            "mapping": key("size or factor", lambda v: v in ("size", "factor"), "size"),
        },
        _resize,
    ),
    "bicubic": OperationKind({}, _bicubic),
    "gaussian-noise": OperationKind({"sigma": _quantiles(0, 255), "gray": _GRAY}, _noise("gaussian-noise", "sigma")),
    "poisson-noise": OperationKind({"scale": _quantiles(0, 100), "gray": _GRAY}, _noise("poisson-noise", "scale")),
    "jpeg": OperationKind(
        {"quality": _quantiles(1, 100, whole=True), "subsampling": _weights(SUBSAMPLINGS, "420")},
        lambda chance, slot, s, frame: {
            "operation": "jpeg", "quality": chance.whole(1, _range(s["quality"])),
            "subsampling": _choice(chance, 2, s["subsampling"], SUBSAMPLINGS),
        },
    ),
    "webp": OperationKind(
        {"quality": _quantiles(0, 100, whole=True)},
        lambda chance, slot, s, frame: {"operation": "webp", "quality": chance.whole(1, _range(s["quality"]))},
    ),
    "unsharp": OperationKind(
        {
            "taps": _quantiles(1, 201, 51, whole=True),
            "sigma": _quantiles(0, 100, 0.0),
            "amount": _quantiles(0, 20, 0.5),
            "threshold": _quantiles(0, 255, 10.0),
        },
        _unsharp,
    ),
    "thick-lines": OperationKind({}, lambda *_: {"operation": "thick-lines"}),
    "sequence": OperationKind({}),
    "one-of": OperationKind({}),
    "shuffle": OperationKind({}),
}  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """An operation with checked settings, and those inside it."""

    do: str
    settings: Mapping[str, Any]
    chance: float = 1.0
    repeat: int = 1
    inside: tuple[Operation, ...] = ()
    weights: tuple[float, ...] = ()
    """The weights of the operations inside one-of."""

    @property
    def slots(self) -> int:
        """How many numbers this operation and those inside it take."""
        return self.repeat * (1 + sum(o.slots for o in self.inside))

    def draw(self, key: np.ndarray, slot: int, frame: Frame) -> Iterator[Step]:
        """The steps that are drawn; ``frame`` becomes the size after them.

        Each operation has slots of its own, whether what stands before it was drawn or not.
        """
        for _ in range(self.repeat):
            chance = Chance(key, slot)
            if chance.happens(0, self.chance):
                if draw := KINDS[self.do].draw:
                    if step := draw(chance, slot, self.settings, frame):
                        yield step
                else:
                    yield from self._inside(chance, key, slot + 1, frame)
            slot += self.slots // self.repeat

    def _inside(self, chance: Chance, key: np.ndarray, slot: int, frame: Frame) -> Iterator[Step]:
        starts = [slot + sum(o.slots for o in self.inside[:i]) for i in range(len(self.inside))]
        chosen = list(range(len(self.inside)))
        if self.do == "one-of":
            chosen = [chance.among(1, self.weights)]
        elif self.do == "shuffle":
            chosen = chance.order(1, len(chosen))
        for i in chosen:
            yield from self.inside[i].draw(key, starts[i], frame)

    def table(self) -> dict[str, Any]:
        """The operation as a file has it, without what has its default."""
        plain = {"chance": 1, "repeat": 1, NESTED: [], **{k: key.default for k, key in KINDS[self.do].keys.items()}}
        weights = {"weights": list(self.weights)} if len(set(self.weights)) > 1 else {}
        entries = {"chance": self.chance, "repeat": self.repeat, **weights, **self.settings}
        entries[NESTED] = [o.table() for o in self.inside]
        return {"do": self.do, **{k: v for k, v in entries.items() if v is not None and v != plain.get(k)}}


def operation(where: str, table: Any, depth: int = 0) -> Operation:
    """The operation that TOML returned, inside of ``depth`` others; ``where`` stands before a key in a message. Raises
    InputError if it is not an operation, or a setting is unknown, missing or wrong."""
    if not isinstance(table, dict):
        raise InputError(f"{where.rstrip(': ')}: expected a table, got {table!r}")
    if (do := str(table.get("do", "nothing"))) not in KINDS:
        raise unknown(f"{where}do", do, KINDS)
    kind = KINDS[do]
    nested = {} if kind.draw else {NESTED: key("a list of operations", lambda v: isinstance(v, list))}
    if do == "one-of":
        nested["weights"] = key(
            "a weight above 0 for each operation",
            lambda v: isinstance(v, list) and all(number(w, 0, 1e9) for w in v),
            (),
        )
    values = read(where, table, {**_COMMON, **kind.keys, **nested})
    inside = values.get(NESTED, [])
    if not kind.draw:
        if depth >= DEEPEST:
            raise InputError(f"{where}{NESTED}: expected operations nested at most {DEEPEST} deep")
        if not 1 <= len(inside) <= MOST_CHILDREN:
            raise InputError(f"{where}{NESTED}: expected 1 to {MOST_CHILDREN} operations, got {len(inside)}")
    weights = values.get("weights") or [1.0] * len(inside)
    if len(weights) != len(inside) and do == "one-of":
        raise InputError(f"{where}weights: expected {len(inside)}, one for each operation, got {len(weights)}")
    if len(set(weights)) == 1:  # equal weights, however they were written, are ones
        weights = [1.0] * len(weights)
    return Operation(
        do,
        {name: values[name] for name in kind.keys},
        float(values["chance"]),
        values["repeat"],
        tuple(operation(f"{where}{i}: ", o, depth + 1) for i, o in enumerate(inside, 1)),
        tuple(map(float, weights)) if do == "one-of" else (),
    )
