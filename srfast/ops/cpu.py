"""The ops of torch.ops.srfast: schemas, CPU implementations, shapes for torch.compile."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from srfast.ops.native import BOUNDARIES, compiled, isa_index, packed_scorer

LIBRARY = torch.library.Library("srfast", "DEF")
LIBRARY.define("imresize(Tensor img, float scale, str boundary) -> Tensor")
LIBRARY.define("downsample(Tensor x, int scale, str boundary) -> Tensor")
LIBRARY.define("upsample(Tensor x, int scale, str boundary) -> Tensor")
LIBRARY.define("per_sample_mse(Tensor a, Tensor b) -> Tensor")
LIBRARY.define("score_patches(Tensor patches, Tensor[] weights, int scale, str boundary, str isa, bool fast) -> Tensor")

DTYPES = {torch.uint8: 0, torch.float32: 1, torch.float64: 2}


def resized(n: int, scale: float) -> int:
    """ceil(scale * n) as MATLAB computes it, in float64."""
    return math.ceil(scale * n)


def _imresize(img: Tensor, scale: float, boundary: str) -> Tensor:
    src = img.contiguous()
    h, w, c = src.shape
    out = torch.empty((resized(h, scale), resized(w, scale), c), dtype=src.dtype)
    compiled().imresize(src.data_ptr(), h, w, c, scale, BOUNDARIES[boundary], DTYPES[src.dtype], out.data_ptr())
    return out


def _resample(x: Tensor, scale: float, boundary: str) -> Tensor:
    src = x.contiguous()
    n, c, h, w = src.shape
    out = torch.empty((n, c, resized(h, scale), resized(w, scale)), dtype=src.dtype)
    compiled().resample(
        src.data_ptr(), n * c, h, w, scale, BOUNDARIES[boundary], torch.get_num_threads(), out.data_ptr()
    )
    return out


def _downsample(x: Tensor, scale: int, boundary: str) -> Tensor:
    return _resample(x, 1 / scale, boundary)


def _upsample(x: Tensor, scale: int, boundary: str) -> Tensor:
    return _resample(x, float(scale), boundary)


def _per_sample_mse(a: Tensor, b: Tensor) -> Tensor:
    a, b = a.contiguous(), b.contiguous()
    out = torch.empty(len(a), dtype=torch.float32)
    compiled().per_sample_mse(
        a.data_ptr(), b.data_ptr(), len(a), a[0].numel() if len(a) else 0, torch.get_num_threads(), out.data_ptr()
    )
    return out


def _score_patches(patches: Tensor, weights: list[Tensor], scale: int, boundary: str, isa: str, fast: bool) -> Tensor:
    src = patches.contiguous()
    n, h, w, c = src.shape
    scorer = packed_scorer(tuple(t.contiguous().numpy().tobytes() for t in weights), scale)
    offsets = torch.arange(n, dtype=torch.int64) * (h * w * c)
    out = torch.empty(n, dtype=torch.float32)
    compiled().score_patches(
        scorer, src.data_ptr(), offsets.data_ptr(), n, w * c, h, w, c, BOUNDARIES[boundary], isa_index(isa or None),
        fast, torch.get_num_threads(), out.data_ptr(), 0, 0,
    )  # fmt: skip
    return out


LIBRARY.impl("imresize", _imresize, "CPU")
LIBRARY.impl("downsample", _downsample, "CPU")
LIBRARY.impl("upsample", _upsample, "CPU")
LIBRARY.impl("per_sample_mse", _per_sample_mse, "CPU")
LIBRARY.impl("score_patches", _score_patches, "CPU")


@torch.library.register_fake("srfast::imresize")
def _(img: Tensor, scale: float, boundary: str) -> Tensor:
    h, w, c = img.shape
    return img.new_empty((math.ceil(h * scale), math.ceil(w * scale), c))


@torch.library.register_fake("srfast::downsample")
def _(x: Tensor, scale: int, boundary: str) -> Tensor:
    n, c, h, w = x.shape
    return x.new_empty((n, c, -(-h // scale), -(-w // scale)))


@torch.library.register_fake("srfast::upsample")
def _(x: Tensor, scale: int, boundary: str) -> Tensor:
    n, c, h, w = x.shape
    return x.new_empty((n, c, h * scale, w * scale))


@torch.library.register_fake("srfast::per_sample_mse")
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], dtype=torch.float32)


@torch.library.register_fake("srfast::score_patches")
def _(patches: Tensor, weights: list[Tensor], scale: int, boundary: str, isa: str, fast: bool) -> Tensor:
    return patches.new_empty(patches.shape[0], dtype=torch.float32)
