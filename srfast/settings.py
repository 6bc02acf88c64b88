"""Settings: fields of frozen dataclasses, each declared once with its check, help, unit and default.

Signatures, documentation, the command line's options, run.json and the metadata of tables are made from these fields.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar

from srfast.errors import ArgumentError, InputError

if TYPE_CHECKING:
    from typing_extensions import Self

S = TypeVar("S", bound="Settings")
F = TypeVar("F", bound=Callable[..., Any])
PathLike = str | os.PathLike[str]
ONE = "{}"
"""The template under which an LR image has the name of its HR image."""


@dataclass(frozen=True)
class Kind:
    """The values that a setting takes."""

    expected: str
    """The values in words, as a message has them after "expected"."""
    convert: Callable[[Any], Any]
    """Converts a value to plain Python; raises ValueError or TypeError if it is not allowed."""
    cli_type: str = "text"
    """How a command line writes the value: "text", "whole", "number" or "flag"."""
    choices: tuple[Any, ...] = ()
    hint: str = ""
    """The remedy, for the error's hint."""

    def check(self, name: str, value: Any) -> Any:
        """Returns the plain value. Raises InputError if the value is not allowed; the message names the setting, what
        was expected and what came."""
        try:
            return self.convert(value)
        except (TypeError, ValueError):
            nearest = did_you_mean(value, self.choices, 0.7)
            hint = f"did you mean {nearest}?" if nearest and nearest != value else self.hint
            raise InputError(f"{name}: expected {self.expected}, got {value!r}", hint=hint) from None


def setting(default: Any, help: str, kind: Kind, **about: Any) -> Any:
    """A field of ``Settings``.

    Args:
        default: The default; if it is None, None is allowed.
        help: Whole sentences. The name of a setting in backticks becomes its option on the command line.
        kind: The values that the setting takes.
        about: ``shown``: the default in words. ``metavar``: the value as help shows it. ``flag``: the option, if it is
            not made from the name. ``also``: other names of the option.
            ``compared``: shards of a table must agree on it. ``free``: a resumed run may have another value.
            ``words``: texts that a type checker is to know, for a kind without ``choices``.
            ``typed``: the default as the command line writes it. ``python``: the setting has no option. ``needs``:
            another setting, without which this one may not be given. ``more``: sentences for the documentation of the
            function only. ``said``: the setting in a few words, for tables of settings.
    """
    return field(default=default, metadata={"help": help, "kind": kind, **about})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base class of the settings of a stage. Values are checked on creation, and are plain Python afterwards.

    Raises:
        InputError: a value is out of range; the message names the setting.
    """

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if "kind" in f.metadata and (value is not None or f.default is not None):
                object.__setattr__(self, f.name, f.metadata["kind"].check(f.name, value))
        for f in dataclasses.fields(self):
            needed = f.metadata.get("needs")
            if needed and getattr(self, f.name) != f.default and getattr(self, needed) in (None, ()):
                raise InputError(f"{f.name}: needs `{needed}`")
        self.validate()

    def validate(self) -> None:
        """Checks settings against each other. Raises InputError if two settings contradict each other."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Makes settings from keyword arguments. Raises ArgumentError if no setting has that name; the message proposes
        the nearest."""
        return cls(**named(options, list(cls.__dataclass_fields__)))

    def part(self, settings: type[S]) -> S:
        """The settings that another class of settings has too, as that class."""
        return settings(**{n: getattr(self, n) for n in settings.__dataclass_fields__ if hasattr(self, n)})

    def values(self, **only: Any) -> dict[str, Any]:
        """The settings as JSON has them; with ``compared=True`` and the like, only those whose metadata agree."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if only.items() <= f.metadata.items()}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def named(options: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments, of which each names a setting. Raises ArgumentError if no setting has that name; the message
    proposes the nearest."""
    for name in options:
        if name not in known:
            near = did_you_mean(name, known)
            raise ArgumentError(f"{name}: no such argument", hint=f"did you mean {near}?" if near else None)
    return dict(options)


def positional(given: Sequence[Any], names: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments, with those added that came by position."""
    if len(given) > len(names):
        raise TypeError(f"expected at most {len(names)} settings by position, got {len(given)}")
    settings = dict(zip(names, given, strict=False))
    if twice := [name for name in settings if name in options]:
        raise TypeError(f"{twice[0]}: given twice")
    return {**settings, **options}


