"""What a setting is: a field of a frozen dataclass with its check, help, unit and default, declared once.

Signatures, documentation, the command line's options, run.json and the metadata of tables are made from these fields.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
import textwrap
import warnings
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
"""The template of an LR image's name that changes nothing."""


@dataclass(frozen=True)
class Kind:
    """The values that a setting takes."""

    expected: str
    """In words, after "expected"."""
    plain: Callable[[Any], Any]
    """The value as plain Python; ValueError or TypeError where it is none of them."""
    written: str = "text"
    """How it is written on a command line: "text", "whole", "number" or "flag"."""
    choices: tuple[Any, ...] = ()
    hint: str = ""
    """What else may have been meant."""

    def check(self, name: str, value: Any) -> Any:
        """The plain value; InputError names the setting, what was expected and what came."""
        try:
            return self.plain(value)
        except (TypeError, ValueError):
            found = did_you_mean(value, self.choices, 0.7)
            near = f"; did you mean {found}?" if found and found != value else self.hint and f"; {self.hint}"
            raise InputError(f"{name}: expected {self.expected}, got {value!r}{near}") from None


def setting(default: Any, help: str, kind: Kind, **about: Any) -> Any:
    """A field of ``Settings``.

    Args:
        default: None is always allowed where it is the default.
        help: Whole sentences; a setting's name in backticks becomes the option on a command line.
        kind: What it takes.
        about: ``shown``: the default in words. ``metavar``: the value in help. ``flag``: the option, where it is not
            the name. ``also``: other names of the option. ``old``: earlier names, which warn. ``compared``: tables that
            are put together agree on it. ``free``: a run that goes on may have another. ``typed``: the default on a
            command line. ``python``: no option is made.
            ``more``: what only the documentation of the function says.
    """
    return field(default=default, metadata={"help": help, "kind": kind, **about})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of the settings of a stage: values are checked when it is made, and are plain Python from then on.

    Raises:
        InputError: a value out of range, with the setting's name.
    """

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if "kind" in f.metadata and (value is not None or f.default is not None):
                object.__setattr__(self, f.name, f.metadata["kind"].check(f.name, value))
        self.together()

    def together(self) -> None:
        """Raises InputError where settings do not go together."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """From keyword arguments; earlier names warn, unknown ones raise ArgumentError with the nearest known."""
        return cls(**renamed(options, dataclasses.fields(cls)))

    def part(self, settings: type[S]) -> S:
        """Those of these settings that another list has too."""
        return settings(**{n: getattr(self, n) for n in settings.__dataclass_fields__ if hasattr(self, n)})

    def values(self, **only: Any) -> dict[str, Any]:
        """The settings as JSON has them; of those whose metadata say so (``compared=True``) alone, where asked."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if only.items() <= f.metadata.items()}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}


def renamed(options: Mapping[str, Any], fields: Iterable[dataclasses.Field[Any]]) -> dict[str, Any]:
    """Keyword arguments by the names that settings have now.

    Raises:
        ArgumentError: no setting of that name.
    """
    known = list(fields)
    earlier = {old: f.name for f in known for old in f.metadata.get("old", ())}
    values = {}
    for name, value in options.items():
        if name in earlier:
            warnings.warn(f"srfast: {name} is called {earlier[name]} now", DeprecationWarning, stacklevel=4)
        elif name not in (names := [f.name for f in known]):
            near = did_you_mean(name, names)
            raise ArgumentError(f"{name}: no such argument" + (f"; did you mean {near}?" if near else ""))
        values[earlier.get(name, name)] = value
    return values


