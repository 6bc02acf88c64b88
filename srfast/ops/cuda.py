"""CUDA implementations of torch.ops.srfast, and the op ``degrade``. Needs neither a GPU nor CUDA to import.

Kernels run on the current stream of the tensor's device; outputs and scratch are allocated here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from srfast.ops import native, reference
from srfast.ops.cpu import LIBRARY

# csrc/core/api.h and csrc/cuda/launch.h
ELEMENT_TYPES = {torch.uint8: 0, torch.float32: 1, torch.float16: 3, torch.bfloat16: 4}

LEAST_CAPABILITY = (8, 0)

# patches [N, H, W, 3 or 1] -> Y uint8 [N, H, W]; LR uint8 [N, H / scale, W / scale]; the up-sampled plane [N, H, W] in
# [0, 255]; the sums of (up - Y)^2 and of the Sobel map, float64 [N, tiles, 2]. LR and sums are empty unless asked for.
LIBRARY.define(
    "degrade(Tensor patches, int scale, str boundary, ScalarType dtype, bool lr=True, bool sums=True)"
    " -> (Tensor, Tensor, Tensor, Tensor)"
)


def has_kernels() -> bool:
    """Whether this build of the compiled module has CUDA kernels."""
    return native.available() and bool(native.compiled().cuda_architectures)


def unsupported(device: torch.device | str = "cuda") -> str | None:
    """Why neither the CUDA nor the Triton kernels run on a GPU; None where they do."""
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < LEAST_CAPABILITY:
        return f"{torch.cuda.get_device_name(device)} has compute capability {major}.{minor}, and 8.0 is the least"
    return None


def _launch(name: str, device: torch.device, *arguments: Any) -> None:
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream(device).cuda_stream
        getattr(native.compiled(), name)(*arguments, device.index, stream)


def _degrade_plain(
    patches: Tensor, scale: int, boundary: str, dtype: torch.dtype, lr: bool = True, sums: bool = True
) -> Any:
    patches = patches.contiguous()
    y = reference.luma(patches) if patches.shape[-1] == 3 else patches[..., 0].clone()
    small = reference.resample_uint8(y, 1 / scale, boundary)
    up = reference.resample(small.double(), scale, boundary)
    totals = up.new_empty(0)
    if sums:
        totals = torch.stack([(up - y).square().sum((1, 2)), reference.sobel_map(patches).sum((1, 2))], 1)[:, None]
    return y, small if lr else small.new_empty(0), up.to(dtype), totals


def _degrade_cuda(
    patches: Tensor, scale: int, boundary: str, dtype: torch.dtype, lr: bool = True, sums: bool = True
) -> Any:
    if not has_kernels():
        return _degrade_plain(patches, scale, boundary, dtype, lr, sums)
    src = patches.contiguous()
    n, h, w, c = src.shape
    y = torch.empty((n, h, w), dtype=torch.uint8, device=src.device)
    small = torch.empty((n, h // scale, w // scale) if lr else (0,), dtype=torch.uint8, device=src.device)
    up = torch.empty((n, h, w), dtype=dtype, device=src.device)
    tiles = native.compiled().degrade_tiles(h, w, scale)
    totals = torch.empty((n, tiles, 2) if sums else (0,), dtype=torch.float64, device=src.device)
    _launch(
        "degrade_cuda", src.device, src.data_ptr(), n, h, w, c, scale, native.BOUNDARIES[boundary],
        ELEMENT_TYPES[dtype], y.data_ptr(), small.data_ptr(), up.data_ptr(), totals.data_ptr(),
    )  # fmt: skip
    return y, small, up, totals


def _per_sample_mse(a: Tensor, b: Tensor) -> Tensor:
    if not has_kernels() or a.dtype not in ELEMENT_TYPES or (b.dtype != torch.uint8 and a.dtype != torch.float32):
        return reference.per_sample_mse(a, b).float()
    a, b = a.contiguous(), b.contiguous()
    n = len(a)
    length = a[0].numel() if n else 1
    scratch = torch.empty(native.compiled().mse_scratch(n, length), dtype=torch.float64, device=a.device)
    out = torch.empty(n, dtype=torch.float32, device=a.device)
    _launch(
        "per_sample_mse_cuda", a.device, a.data_ptr(), ELEMENT_TYPES[a.dtype], b.data_ptr(), ELEMENT_TYPES[b.dtype],
        n, length, scratch.data_ptr(), out.data_ptr(),
    )  # fmt: skip
    return out


def _imresize(img: Tensor, scale: float, boundary: str) -> Tensor:
    planes = img.movedim(-1, 0)
    if img.dtype == torch.uint8:
        out = reference.resample_uint8(planes, scale, boundary)
    else:
        out = reference.resample(planes.double(), scale, boundary).to(img.dtype)
    return out.movedim(0, -1).contiguous()


def _downsample(x: Tensor, scale: int, boundary: str) -> Tensor:
    return reference.resample(x.double(), 1 / scale, boundary).to(x.dtype)


def _upsample(x: Tensor, scale: int, boundary: str) -> Tensor:
    return reference.resample(x.double(), scale, boundary).to(x.dtype)


LIBRARY.impl("degrade", _degrade_plain, "CPU")
LIBRARY.impl("degrade", _degrade_cuda, "CUDA")
LIBRARY.impl("per_sample_mse", _per_sample_mse, "CUDA")
LIBRARY.impl("imresize", _imresize, "CUDA")
LIBRARY.impl("downsample", _downsample, "CUDA")
LIBRARY.impl("upsample", _upsample, "CUDA")


@torch.library.register_fake("srfast::degrade")
def _(patches: Tensor, scale: int, boundary: str, dtype: torch.dtype, lr: bool = True, sums: bool = True) -> Any:
    n, h, w, _ = patches.shape
    tiles = native.compiled().degrade_tiles(h, w, scale) if patches.is_cuda and has_kernels() else 1
    return (
        patches.new_empty((n, h, w)),
        patches.new_empty((n, h // scale, w // scale) if lr else (0,)),
        patches.new_empty((n, h, w), dtype=dtype),
        patches.new_empty((n, tiles, 2) if sums else (0,), dtype=torch.float64),
    )