def documented(settings: type[Settings]) -> Callable[[F], F]:
    """Gives a function that takes ``**options`` the signature and the documentation of its settings.

    Type checkers know them by ``srfast/__init__.pyi``, which ``docs/stub.py`` writes.
    """

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        added = [
            inspect.Parameter(
                f.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if "shown" in f.metadata else f.default,
                annotation=f.type,
            )
            for f in dataclasses.fields(settings)
            if f.name not in own.parameters
        ]
        target: Any = function
        target.__signature__, target.settings = own.replace(parameters=[*kept, *added]), settings
        lines = [_described(f) for f in dataclasses.fields(settings)]
        function.__doc__ = (function.__doc__ or "").replace("        **options: settings\n", "\n".join(lines) + "\n")
        return function

    return decorate


def _described(f: dataclasses.Field[Any]) -> str:
    text = f"{f.name}: {f.metadata['help']} {f.metadata.get('more', '')}".rstrip()
    text = re.sub("`+", "``", text)  # some of it is written for this documentation alone
    return textwrap.fill(text, 120, initial_indent=" " * 8, subsequent_indent=" " * 12, break_on_hyphens=False)


def lr_template(**about: Any) -> Any:
    """The setting ``lr_template``, which several stages have beside ``lr_images``."""
    help = "Name of an LR image, where {} stands for the name of its HR image without suffix, such as {}x4."
    return setting(ONE, help, text("a name with {} in it"), needs="lr_images", **about)


def images_root(kind: Kind, more: str = "", **about: Any) -> Any:
    """The setting ``root``, which several stages have."""
    help = f"Folder of the images, if they have moved since scoring{more}."
    return setting(None, help, kind, metavar="DIR", **about)


def progress(counts: str) -> Any:
    """The setting ``progress`` of functions that take long; ``counts`` are what a function of the caller's gets."""
    help = f"True shows a bar; a function is called with ({counts})."
    return setting(None, help, Kind("True, False or a function", lambda value: value), python=True)


def did_you_mean(name: object, known: Iterable[Any], closeness: float = 0.6) -> str | None:
    """The known name nearest to ``name``, or None if none is near."""
    names = [str(k) for k in known]
    return next(iter(difflib.get_close_matches(name, names, 1, closeness)), None) if isinstance(name, str) else None


def first_difference(
    before: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str] | None = None
) -> tuple[str, Any, Any] | None:
    """The first setting that prevents resuming, as its name, its old and its new value; None if all agree.

    Nested settings have dotted names. Values are compared as JSON returns them: a tuple equals a list. None for
    ``names`` compares all of ``now``.
    """
    for name in now if names is None else names:
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            if nested := first_difference(old, new, {**old, **new}):
                return f"{name}.{nested[0]}", *nested[1:]
        elif _listed(old) != _listed(new):
            return name, old, new
    return None


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, (list, tuple)) else value


def fitting(fits: Callable[[Any], object], plain: Callable[[Any], Any] = lambda value: value) -> Callable[[Any], Any]:
    """The conversion of a ``Kind`` that takes the values for which a test holds."""

    def convert(value: Any) -> Any:
        if not fits(value):
            raise ValueError
        return plain(value)

    return convert


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def one_of(*choices: Any, added: Callable[[], Iterable[str]] = tuple) -> Kind:
    """Takes one of a few words or numbers, or of the words that installed packages add."""
    own = type(choices[0])
    plain = fitting(lambda v: _is(v, (str, Integral)) and (v in choices or v in list(added())), own)
    listed = ", ".join(map(str, choices[:-1])) + f" or {choices[-1]}"
    return Kind(listed, plain, "whole" if own is int else "text", choices)


def scale_of(choices: Sequence[int]) -> Kind:
    """Takes a scale, also as a float or a number of NumPy."""
    return dataclasses.replace(
        one_of(*choices),
        convert=fitting(lambda v: not (isinstance(v, (bool, str)) or getattr(v, "ndim", False)) and v in choices, int),
    )


