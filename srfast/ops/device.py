"""The one place that turns "auto", "cpu" or "cuda" into a device, and full float32 on it.

PyTorch is loaded only if there may be a GPU.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from srfast.errors import InputError, RunError
from srfast.runtime.optional import installed
from srfast.settings import one_of, setting

Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[str, ...] = get_args(Device)


def device(does: str, **about: Any) -> Any:
    """The setting ``device``, which several stages have."""
    return setting("auto", f"Device that {does}. auto takes a GPU if there is one.", one_of(*DEVICES), **about)


def resolve_device(device: str) -> Literal["cpu", "cuda"]:
    """Resolves a device's name: auto is cuda if PyTorch sees a GPU, otherwise cpu. Raises InputError if the name is
    another, and RunError if cuda was requested and PyTorch sees no GPU."""
    if device not in DEVICES:
        raise InputError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}")
    if device == "cpu":
        return "cpu"
    if sees_cuda():
        return "cuda"
    why = (
        "PyTorch sees no CUDA device" if installed("torch") else "PyTorch is not installed: pip install 'srfast[cuda]'"
    )
    if device == "cuda":
        raise RunError(f"device: cuda was requested, but {why}")
    if driver_possible() and not installed("torch"):
        say_once(f"there may be a GPU, but {why}; the CPU is used")
    return "cpu"


@cache
def say_once(text: str) -> None:
    """Logs a warning once per process."""
    logging.getLogger("srfast").warning("%s", text)


def sees_cuda() -> bool:
    """Whether PyTorch sees a CUDA device; PyTorch takes a second to import, and is not if there can be no driver."""
    if "torch" not in sys.modules and not driver_possible():
        return False
    if not installed("torch"):
        return False
    import torch

    return bool(torch.cuda.is_available())


def driver_possible() -> bool:
    """Whether an NVIDIA driver may be installed, judged by its files alone."""
    if sys.platform == "linux":
        return any(os.path.exists(p) for p in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/nvmap"))
    return os.name == "nt" and (Path(os.environ.get("SystemRoot", "C:/Windows")) / "System32" / "nvcuda.dll").exists()


@contextmanager
def without_tf32() -> Iterator[None]:
    """Makes convolutions and matrix products of float32 compute in float32.

    cuDNN multiplies in TF32 by default, which costs three decimal digits. torch 2.9 and later have one setting for each
    backend and operation (``fp32_precision``), and refuse to return the older ``allow_tf32`` once these differ.
    """
    import torch

    backends: Any = torch.backends
    operations = (backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul) if (
        hasattr(backends.cudnn, "conv") and hasattr(backends, "fp32_precision")
    ) else ()  # fmt: skip
    with ExitStack() as stack:
        for operation in operations:
            stack.callback(_restore, operation, operation.fp32_precision)
            operation.fp32_precision = "ieee"
        if not operations:
            for switch in (backends.cudnn, backends.cuda.matmul):
                stack.callback(setattr, switch, "allow_tf32", switch.allow_tf32)
                switch.allow_tf32 = False
        yield


def _restore(operation: Any, before: str) -> None:
    # "none" takes the value from above: a setting that came from there keeps following it.
    operation.fp32_precision = "none"
    if operation.fp32_precision != before:
        operation.fp32_precision = before
