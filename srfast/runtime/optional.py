"""Packages that come with an extra: what needs them says so in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from srfast.errors import RunError

OWN = {"train": "train", "study": "study", "run_study": "study", "onnx": "onnx"}
"""Commands and functions with an extra of their own, which brings PyTorch too."""
BRINGS = {"torch": "torch", "safetensors": "torch", "duckdb": "select", "onnx": "onnx", "joblib": "study"}
"""Packages that several functions need -> the extra that brings them."""


def installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return package in sys.modules or find_spec(package) is not None


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of PyTorch, which is not imported for that."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def missing(what: str, error: ImportError) -> RunError | None:
    """What to say where an import failed because an extra is not installed; None where it failed otherwise."""
    package = (error.name or "").partition(".")[0]
    if package not in BRINGS:
        return None
    name = "PyTorch" if package == "torch" else package
    extra = OWN.get(what.replace(".", " ").rpartition(" ")[2], BRINGS[package])
    return RunError(f"{what} needs {name}, which is not installed: pip install 'srfast[{extra}]'")


@contextmanager
def needing(what: str) -> Iterator[None]:
    """Imports inside raise RunError where a package of an extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (short := missing(what, error)) is None:
            raise
        raise short from None