SCALES = (2, 3, 4)
SCALE = scale_of(SCALES)
PAIR_SCALES = (1, *SCALES)
"""The scales of pairs. At 1, LR is a degraded copy of the same size, which is given or made by a degradation."""
PAIR_SCALE = scale_of(PAIR_SCALES)


def check_same_size(scale: int, given: bool, ways: str) -> None:
    """Refuses pairs at scale 1 whose LR image would be the HR image itself: InputError unless LR images are ``given``,
    or made by a degradation. ``ways`` are the settings that do so, for the message."""
    if scale == 1 and not given:
        raise InputError(f"scale: expected {ways} with 1, at which LR has the size of HR, got none")


def whole(least: int = 0, most: int | None = None) -> Kind:
    """Takes a whole number of at least ``least``, and of at most ``most`` if it is given."""
    upper = "" if most is None else f" and at most {most}"
    inside = fitting(lambda v: _is(v, Integral) and v >= least and (most is None or int(v) <= most), int)
    return Kind(f"a whole number of at least {least}{upper}", inside, "whole")


def number(expected: str, holds: Callable[[Any], bool]) -> Kind:
    """Takes a number for which a condition holds."""
    return Kind(expected, fitting(lambda v: _is(v, Real) and holds(v), float), "number")


def fraction(name: str, *, zero: bool = True, one: bool = False) -> Kind:
    """Takes a fraction from 0 to 1, with or without these ends."""
    ends = f"0 {'<=' if zero else '<'} {name} {'<=' if one else '<'} 1"
    return number(f"a fraction with {ends}", lambda v: 0 <= v <= 1 and (zero or v > 0) and (one or v < 1))


SWITCH = Kind("True or False", fitting(lambda value: isinstance(value, bool)), "flag")


def text(expected: str) -> Kind:
    """Takes a string that is not empty."""
    return Kind(expected, fitting(lambda value: isinstance(value, str) and value.strip()))


def _each(expected: str, convert: Callable[[Any], str]) -> Kind:
    """Takes one text or path, or several."""
    return Kind(expected, lambda v: tuple(map(convert, [v] if isinstance(v, (str, os.PathLike)) else list(v))))


def texts(expected: str) -> Kind:
    """Takes one text or several."""
    element = text(expected)
    return _each(expected, lambda item: element.convert(os.fspath(item)))


def path(expected: str = "a path", *, absolute: bool = False) -> Kind:
    """Takes a path and keeps it as a string; an empty one would be the working folder."""

    def convert(value: Any) -> str:
        if value == "":
            raise ValueError
        return os.path.abspath(value) if absolute else str(os.fspath(value))

    return Kind(expected, convert)


def paths(expected: str) -> Kind:
    """Takes one path or several and keeps them as absolute paths, since a run may be resumed from another folder."""
    return _each(expected, path(absolute=True).convert)


def numbers(expected: str, holds: Callable[[Any], bool], count: int | None = None, mark: str = ",") -> Kind:
    """Takes several numbers, or a text of numbers separated by a mark."""
    each = number(expected, holds)

    def convert(value: Any) -> tuple[float, ...]:
        given = [float(part) for part in value.split(mark)] if isinstance(value, str) else list(value)
        if count is not None and len(given) != count:
            raise ValueError
        return tuple(each.convert(v) for v in given)

    return Kind(expected, convert)


def several(each: Kind) -> Kind:
    """Takes one value or a list of them, as a tuple."""

    def convert(value: Any) -> tuple[Any, ...]:
        given = value if isinstance(value, list) else [value]
        if not given:
            raise ValueError
        return tuple(map(each.convert, given))

    return Kind(f"{each.expected}, or a list of these", convert, each.cli_type)


def mapping(expected: str, read: Callable[[str, str], Any], fits: Callable[[Any], bool] = lambda v: True) -> Kind:
    """Takes a mapping of names to values, or texts NAME=VALUE."""

    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            pairs = [pair.partition("=") for pair in value]
            value = {name: read(name, given) for name, _, given in pairs}
        if not all(isinstance(k, str) and k and fits(v) for k, v in value.items()):
            raise ValueError
        return dict(value)

    return Kind(expected, convert)
