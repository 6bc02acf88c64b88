"""The one place that decides which implementation scores."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from cachetools import LRUCache

from srfast.errors import InputError, RunError
from srfast.ops import native
from srfast.ops.device import resolve_device, say_once, sees_cuda
from srfast.runtime.optional import installed
from srfast.scoring.backends.protocol import BatchEngine, Engine
from srfast.scoring.network import Network
from srfast.scoring.settings import BACKENDS, ScoreSettings

ENVIRONMENT = "SRFAST_BACKEND"
"""Environment variable that is read when the backend is "auto"."""
FAST = ("native", "triton")
"""Backends that have a reduced precision."""


def unusable(backend: str, device: str, network: Network) -> str | None:
    """Why a backend cannot score with this network on this device; None when it can."""
    if device == "cuda" and not sees_cuda():
        return "torch sees no CUDA device"
    if device == "cuda" and backend in ("native", "triton"):
        from srfast.ops.cuda import unsupported

        if reason := unsupported():
            return reason
    if backend in ("native", "triton") and network.kind not in ("srcnn", "bicubic"):
        return f"it runs SRCNN 9-1-5 and bicubic only, not {network.name}"
    if backend == "native":
        if device == "cuda" and not native.build_info()["cuda"]:
            return "this build has no CUDA kernels (SRFAST_CUDA=ON pip install . builds them)"
        if device == "cuda":
            from srfast.ops.cuda import refusal

            return refusal()
    elif backend == "triton":
        if not installed("triton"):
            return "triton is not installed (pip install 'srfast[triton]')"
        if device != "cuda":
            return "it needs `device` cuda"
        return _triton_fails()
    elif backend == "onnx":
        if network.kind == "module":
            return f"{network.name} is not an ONNX file"
        missing = [name for name in ("torch", "onnx", "onnxruntime") if not installed(name)]
        if missing:
            return f"not installed: {', '.join(missing)} (pip install 'srfast[onnx]')"
        if device == "cuda":
            from srfast.scoring.backends.onnx.runtime import cuda_fails

            return cuda_fails()
    elif backend == "torch":
        if not installed("torch"):
            return "PyTorch is not installed (pip install 'srfast[torch]')"
        if network.kind == "onnx":
            return f"{network.name} is an ONNX file"
    return None


@cache
def _triton_fails() -> str | None:
    from srfast.kernels.probe import failure

    reason = failure("cuda")
    return reason and f"Triton runs no kernel here: {reason}"


def choose(backend: str, device: str, network: Network) -> tuple[str, str]:
    """The backend and the device that will score. auto takes the first that works of triton (CUDA only), native, onnx
    (for an ONNX file) and torch. Raises RunError if the compiled module is missing, or a backend that the user chose
    does not work; the message gives the reason."""
    if backend == "auto":
        backend = os.environ.get(ENVIRONMENT, "auto")
        if backend not in BACKENDS:
            raise InputError(f"{ENVIRONMENT}: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    device = resolve_device(device)
    native.compiled()  # every backend needs it
    if backend != "auto":
        reason = unusable(backend, device, network)
        if reason:
            raise RunError(f"backend: {backend} cannot be used: {reason}")
        return _chosen(backend, device)
    order: tuple[str, ...] = ("native", "onnx", "torch")
    if network.kind == "module":
        order = ("torch",)
    elif device == "cuda":
        order = ("triton", *order)
    reasons: list[str] = []
    for name in order:
        reason = unusable(name, device, network)
        if reason is None:
            if reasons and network.kind in ("srcnn", "bicubic"):
                say_once(
                    f"{name} scores{' on the GPU' * (device == 'cuda')}, slower than it could: " + "; ".join(reasons)
                )
            return _chosen(name, device)
        reasons.append(f"{name}: {reason}")
    raise RunError("backend: none can be used: " + "; ".join(reasons))


def _chosen(backend: str, device: str) -> tuple[str, str]:
    if backend == "triton":
        from srfast.ops.cuda import has_kernels, refusal

        reason = refusal() if has_kernels() else "this build has none (SRFAST_CUDA=ON pip install . builds them)"
        if reason:
            say_once(f"triton scores on the GPU, and torch down-samples, slower than the CUDA kernels could: {reason}")
    return backend, device


def make_engine(network: Network, settings: ScoreSettings, isa: str | None = None, threads: int = 1) -> BatchEngine:
    """The engine that scores with ``network`` by the settings' backend, device, and precision; ``threads`` are those
    of one call, if it is not concurrent. Raises InputError if ``precision`` is fast and the chosen backend has
    none, and RunError if the named backend cannot be used."""
    backend, device = choose(settings.backend, settings.device, network)
    precision = settings.precision
    if precision == "fast" and backend not in FAST:
        raise InputError(
            f"precision: fast needs the backend {' or '.join(FAST)}, but {backend} scores", hint="leave it out"
        )
    if device == "cuda" and backend in ("native", "triton"):
        return _gpu_engine(network, backend, precision)
    if backend == "native":
        from srfast.scoring.backends.compiled import NativeEngine

        return NativeEngine(network, precision, isa)
    if network.kind in ("module", "onnx"):
        from srfast.scoring.backends.upscaling import UpscalerEngine, make_upscaler

        upscaler = make_upscaler(network, device, settings.tile_overlap, threads)
        return UpscalerEngine(network, upscaler, backend)
    if backend == "onnx":
        from srfast.scoring.backends.onnx.runtime import OnnxEngine

        return OnnxEngine(network, device, threads)
    from srfast.scoring.backends.maps import EagerEngine

    return EagerEngine(network, device)


_GPU_ENGINES: LRUCache[tuple[Any, ...], BatchEngine] = LRUCache(8)


def _gpu_engine(network: Network, backend: str, precision: str) -> BatchEngine:
    """An engine on the current GPU, which takes over the weights of an engine made before."""
    import torch

    from srfast.scoring.backends.gpu import GpuEngine

    where = torch.device("cuda", torch.cuda.current_device())
    key = (network.kind, network.sha256, network.scale, backend, precision, where)
    if network.arrays is not None and (engine := _GPU_ENGINES.get(key)) is not None:
        return engine
    engine = GpuEngine(network, backend, precision, where)
    if network.arrays is not None:
        _GPU_ENGINES[key] = engine
    return engine


def make_pair_engine(network: Network, settings: ScoreSettings, threads: int = 1) -> Engine:
    """The engine that scores existing pairs: ONNX Runtime runs .onnx files, and torch any other network. Raises
    InputError if another backend or precision is named, and RunError if the backend cannot be used."""
    backend = "onnx" if network.kind == "onnx" else "torch"
    if settings.backend not in ("auto", backend) or settings.precision != "fp32":
        runner = "ONNX Runtime" if backend == "onnx" else "torch"
        raise InputError(
            f"lr_images: existing pairs are scored by {runner} in fp32", hint="leave `backend` and `precision` out"
        )
    device = resolve_device(settings.device)
    if not installed("torch"):
        raise RunError(
            "lr_images: existing pairs are scored by PyTorch, which is not installed",
            hint="pip install 'srfast[torch]'",
        )
    if backend == "onnx" and (reason := unusable(backend, device, network)):
        raise RunError(f"backend: {backend} cannot be used: {reason}")
    from srfast.scoring.backends.upscaling import PairEngine, make_upscaler

    upscaler = None
    if network.kind in ("module", "onnx"):
        upscaler = make_upscaler(network, device, settings.tile_overlap, threads)
    return PairEngine(network, device, upscaler, backend)
