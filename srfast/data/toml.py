"""Reads TOML files with known keys; an error names what is wrong in one line."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from srfast.data.files import check_input
from srfast.errors import InputError
from srfast.runtime.optional import needing
from srfast.settings import Kind, did_you_mean, fitting

LARGEST = 1 << 16
"""Largest size of a file in bytes; the parser's time grows with the square of the dots of a key."""


@dataclass(frozen=True)
class Key:
    """One key of a table: its values, and its default, MISSING for one that must be given."""

    kind: Kind
    default: Any = MISSING


def key(expected: str, fits: Callable[[Any], bool], default: Any = MISSING) -> Key:
    """A key whose values, as they are, are those for which a test holds."""
    return Key(Kind(expected, fitting(fits)), default)


def parse(path: Path, what: str = "a study", load: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """The content of a file, which is ``what``: TOML, or what ``load`` reads. Raises InputError if there is no such
    file, or it is not TOML, and RunError if Python is 3.10 and tomli is not installed."""
    form = "YAML" if load else "TOML"
    if load is None:
        with needing(what):
            load = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli").loads
    if check_input(path, what).stat().st_size > LARGEST:
        raise InputError(f"{path}: refused, expected at most {LARGEST:,} bytes of {form}")
    try:
        content = load(path.read_bytes().decode())
    except Exception as error:  # a text may be in another encoding, nested too deeply, or have too long a number
        raise InputError(f"{path}: not {form}: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected {what}, got {type(content).__name__}")
    return content


def read(where: str, table: Any, keys: Mapping[str, Key]) -> dict[str, Any]:
    """The values of a table as plain Python, with defaults filled in. ``where`` stands before a key in a message, such
    as "study.toml: data.". Raises InputError if it is not a table, a key is unknown or missing, or a value does not
    fit; the message names the key, what was expected and what came."""
    if not isinstance(table, dict):
        raise InputError(f"{where.rstrip('.')}: expected a table, got {table!r}")
    for key in table:
        if key not in keys:
            raise unknown(f"{where}{key}", key, keys)
    for name, key in keys.items():
        if name not in table and key.default is MISSING:
            raise InputError(f"{where}{name}: expected {key.kind.expected}, got nothing")
    return {n: k.kind.check(f"{where}{n}", table[n]) if n in table else k.default for n, k in keys.items()}


def unknown(where: str, name: str, known: Iterable[str]) -> InputError:
    """The error for an unknown name, with the known ones, and the nearest as its hint."""
    near = did_you_mean(name, known := list(known))
    message = f"{where}: expected one of {', '.join(known)}, got {name!r}"
    return InputError(message, hint=f"did you mean {near}?" if near else None)


def number(value: Any, above: float = 0.0, most: float = sys.float_info.max) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and above < value <= most
