"""Packages that come with an extra. Code that needs one imports it here, and its absence is reported in one line."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar, cast

from srfast.errors import RunError

F = TypeVar("F", bound=Callable[..., Any])

OWN = {"train": "train", "study": "study", "run_study": "study", "onnx": "onnx"}
"""Commands and functions that have an extra of their own, which also brings PyTorch."""
BRINGS = {
    "torch": "torch", "onnx": "onnx", "onnxruntime": "onnx", "joblib": "study", "scipy": "study", "matplotlib": "study",
    "sklearn": "select", "faiss": "select", "yaml": "degradation", "pandas": "pandas", "ray": "ray", "skimage": "demo",
    "starlette": "view", "uvicorn": "view", "duckdb": "", "safetensors": "", "tomli": "",
}  # fmt: skip
"""Packages that may be missing, and the extra that brings each; "" if srfast itself does."""
TITLES = {"torch": "PyTorch", "yaml": "PyYAML", "sklearn": "scikit-learn", "skimage": "scikit-image"}


def installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return package in sys.modules or find_spec(package) is not None


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of PyTorch; PyTorch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def untraced(function: F) -> F:
    """Keeps torch.compile out of a function that hands pointers to the compiled module.

    A traced frame frees arrays before the pointers to them are followed. Dynamo is loaded only if something is
    compiled.
    """

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        dynamo = sys.modules.get("torch._dynamo")
        return (function if dynamo is None else dynamo.disable(function))(*args, **options)

    return cast(F, call)


def missing(what: str, error: ImportError) -> RunError | None:
    """The error to report if an import failed because an extra is not installed; None for any other reason."""
    package = (error.name or "").partition(".")[0]
    if package not in BRINGS:
        return None
    name, extra = TITLES.get(package, package), BRINGS[package]
    if extra in ("torch", "onnx"):
        extra = OWN.get(what.replace(".", " ").rpartition(" ")[2], extra)
    brings = f"'srfast[{extra}]'" if extra else "srfast"
    return RunError(f"{what} needs {name}, which is not installed", hint=f"pip install {brings}")


@contextmanager
def needing(what: str) -> Iterator[None]:
    """Turns failed imports of the body into a RunError that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (short := missing(what, error)) is None:
            raise
        raise short from None
