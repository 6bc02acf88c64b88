"""The one place that decides which implementation scores."""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch

from srfast.errors import InputError, RunError
from srfast.ops import native
from srfast.scoring.backends.base import Engine
from srfast.scoring.network import Network

BACKENDS = ("auto", "native", "triton", "torch", "onnx")
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("fp32", "fast")
ENVIRONMENT = "SRFAST_BACKEND"
"""Read when the backend is "auto"."""


def unusable(backend: str, device: str, network: Network) -> str | None:
    """Why a backend cannot score with this network on this device; None when it can."""
    compiled = network.kind in ("srcnn", "bicubic")
    if device == "cuda" and not torch.cuda.is_available():
        return "torch sees no CUDA device"
    if backend == "native":
        if not compiled:
            return f"it runs SRCNN 9-1-5 and bicubic only, not {network.name}"
        if not native.available():
            return "the compiled module is missing"
        if device == "cuda" and not native.build_info()["cuda"]:
            return "this build has no CUDA kernels (SRFAST_CUDA=ON pip install . builds them)"
    elif backend == "triton":
        if not compiled:
            return f"it runs SRCNN 9-1-5 and bicubic only, not {network.name}"
        if find_spec("triton") is None:
            return "triton is not installed (pip install 'srfast[cuda]')"
        if device != "cuda":
            return "it needs --device cuda"
    elif backend == "onnx":
        if network.kind == "module":
            return f"{network.name} is not an ONNX file"
        missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
        if missing:
            return f"{' and '.join(missing)} not installed (pip install 'srfast[onnx]')"
        if device == "cuda":
            import onnxruntime

            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                return "this ONNX Runtime has no CUDA provider (pip install onnxruntime-gpu)"
    elif backend == "torch":
        if network.kind == "onnx":
            return f"{network.name} is an ONNX file"
    return None


def resolve_device(device: str) -> str:
    """auto -> cuda when torch sees one, else cpu."""
    if device not in DEVICES:
        raise InputError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise RunError("device: cuda was asked for, but torch sees no CUDA device")
    return device


def choose(backend: str, device: str, network: Network) -> tuple[str, str]:
    """The backend and device that will score.

    A backend named explicitly works or raises RunError with the reason; auto takes the first that works of
    triton (CUDA only), native, onnx for an ONNX file, torch.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend == "auto":
        backend = os.environ.get(ENVIRONMENT, "auto")
        if backend not in BACKENDS:
            raise InputError(f"{ENVIRONMENT}: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    device = resolve_device(device)
    if backend != "auto":
        reason = unusable(backend, device, network)
        if reason:
            raise RunError(f"backend: {backend} cannot be used: {reason}")
        return backend, device
    order = ("triton", "native", "onnx", "torch") if device == "cuda" else ("native", "onnx", "torch")
    if network.kind == "module":
        order = ("torch",)
    reasons = []
    for name in order:
        reason = unusable(name, device, network)
        if reason is None:
            return name, device
        reasons.append(f"{name}: {reason}")
    raise RunError("backend: none can be used: " + "; ".join(reasons))


def make_engine(
    network: Network,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    boundary: str = "symmetric",
    isa: str | None = None,
) -> Engine:
    """The engine that scores with ``network``.

    Raises:
        InputError: an argument is not one of its values. RunError: the named backend cannot be used; says why.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    if boundary not in native.BOUNDARIES:
        raise InputError(f"boundary: expected 'symmetric' or 'replicate', got {boundary!r}")
    backend, device = choose(backend, device, network)
    if device == "cuda" and backend in ("native", "triton"):
        from srfast.scoring.backends.gpu import GpuEngine

        return GpuEngine(network, boundary, backend, precision)
    if backend == "native":
        from srfast.scoring.backends.native import NativeEngine

        return NativeEngine(network, boundary, precision, isa)
    if backend == "onnx":
        from srfast.scoring.backends.onnx.engine import OnnxEngine

        return OnnxEngine(network, boundary, device)
    from srfast.scoring.backends.eager import EagerEngine

    return EagerEngine(network, boundary, device)
