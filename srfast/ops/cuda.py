"""CUDA implementations of torch.ops.srfast, and the op ``degrade``. The module imports without a GPU and without CUDA.

Kernels run on the current stream of the tensor's device. Outputs and scratch memory are allocated here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from srfast.errors import InputError
from srfast.ops import native, reference
from srfast.ops.checks import check_patches
from srfast.ops.cpu import LIBRARY
from srfast.settings import SCALE

# csrc/core/api.h and csrc/cuda/launch.h
ELEMENT_TYPES = {torch.uint8: 0, torch.float32: 1, torch.float16: 3, torch.bfloat16: 4}

LEAST_CAPABILITY = (8, 0)

_HOW = "int scale, ScalarType dtype, bool up=True, bool sums=True) -> (Tensor, Tensor, Tensor, Tensor)"
# patches [N, H, W, 3 or 1] -> Y uint8 [N, H, W]; LR uint8 [N, H / scale, W / scale]; the up-sampled plane [N, H, W] in
# [0, 255]; the sums of (up - Y)^2 and of the Sobel map, float64 [N, tiles, 2]. The last two are empty unless requested.
LIBRARY.define(f"degrade(Tensor patches, {_HOW}")
# The same of windows of height x width pixels in one buffer: window i begins at byte offsets[i] (int64 [N]) of
# pixels, its rows are row_strides[i] bytes apart.
LIBRARY.define(
    f"degrade_windows(Tensor pixels, Tensor offsets, Tensor row_strides, int height, int width, int channels, {_HOW}"
)


def has_kernels() -> bool:
    """Whether this build of the compiled module has CUDA kernels."""
    return bool(native.compiled().cuda_architectures)


def refusal(device: torch.device | str = "cuda") -> str | None:
    """Why the CUDA kernels of this build do not run on the GPU; None if they do, or if the build has none."""
    if not has_kernels():
        return None
    index = torch.device(device).index
    return _refusal(torch.cuda.current_device() if index is None else index)


@cache
def _refusal(index: int) -> str | None:
    driver, runtime, error = native.compiled().probe_cuda(index)
    if driver == 0:
        return "there is no CUDA driver"
    if driver // 1000 < runtime // 1000:  # a driver runs what newer toolkits of its own major version make
        return (
            f"the driver runs CUDA {_version(driver)} at most, and this build is made with {_version(runtime)} "
            f"(a driver for CUDA {runtime // 1000}, or a build with nvcc {driver // 1000})"
        )
    if error:
        return f"its kernels do not load: {error} (built for {native.compiled().cuda_architectures})"
    return None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _runs(device: torch.device) -> bool:
    return has_kernels() and refusal(device) is None


def unsupported() -> str | None:
    """Why neither the CUDA nor the Triton kernels run on the GPU; None if they do."""
    major, minor = torch.cuda.get_device_capability()
    if (major, minor) < LEAST_CAPABILITY:
        return f"{torch.cuda.get_device_name()} has compute capability {major}.{minor}, and 8.0 is the least"
    return None


def _launch(name: str, device: torch.device, *arguments: Any) -> None:
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream(device).cuda_stream
        getattr(native.compiled(), name)(*arguments, device.index, stream)


def _degrade(patches: Tensor, scale: int, dtype: torch.dtype, up: bool = True, sums: bool = True) -> Any:
    check_patches(patches, SCALE.check("scale", scale))
    n, h, w, c = patches.shape
    _check(h, w, c, dtype)
    patches = patches.contiguous()
    run = _by_kernels if patches.is_cuda and _runs(patches.device) else _plain
    return run(patches, None, None, n, h, w, c, scale, dtype, up, sums)


def _degrade_windows(
    pixels: Tensor, offsets: Tensor, row_strides: Tensor, height: int, width: int, channels: int,
    scale: int, dtype: torch.dtype, up: bool = True, sums: bool = True,
) -> Any:  # fmt: skip
    check_patches(pixels.new_empty(0, height, width, channels), SCALE.check("scale", scale))
    _check(height, width, channels, dtype)
    if not pixels.is_contiguous():
        raise InputError("pixels: expected a contiguous buffer")
    for name, tensor in (("offsets", offsets), ("row_strides", row_strides)):
        if tensor.dtype != torch.int64 or tensor.shape != (len(offsets),) or not tensor.is_contiguous():
            raise InputError(f"{name}: expected a contiguous int64 [{len(offsets)}], got {tensor.dtype} {tensor.shape}")
        if tensor.device != pixels.device:
            raise InputError(f"{name}: expected a tensor on {pixels.device}, got one on {tensor.device}")
    run = _by_kernels if pixels.is_cuda and _runs(pixels.device) else _plain
    return run(pixels, offsets, row_strides, len(offsets), height, width, channels, scale, dtype, up, sums)


def _check(h: int, w: int, c: int, dtype: torch.dtype) -> None:
    if h * w * c >= 2**31:
        raise InputError(f"patches: expected fewer than 2^31 bytes an image, got {h} x {w} x {c}")
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise TypeError(f"dtype: expected float32, float16 or bfloat16, got {dtype}")


def _plain(
    pixels: Tensor, offsets: Tensor | None, row_strides: Tensor | None, n: int, h: int, w: int, c: int,
    scale: int, dtype: torch.dtype, up: bool, sums: bool,
) -> Any:  # fmt: skip
    if offsets is not None and row_strides is not None:
        rows = offsets[:, None] + row_strides[:, None] * torch.arange(h, device=pixels.device)
        pixels = pixels.flatten()[rows[..., None] + torch.arange(w * c, device=pixels.device)].view(n, h, w, c)
    y = reference.luma(pixels).clone()  # of one channel it would be a view
    small = reference.resample_uint8(y, 1 / scale)
    plane = totals = torch.empty(0, dtype=torch.float64, device=y.device)
    if up or sums:
        plane = reference.resample(small.double(), scale)
    if sums:
        squares = (plane - y).square().sum((1, 2))
        totals = torch.stack([squares, reference.sobel_map(pixels).sum((1, 2))], 1)[:, None]
    return y, small, plane.to(dtype) if up else torch.empty(0, dtype=dtype, device=y.device), totals


def _by_kernels(
    pixels: Tensor, offsets: Tensor | None, row_strides: Tensor | None, n: int, h: int, w: int, c: int,
    scale: int, dtype: torch.dtype, up: bool, sums: bool,
) -> Any:  # fmt: skip
    outputs = _outputs(pixels, n, h, w, scale, dtype, up, sums)
    _launch(
        "degrade_cuda", pixels.device, *(0 if t is None else t.data_ptr() for t in (pixels, offsets, row_strides)),
        n, h, w, c, scale, native.SYMMETRIC, ELEMENT_TYPES[dtype], *(t.data_ptr() for t in outputs),
    )  # fmt: skip
    return outputs


def _outputs(
    pixels: Tensor, n: int, h: int, w: int, scale: int, dtype: torch.dtype, up: bool, sums: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    tiles = native.compiled().degrade_tiles(h, w, scale) if pixels.is_cuda and _runs(pixels.device) else 1
    return (
        pixels.new_empty((n, h, w)),
        pixels.new_empty((n, h // scale, w // scale)),
        pixels.new_empty((n, h, w) if up else (0,), dtype=dtype),
        pixels.new_empty((n, tiles, 2) if sums else (0,), dtype=torch.float64),
    )


def _per_sample_mse(a: Tensor, b: Tensor) -> Tensor:
    if a.shape != b.shape or a.ndim < 2 or 0 in a.shape[1:]:
        raise InputError(f"b: expected the shape of a, [N, ...] and not empty, got {list(b.shape)} for {list(a.shape)}")
    if a.device != b.device:
        raise InputError(f"b: expected a tensor on {a.device}, got one on {b.device}")
    if not _runs(a.device) or a.dtype not in ELEMENT_TYPES or (b.dtype != torch.uint8 and a.dtype != torch.float32):
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


def _resample(x: Tensor, scale: float, boundary: str) -> Tensor:
    return reference.resample(x.double(), scale, boundary).to(x.dtype)


for _device in ("CPU", "CUDA"):
    LIBRARY.impl("degrade", _degrade, _device)
    LIBRARY.impl("degrade_windows", _degrade_windows, _device)
LIBRARY.impl("per_sample_mse", _per_sample_mse, "CUDA")
LIBRARY.impl("imresize", _imresize, "CUDA")
LIBRARY.impl("downsample", lambda x, scale, boundary: _resample(x, 1 / scale, boundary), "CUDA")
LIBRARY.impl("upsample", _resample, "CUDA")


@torch.library.register_fake("srfast::degrade")
def _(patches: Tensor, scale: int, dtype: torch.dtype, up: bool = True, sums: bool = True) -> Any:
    n, h, w, _ = patches.shape
    return _outputs(patches, n, h, w, scale, dtype, up, sums)


@torch.library.register_fake("srfast::degrade_windows")
def _(
    pixels: Tensor, offsets: Tensor, row_strides: Tensor, height: int, width: int, channels: int,
    scale: int, dtype: torch.dtype, up: bool = True, sums: bool = True,
) -> Any:  # fmt: skip
    return _outputs(pixels, offsets.shape[0], height, width, scale, dtype, up, sums)
