"""Methods and models that users add without changing the package, by FILE.py:NAME or by entry points."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from srfast.errors import InputError, RunError

_FILE = re.compile(r"(.+\.py):(\w+)")


def is_file(name: str) -> bool:
    """Whether a name has the form FILE.py:NAME."""
    return _FILE.fullmatch(name) is not None


@cache
def added(group: str) -> dict[str, EntryPoint]:
    """The names that installed packages add to a group, ``srfast.methods`` or ``srfast.models``."""
    return {point.name: point for point in entry_points(group=group)}


def loaded(group: str, name: str) -> Any:
    """The object that an installed package adds to a group under a name. Raises RunError if the package raises an error
    when it is imported, or lacks the object."""
    point = added(group)[name]
    try:
        return point.load()
    except Exception as error:
        raise RunError(f"{name}: {point.value} of an installed package: {type(error).__name__}: {error}") from error


@cache
def from_file(name: str) -> Any:
    """The object that FILE.py:NAME names; the file is run once. Raises InputError if the file does not exist, or does
    not define the name, and RunError if the file raises an error when it is run."""
    file, _, attribute = name.rpartition(":")
    path = Path(file).resolve()
    if not path.is_file():
        raise InputError(f"{file}: no such file")
    spec = importlib.util.spec_from_file_location(f"srfast_own_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RunError(f"{file}: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise InputError(f"{file}: expected {attribute!r} in it, got nothing of that name")
    return getattr(module, attribute)


def named(package: str, of: Any) -> Any:
    """What a descriptor holds: an object itself, or the one at "module:name" below a package, loaded only here."""
    if not isinstance(of, str):
        return of
    module, _, name = of.partition(":")
    return getattr(importlib.import_module(f"{package}.{module}"), name)
