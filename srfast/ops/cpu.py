"""The ops of torch.ops.srfast: schemas, CPU implementations, and output shapes for torch.compile.

The compiled module gets pointers and cannot check what they point to, so that each implementation checks its tensors
first.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from srfast.errors import InputError, RunError
from srfast.ops.checks import check_boundary, check_factor, check_patches, check_scale
from srfast.ops.native import (
    BOUNDARIES,
    DTYPES,
    SRCNN_SHAPES,
    compiled,
    imresize,
    isa_index,
    packed_scorer,
    score_batch,
)

LIBRARY = torch.library.Library("srfast", "DEF")
LIBRARY.define("imresize(Tensor img, float scale, str boundary) -> Tensor")
LIBRARY.define("downsample(Tensor x, int scale, str boundary) -> Tensor")
LIBRARY.define("upsample(Tensor x, int scale, str boundary) -> Tensor")
LIBRARY.define("per_sample_mse(Tensor a, Tensor b) -> Tensor")
LIBRARY.define("score_patches(Tensor patches, Tensor[] weights, int scale, str isa, bool fast) -> Tensor")

registered: Any = torch.ops.srfast


def check_image(img: Tensor) -> None:
    """Checks an image [H, W, C] of a type that imresize takes."""
    if str(img.dtype).removeprefix("torch.") not in DTYPES:
        raise TypeError(f"img: expected uint8, uint16, float32 or float64, got {img.dtype}")
    if img.ndim != 3 or 0 in img.shape[:2]:
        raise InputError(f"img: expected [H, W, C] with at least 1 x 1 pixels, got shape {list(img.shape)}")


def check_planes(x: Tensor) -> None:
    """Checks planes [N, C, H, W] float32."""
    if x.dtype != torch.float32:
        raise TypeError(f"x: expected a float32 tensor, got {x.dtype}")
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise InputError(f"x: expected [N, C, H, W] with at least one pixel, got shape {list(x.shape)}")


def check_pair(a: Tensor, b: Tensor) -> None:
    """Checks two tensors [N, ...] float32."""
    for name, x in (("a", a), ("b", b)):
        if x.dtype != torch.float32:
            raise TypeError(f"{name}: expected a float32 tensor, got {x.dtype}")
    if a.shape != b.shape:
        raise InputError(f"b: expected the shape of a, {list(a.shape)}, got {list(b.shape)}")
    if a.device != b.device:
        raise InputError(f"b: expected the device of a, {a.device}, got {b.device}")
    if a.ndim < 2 or 0 in a.shape[1:]:
        raise InputError(f"a: expected [N, ...] with at least one value a sample, got shape {list(a.shape)}")


def check_weights(weights: list[Tensor]) -> None:
    """Checks the six tensors of an SRCNN 9-1-5, float32 in main memory."""
    shapes = [tuple(w.shape) for w in weights]
    if shapes != list(SRCNN_SHAPES.values()):
        raise InputError(f"weights: expected tensors of {list(SRCNN_SHAPES.values())}, got {shapes}")
    for w in weights:
        if w.dtype != torch.float32 or w.device.type != "cpu":
            raise TypeError(f"weights: expected float32 tensors on the CPU, got {w.dtype} on {w.device}")


def _imresize(img: Tensor, scale: float, boundary: str) -> Tensor:
    check_image(img)
    check_factor(scale)
    check_boundary(boundary)
    return torch.from_numpy(imresize(img.detach().numpy(), scale, BOUNDARIES[boundary]))


def _resample(x: Tensor, scale: int, up: bool, boundary: str) -> Tensor:
    check_planes(x)
    check_scale(scale)
    check_boundary(boundary)
    src = x.contiguous()
    n, c, h, w = src.shape
    size = (h * scale, w * scale) if up else (-(-h // scale), -(-w // scale))
    out = torch.empty((n, c, *size), dtype=src.dtype)
    planes = compiled().Planes(src.data_ptr(), n * c, h, w)
    compiled().resample(planes, scale, up, BOUNDARIES[boundary], torch.get_num_threads(), out.data_ptr())
    return out


def _per_sample_mse(a: Tensor, b: Tensor) -> Tensor:
    check_pair(a, b)
    a, b = a.contiguous(), b.contiguous()
    out = torch.empty(len(a), dtype=torch.float32)
    compiled().per_sample_mse(
        a.data_ptr(), b.data_ptr(), len(a), a[0].numel() if len(a) else 0, torch.get_num_threads(), out.data_ptr()
    )
    return out


def _score_patches(patches: Tensor, weights: list[Tensor], scale: int, isa: str, fast: bool) -> Tensor:
    check_patches(patches, check_scale(scale))
    check_weights(weights)
    scorer = packed_scorer(tuple(t.detach().contiguous().numpy().tobytes() for t in weights), scale)
    index = isa_index(isa or None)
    threads = torch.get_num_threads()
    return torch.from_numpy(score_batch(scorer, patches.numpy(), index, fast, threads))


LIBRARY.impl("imresize", _imresize, "CPU")
LIBRARY.impl("downsample", lambda x, scale, boundary: _resample(x, scale, False, boundary), "CPU")
LIBRARY.impl("upsample", lambda x, scale, boundary: _resample(x, scale, True, boundary), "CPU")
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


torch.library.register_fake("srfast::per_sample_mse", lambda a, b: a.new_empty(a.shape[0], dtype=torch.float32))


def _mse_inputs(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _mse_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    a, b = ctx.saved_tensors
    ours = (a - b) * (2 / max(1, a[:1].numel()) * grad).view(-1, *[1] * (a.ndim - 1))
    return ours, -ours


def _no_backward(ctx: Any, grad: Tensor) -> None:
    raise RunError("imresize, downsample and upsample have no gradient", hint="srfast.reference.resample has one")


torch.library.register_autograd("srfast::per_sample_mse", _mse_backward, setup_context=_mse_inputs, lib=LIBRARY)
for _name in ("imresize", "downsample", "upsample"):
    torch.library.register_autograd(f"srfast::{_name}", _no_backward, lib=LIBRARY)


@torch.library.register_fake("srfast::score_patches")
def _(patches: Tensor, weights: list[Tensor], scale: int, isa: str, fast: bool) -> Tensor:
    return patches.new_empty(patches.shape[0], dtype=torch.float32)
