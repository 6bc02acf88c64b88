"""ONNX Runtime: scoring with the exported graph, and networks that come as .onnx files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from srfast.errors import InputError, RunError
from srfast.ops import reference
from srfast.runtime.optional import needing
from srfast.scoring.backends.maps import MapEngine
from srfast.scoring.backends.onnx.graph import Output, build_scorer
from srfast.scoring.network import Network

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

# Pixels of one run. SRCNN holds 256 bytes of feature maps for each; a GPU wants long runs, caches short ones.
_RUN_PIXELS = {CPU: 1 << 16, CUDA: 1 << 21}
# Largest side of a tile of an image, in HR pixels: feature maps of about 100 MB.
_TILE = 480
# Side of the square on which an unknown network with dynamic sizes is tried: a multiple of the usual windows.
_PROBE = 48


def session(model: bytes | Path, threads: int, device: str = "auto") -> Any:
    """Opens an onnxruntime.InferenceSession of a serialised graph, or the path of one, with ``threads`` for one run.
    The device "auto" takes CUDA if it works, otherwise the CPU; "cuda" insists on it. Raises InputError if the graph
    cannot be loaded, and RunError if onnxruntime is missing, or CUDA was requested and does not work."""
    _runtime()
    reason = "" if device == "cpu" else cuda_fails()
    if device == "cuda" and reason is not None:
        raise RunError(f"device: expected a working CUDA provider of ONNX Runtime, got none: {reason}")
    try:
        return _open(model, threads, reason is None)
    except Exception as error:
        name = "model" if isinstance(model, bytes) else model
        raise InputError(f"{name}: expected a graph that ONNX Runtime can load, got: {_first_line(error)}") from error


def provider_report() -> dict[str, str | None]:
    """Versions of onnxruntime and onnx (None: missing), the provider in use, and why it is not CUDA. Never raises."""
    report: dict[str, str | None] = {"onnxruntime": None, "onnx": None, "provider": None, "reason": None}
    for name in ("onnxruntime", "onnx"):
        try:
            report[name] = import_module(name).__version__
        except ImportError:
            report["reason"] = f"{name} is not installed: pip install 'srfast[onnx]'"
    if report["onnxruntime"] and report["onnx"]:
        report["reason"] = cuda_fails()
        report["provider"] = CUDA if report["reason"] is None else CPU
    return report


class OnnxEngine(MapEngine):
    """Scores SRCNN and bicubic with ONNX Runtime. Raises RunError if onnx or onnxruntime is missing."""

    name = "onnx"

    def __init__(self, network: Network, device: str = "auto", threads: int = 1) -> None:
        super().__init__(network)
        self._threads, self._device = threads, device
        self._sessions: dict[tuple[int, Output, tuple[int, int] | None], Any] = {}
        self.provider: str = self._session(3, "loss", None).get_providers()[0]

    def batch(self, patches: np.ndarray) -> np.ndarray:
        if len(patches) == 0:
            return np.zeros(0, np.float32)
        if max(patches.shape[1:3]) > _TILE:
            return np.array([self.errors(patch[None]).mean(dtype=np.float64) for patch in patches], np.float32)
        return self._run(patches, "loss")

    def errors(self, patches: np.ndarray) -> np.ndarray:
        """Large images are computed in tiles with exact overlap, so that memory does not grow with them."""
        height, width = patches.shape[1:3]
        if max(height, width) <= _TILE:
            return self._run(patches, "map")
        out = np.empty((len(patches), height, width), np.float32)
        for rows, rows_in, rows_kept in _tiles(height, self.network.scale):
            for cols, cols_in, cols_kept in _tiles(width, self.network.scale):
                out[:, rows, cols] = self._run(patches[:, rows_in, cols_in], "map")[:, rows_kept, cols_kept]
        return out

    def _run(self, patches: np.ndarray, output: Output) -> np.ndarray:
        _, height, width, channels = patches.shape
        # One graph serves every size; sides shorter than the border it mirrors need one of their own.
        run = self._session(channels, output, None if min(height, width) >= 2 * self.network.scale else (height, width))
        batch = max(1, _RUN_PIXELS[self.provider] // (height * width))
        return _in_batches(lambda x: run.run(None, {"patches": x})[0], patches, batch)

    def _session(self, channels: int, output: Output, size: tuple[int, int] | None) -> Any:
        key = (channels, output, size)
        if key not in self._sessions:
            model = build_scorer(self.network.weights, self.network.scale, size, output=output, channels=channels)
            self._sessions[key] = session(model.SerializeToString(), self._threads, self._device)
        return self._sessions[key]


class OnnxNetwork(nn.Module):
    """A network from an .onnx file, LR [N, C, h, w] in [0, 1] to SR: one float32 input, Y or RGB, and one output.

    It ``takes`` "up" if the output has the size of the input, which is then bicubically up-sampled, and "lr" if it is
    ``scale`` times as large. Raises InputError if the file is not such a network, or has another scale, and RunError if
    onnxruntime is missing.
    """

    def __init__(self, path: Path | str, scale: int, threads: int = 1, device: str = "auto") -> None:
        super().__init__()
        self.path, self.scale = Path(path), scale
        if not self.path.is_file():
            raise InputError(f"{path}: expected an .onnx file, got none")
        self._session = session(self.path, threads, device)
        self._input, self._batch, channels, self._sides = self._signature()
        about = self._session.get_modelmeta().custom_metadata_map
        if "srfast_version" in about and about.get("scale") != str(scale):
            raise InputError(f"{path}: expected a network for scale {scale}, got scale {about.get('scale')}")
        channels, self.takes = self._probe(channels)
        self.color: Literal["y", "rgb"] = "y" if channels == 1 else "rgb"

    def forward(self, lr: Tensor) -> Tensor:
        planes = reference.resample(lr, self.scale) if self.takes == "up" else lr
        n, c, height, width = planes.shape
        batch = self._batch or max(1, _RUN_PIXELS[CPU] // (height * width))
        out = _in_batches(self._call, planes.contiguous().numpy(), batch, self._batch is not None)
        factor = 1 if self.takes == "up" else self.scale
        if out.shape != (wanted := (n, c, factor * height, factor * width)):
            raise InputError(
                f"{self.path}: expected output {list(wanted)} from {list(planes.shape)}, got {list(out.shape)}"
            )
        return torch.from_numpy(out)

    def _call(self, planes: np.ndarray) -> np.ndarray:
        try:
            out: np.ndarray = self._session.run(None, {self._input: planes})[0]
        except Exception as error:
            raise InputError(
                f"{self.path}: expected a network that takes {list(planes.shape)}, got: {_first_line(error)}"
            ) from error
        return out

    def _signature(self) -> tuple[str, int | None, int | None, tuple[int | None, int | None]]:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        wanted = "one float32 input [N, C, H, W] (C is 1: Y, or 3: RGB, in [0, 1]) and one float32 output"
        if self._session.get_modelmeta().custom_metadata_map.get("kind") == "scorer":
            raise InputError(
                f"{self.path}: expected a network with {wanted}, got a whole scorer",
                hint="`srfast onnx --network-only` writes a network, and `scorer` srcnn is what this one scores with",
            )
        if len(inputs) != 1 or len(outputs) != 1:
            raise InputError(f"{self.path}: expected {wanted}, got {len(inputs)} inputs and {len(outputs)} outputs")
        for side, value in (("input", inputs[0]), ("output", outputs[0])):
            channels = value.shape[1] if len(value.shape) == 4 else 0
            if value.type != "tensor(float)" or (isinstance(channels, int) and channels not in (1, 3)):
                raise InputError(f"{self.path}: expected {wanted}, got {side} {value.type} {value.shape}")
        batch, planes, height, width = (n if isinstance(n, int) else None for n in inputs[0].shape)
        return inputs[0].name, batch, planes, (height, width)

    def _probe(self, channels: int | None) -> tuple[int, Literal["up", "lr"]]:
        """Finds the channels, and which input the network takes.

        Annotated shapes may be symbolic, missing or wrong, so one run on gray finds out.
        """
        if channels is None:
            try:
                return self._probe(1)
            except InputError:
                return self._probe(3)
        height, width = (n or _PROBE for n in self._sides)
        shape = (self._batch or 1, channels, height, width)
        out = self._call(np.full(shape, 0.5, np.float32))
        if out.shape[:2] == shape[:2]:
            if out.shape[2:] == (height, width):
                return channels, "up"
            if out.shape[2:] == (self.scale * height, self.scale * width):
                return channels, "lr"
        raise InputError(
            f"{self.path}: expected output of the input's size or {self.scale} times it (the scale), "
            f"got {list(out.shape)} from {list(shape)}"
        )


def _in_batches(run: Callable[[np.ndarray], np.ndarray], x: np.ndarray, batch: int, fixed: bool = False) -> np.ndarray:
    """Calls ``run`` on ``batch`` samples at a time; if ``fixed``, the last sample is repeated to fill a batch."""
    parts = []
    for start in range(0, len(x), batch):
        part = np.ascontiguousarray(x[start : start + batch])
        n = len(part)
        if fixed and n < batch:
            part = np.concatenate([part, np.repeat(part[-1:], batch - n, axis=0)])
        parts.append(run(part)[:n])
    return np.concatenate(parts)


def _tiles(n: int, scale: int) -> Iterator[tuple[slice, slice, slice]]:
    """Tiles of one axis: the pixels written, the pixels read, and the former within the latter.

    A squared error depends on 6 HR pixels around it (9 x 9, then 5 x 5), those on 2 LR pixels around theirs,
    and those on fewer than 2 ``scale`` HR pixels beyond their cell: the halo covers that, so that no false
    border reaches what is kept.
    """
    halo = scale * (-(-6 // scale) + 5)
    step = scale * -(-n // (scale * -(-n // _TILE)))
    for start in range(0, n, step):
        stop = min(start + step, n)
        first, last = max(start - halo, 0), min(stop + halo, n)
        yield slice(start, stop), slice(first, last), slice(start - first, stop - first)


def _runtime() -> Any:
    with needing("the backend onnx"):
        import onnxruntime
    return onnxruntime


def _open(model: bytes | Path, threads: int, cuda: bool) -> Any:
    ort = _runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Memory plans are kept for every input shape: with shapes that vary they only add up.
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    # TF32 keeps three digits of a loss, fewer than the scores promise.
    providers = [(CUDA, {"use_tf32": "0"}), CPU] if cuda else [CPU]
    return ort.InferenceSession(model if isinstance(model, bytes) else str(model), options, providers=providers)


@cache
def cuda_fails() -> str | None:
    """Why no graph runs on CUDA on this machine; None if one does. One is run, since drivers fail as late as that."""
    if CUDA not in _runtime().get_available_providers():
        return "this onnxruntime has no CUDA provider (onnxruntime-gpu has)"
    try:
        probe = _open(build_scorer(None, 2, 4).SerializeToString(), 1, True)
        probe.run(None, {"patches": np.zeros((1, 4, 4, 3), np.uint8)})
    except Exception as error:
        return f"CUDA does not work: {_first_line(error)}"
    return None if probe.get_providers()[0] == CUDA else "ONNX Runtime found no usable CUDA libraries"


def _first_line(error: BaseException) -> str:
    text = str(error.strerror) if isinstance(error, OSError) and error.strerror else str(error)
    return next((line.strip()[:200] for line in text.splitlines() if line.strip()), type(error).__name__)