def positional(given: Sequence[Any], names: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments with those that came by position, as they could be once."""
    if not given:
        return dict(options)
    if len(given) > len(names):
        raise TypeError(f"expected at most {len(names)} settings by position, got {len(given)}")
    warnings.warn(
        f"srfast: pass {', '.join(names[: len(given)])} by name, not by position", DeprecationWarning, stacklevel=3
    )
    return {**dict(zip(names, given, strict=False)), **options}


def documented(settings: type[Settings]) -> Callable[[F], F]:
    """Gives a function that takes ``**options`` the signature and the documentation of the settings it takes."""

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
        target.__signature__ = own.replace(parameters=[*kept, *added])
        lines = [_described(f) for f in dataclasses.fields(settings)]
        function.__doc__ = (function.__doc__ or "").replace("        **options: settings\n", "\n".join(lines) + "\n")
        return function

    return decorate


def _described(f: dataclasses.Field[Any]) -> str:
    text = f"{f.name}: {f.metadata['help']} {f.metadata.get('more', '')}".replace("`", "``").rstrip()
    return textwrap.fill(text, 120, initial_indent=" " * 8, subsequent_indent=" " * 12, break_on_hyphens=False)


def did_you_mean(name: object, known: Iterable[Any], closeness: float = 0.6) -> str | None:
    """The nearest of the known names, if one is near."""
    names = [str(k) for k in known]
    return next(iter(difflib.get_close_matches(name, names, 1, closeness)), None) if isinstance(name, str) else None


def differs(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    names: Iterable[str] | None = None,
    *,
    younger: bool = False,
    alike: Callable[[Any, Any], bool] = lambda was, asked: False,
) -> tuple[str, Any, Any] | None:
    """The first setting with which something cannot be resumed: its name, what it was and what it is; None: all agree.

    Nested settings have dotted names. Values are compared as JSON gives them back: a tuple is a list.

    Args:
        before: The settings that something was made with.
        now: Those that are asked for.
        names: Which of them count; None: all of ``now``.
        alike: Whether two values that are not equal mean the same.
        younger: Settings that ``before`` lacks came with a later version, and had their defaults then.
    """
    for name in now if names is None else names:
        was, asked = before.get(name), now.get(name)
        if isinstance(was, Mapping) and isinstance(asked, Mapping):
            found = differs(was, asked, asked if younger else {**was, **asked}, younger=younger, alike=alike)
            if found is not None:
                return f"{name}.{found[0]}", *found[1:]
        elif not (younger and name not in before) and _listed(was) != _listed(asked) and not alike(was, asked):
            return name, was, asked
    return None


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, (list, tuple)) else value


def one_of(*choices: Any) -> Kind:
    """One of a few words or numbers."""

    def plain(value: Any) -> Any:
        if isinstance(value, (bool, float)) or not isinstance(value, (str, Integral)) or value not in choices:
            raise ValueError
        return type(choices[0])(value)

    listed = ", ".join(map(str, choices[:-1])) + f" or {choices[-1]}"
    return Kind(listed, plain, "whole" if isinstance(choices[0], int) else "text", choices)


def whole(least: int = 0) -> Kind:
    """A whole number."""

    def plain(value: Any) -> int:
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise ValueError
        return int(value)

    return Kind(f"a whole number of at least {least}", plain, "whole")


def number(expected: str, holds: Callable[[Any], bool]) -> Kind:
    """A number for which something holds."""

    def plain(value: Any) -> float:
        if not isinstance(value, Real) or isinstance(value, bool) or not holds(value):
            raise ValueError
        return float(value)

    return Kind(expected, plain, "number")


def fraction(name: str, *, zero: bool = True, one: bool = False) -> Kind:
    """A fraction, with or without its ends."""
    ends = f"0 {'<=' if zero else '<'} {name} {'<=' if one else '<'} 1"
    return number(f"a fraction with {ends}", lambda v: 0 <= v <= 1 and (zero or v > 0) and (one or v < 1))


def _switched(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


SWITCH = Kind("True or False", _switched, "flag")


def text(expected: str) -> Kind:
    """A string that is not empty."""

    def plain(value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError
        return value

    return Kind(expected, plain)


def path(expected: str = "a path", *, absolute: bool = False) -> Kind:
    """A path, kept as a string."""

    def plain(value: Any) -> str:
        return os.path.abspath(value) if absolute else str(os.fspath(value))

    return Kind(expected, plain)


def paths(expected: str) -> Kind:
    """One path or several, kept as absolute ones: a run may be resumed from elsewhere."""

    def plain(value: Any) -> tuple[str, ...]:
        given = [value] if isinstance(value, (str, os.PathLike)) else value
        return tuple(os.path.abspath(p) for p in given)

    return Kind(expected, plain)


def numbers(expected: str, holds: Callable[[Any], bool], count: int | None = None, mark: str = ",") -> Kind:
    """Several numbers, or a text of them with a mark between."""
    each = number(expected, holds)

    def plain(value: Any) -> tuple[float, ...]:
        given = [float(part) for part in value.split(mark)] if isinstance(value, str) else list(value)
        if count is not None and len(given) != count:
            raise ValueError
        return tuple(each.plain(v) for v in given)

    return Kind(expected, plain)


def mapping(expected: str, read: Callable[[str, str], Any], fits: Callable[[Any], bool] = lambda v: True) -> Kind:
    """Names and values, or texts NAME=VALUE."""

    def plain(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            pairs = [pair.partition("=") for pair in value]
            value = {name: read(name, given) for name, _, given in pairs}
        if not all(isinstance(k, str) and k and fits(v) for k, v in value.items()):
            raise ValueError
        return dict(value)

    return Kind(expected, plain)
