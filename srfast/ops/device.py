"""The one place that turns "auto", "cpu" or "cuda" into a device. PyTorch is loaded only where there may be a GPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal, get_args

from srfast.errors import InputError, RunError

Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[str, ...] = get_args(Device)


def resolve_device(device: str) -> Literal["cpu", "cuda"]:
    """auto -> cuda where PyTorch sees one, else cpu.

    Raises:
        InputError: another name. RunError: cuda was asked for and PyTorch sees none.
    """
    if device not in DEVICES:
        raise InputError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}")
    if device == "cpu":
        return "cpu"
    if sees_cuda():
        return "cuda"
    if device == "cuda":
        raise RunError("device: cuda was asked for, but PyTorch sees no CUDA device")
    return "cpu"


def sees_cuda() -> bool:
    """Whether PyTorch sees a CUDA device; importing it takes a second, so not where no driver can be."""
    if "torch" not in sys.modules and not _driver_possible():
        return False
    import torch

    return bool(torch.cuda.is_available())


def _driver_possible() -> bool:
    if sys.platform == "linux":
        return any(os.path.exists(p) for p in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/nvmap"))
    return os.name == "nt" and (Path(os.environ.get("SystemRoot", "C:/Windows")) / "System32" / "nvcuda.dll").exists()
