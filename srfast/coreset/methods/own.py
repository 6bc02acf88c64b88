"""Methods of the user's: functions, files and installed packages."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np

from srfast.errors import InputError, RunError

GROUP = "srfast.methods"
"""Entry points of installed packages: a name and a function or ``Method``."""
_FILE = re.compile(r"(.+\.py):(\w+)")


def is_file(name: str) -> bool:
    """Whether a name is FILE.py:NAME."""
    return _FILE.fullmatch(name) is not None


@cache
def added() -> dict[str, EntryPoint]:
    """The methods that installed packages add, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def from_file(name: str) -> Any:
    """What FILE.py:NAME names.

    Raises:
        InputError: no such file, or nothing of that name in it.
        RunError: the file raises when it is run.
    """
    file, function = _FILE.fullmatch(name).groups()  # type: ignore[union-attr]
    path = Path(file).resolve()
    if not path.is_file():
        raise InputError(f"method: {file}: no such file")
    spec = importlib.util.spec_from_file_location(f"srfast_own_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RunError(f"method: {file}: {type(error).__name__}: {error}") from error
    if not hasattr(module, function):
        raise InputError(f"method: {file}: expected a function {function!r} in it, got none")
    return getattr(module, function)


def number_of(function: Any, table: Any) -> np.ndarray:
    """What a function says of the rows of a table.

    Raises:
        InputError: not one finite number for each row.
    """
    name = getattr(function, "__name__", "method")
    values = np.asarray(function(table))
    if values.shape != (len(table),) or values.dtype.kind not in "fiub":
        raise InputError(
            f"method: expected {name} to give {len(table)} numbers, one a row, got {values.dtype} {list(values.shape)}"
        )
    if not np.isfinite(values).all():
        raise InputError(f"method: expected {name} to give finite numbers, got missing ones or nan")
    return values.astype(np.float64) if values.dtype.kind == "b" else values


def key(function: Any) -> Any:
    return partial(number_of, function)
