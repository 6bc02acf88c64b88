"""The only module that imports the compiled module."""

from __future__ import annotations

import ctypes
import math
import sys
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np

from srfast.errors import InputError, RunError
from srfast.runtime.optional import untraced

ISAS = ("baseline", "avx2", "avx512")
SYMMETRIC = 0
BOUNDARIES = {"symmetric": SYMMETRIC, "replicate": 1}
"""Boundary rules of resampling; scoring knows the first."""
DTYPES = {"uint8": 0, "float32": 1, "float64": 2, "uint16": 3}
SRCNN_SHAPES = {
    "conv1.weight": (64, 1, 9, 9),
    "conv1.bias": (64,),
    "conv2.weight": (32, 64, 1, 1),
    "conv2.bias": (32,),
    "conv3.weight": (1, 32, 5, 5),
    "conv3.bias": (1,),
}
"""Shapes of the six arrays of an SRCNN 9-1-5, in the order of ``packed_scorer``."""


def compiled() -> Any:
    """The compiled module. Raises RunError if it cannot be loaded; the message gives the cause."""
    try:
        from srfast import _C
    except ImportError as error:
        remedy = shadowed() or "reinstall with `pip install .`"
        raise RunError(f"srfast's compiled module is missing or broken ({error})", hint=remedy) from None
    return _C


def isas() -> list[str]:
    """Instruction sets of the scoring engine that this machine and this build support, slowest first."""
    mask = compiled().supported_isas()
    return [name for i, name in enumerate(ISAS) if mask >> i & 1]


def integer_kernels(isa: str | None = None) -> str:
    """Instructions of the reduced precision for an instruction set of the engine; empty if it computes in float32."""
    return str(compiled().integer_kernels(isa_index(isa)))


@lru_cache(maxsize=8)
def isa_index(isa: str | None = None) -> int:
    """Index of an instruction set of the engine: the named one, or the fastest that this machine supports."""
    usable = isas()
    if isa is None:
        return ISAS.index(usable[-1])
    if isa not in usable:
        raise InputError(f"isa: expected one of {', '.join(usable)} on this machine, got {isa!r}")
    return ISAS.index(isa)


@lru_cache(maxsize=8)
def packed_scorer(weights: tuple[bytes, ...], scale: int) -> Any:
    """The six float32 arrays of an SRCNN 9-1-5 (w1, b1, w2, b2, w3, b3), packed for one scale; freed when evicted."""
    arrays = [(ctypes.c_char * len(w)).from_buffer_copy(w) for w in weights]
    return compiled().Scorer(*(ctypes.addressof(a) for a in arrays), scale)


def image_at(image: np.ndarray) -> Any:
    """A uint8 image [H, W, 3 or 1] of contiguous rows, as the compiled module takes it; the array has to outlive it."""
    h, w, c = image.shape
    return compiled().Image(image.ctypes.data, h, w, image.strides[0], c)


def planes_at(planes: np.ndarray) -> Any:
    """The same of contiguous planes float32 [N, H, W]."""
    return compiled().Planes(planes.ctypes.data, *planes.shape)


def grid_at(xs: np.ndarray, ys: np.ndarray, size: int) -> Any:
    """The same of windows of a size, xs and ys contiguous int32 and ascending."""
    return compiled().Grid(xs.ctypes.data, len(xs), ys.ctypes.data, len(ys), size)


def score_batch(
    scorer: Any, patches: np.ndarray, isa: int, fast: bool, threads: int, network: bool = True
) -> np.ndarray:
    """Losses float32 [N] of uint8 patches [N, H, W, 3 or 1]; without ``network``, of bicubic up-sampling."""
    patches = np.ascontiguousarray(patches)
    out = np.empty(len(patches), np.float32)
    if not len(patches):
        return out
    offsets = np.arange(len(patches), dtype=np.int64) * patches[0].nbytes
    target = (out.ctypes.data, 0, 0) if network else (0, out.ctypes.data, 0)
    compiled().score_patches(
        scorer, image_at(patches[0]), offsets.ctypes.data, len(patches), SYMMETRIC, isa, fast, threads, *target
    )
    return out


@untraced
def imresize(image: np.ndarray, scale: float, boundary: int) -> np.ndarray:
    """``srfast.imresize`` of an array [H, W, C], of a type in ``DTYPES``."""
    src = np.ascontiguousarray(image)
    h, w, c = src.shape
    out = np.empty((math.ceil(scale * h), math.ceil(scale * w), c), src.dtype)
    compiled().imresize(src.ctypes.data, h, w, c, scale, boundary, DTYPES[src.dtype.name], out.ctypes.data)
    return out


def unfilter(rows: bytes, out: np.ndarray) -> bool:
    """Undoes the filters of a PNG image's rows [H, 1 + W * C] into uint8 [H, W, C]; False if a filter is unknown."""
    h, w, c = out.shape
    if len(rows) != h * (1 + w * c) or not out.flags.c_contiguous:
        raise InputError(f"rows: expected {h * (1 + w * c)} bytes, got {len(rows)}")
    return bool(compiled().unfilter(np.frombuffer(rows, np.uint8).ctypes.data, h, w, c, out.ctypes.data))


def shadowed() -> str | None:
    """Advice if the package that runs is not the installed one, such as the folder of its sources."""
    here = Path(__file__).resolve().parents[1]
    for entry in sys.path:
        installed = (Path(entry or ".") / "srfast").resolve()
        if installed != here and any((installed / f"_C{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
            return (
                f"the sources in {here} hide the package installed in {installed}: "
                "run from another folder, or set PYTHONSAFEPATH=1"
            )
    return None


def contiguous_rows(image: np.ndarray) -> np.ndarray:
    """The image, copied if the pixels of a row are not contiguous, or rows overlap or go up in memory."""
    _, w, c = image.shape
    # Of a single row, ascontiguousarray would keep any stride.
    return image if image.strides[1:] == (c, 1) and image.strides[0] >= w * c else image.copy()


def build_info() -> dict[str, Any]:
    """Version, compiler, instruction sets (``fast``: those of the reduced precision) and CUDA architectures of the
    compiled module."""
    c = compiled()
    architectures = [a for a in c.cuda_architectures.split(",") if a]
    return {
        "version": c.version,
        "compiler": c.compiler,
        "isas": isas(),
        "fast": integer_kernels(),
        "cuda": bool(architectures),
        "cuda_architectures": architectures,
    }
