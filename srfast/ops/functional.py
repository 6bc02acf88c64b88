"""Public operations on arrays and tensors: checks here, arithmetic in the registered ops."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from srfast.errors import InputError
from srfast.ops import (
    cpu,  # noqa: F401  (registers torch.ops.srfast)
    cuda,  # noqa: F401  (registers torch.ops.srfast)
)
from srfast.ops.native import BOUNDARIES

Boundary = Literal["symmetric", "replicate"]
Image = TypeVar("Image", np.ndarray, Tensor)

_IMAGE_DTYPES = (torch.uint8, torch.float32, torch.float64)


def imresize(img: Image, scale: float, *, boundary: Boundary = "symmetric") -> Image:
    """MATLAB's ``imresize(img, scale, 'bicubic')``, with antialiasing when it shrinks.

    Args:
        img: [H, W], [H, W, 1] or [H, W, 3], uint8, float32 or float64; NumPy array or CPU tensor, at least 1 x 1.
        scale: Any factor from 2^-16 to 2^16; the output is [ceil(scale * H), ceil(scale * W), ...].
        boundary: "symmetric" (half-sample mirror, MATLAB R2015b and later) or "replicate" (older MATLAB).

    Returns:
        The type and dtype of ``img``. uint8 is rounded half up and clamped after each of the two passes, bit for bit
        as MATLAB does; floats are neither rounded nor clamped.

    Raises:
        InputError (a ValueError): wrong shape, scale or boundary. TypeError: wrong type or dtype.
    """
    tensor = _as_tensor("img", img)
    if tensor.dtype not in _IMAGE_DTYPES:
        raise TypeError(f"img: expected uint8, float32 or float64, got {img.dtype}")
    if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and tensor.shape[2] not in (1, 3)):
        raise InputError(f"img: expected [H, W], [H, W, 1] or [H, W, 3], got shape {list(img.shape)}")
    if 0 in tensor.shape:
        raise InputError(f"img: expected at least 1 x 1 pixels, got shape {list(img.shape)}")
    _check_boundary(boundary)
    factor = _factor(scale)
    shape = tensor.shape
    out = torch.ops.srfast.imresize(tensor.reshape(shape[0], shape[1], -1), factor, boundary)
    out = out.reshape(*out.shape[:2], *shape[2:])
    return out.numpy() if isinstance(img, np.ndarray) else out


def downsample(x: Tensor, scale: int, *, boundary: Boundary = "symmetric") -> Tensor:
    """Bicubic antialiased down-sampling by an integer: imresize(x, 1 / scale) of each plane, never rounded.

    Args:
        x: [N, C, H, W] float32, any range, contiguous or not.
        scale: 2, 3 or 4.
        boundary: "symmetric" or "replicate".

    Returns:
        [N, C, ceil(H / scale), ceil(W / scale)] float32. Not differentiable.

    Raises:
        InputError: wrong shape, scale or boundary. TypeError: not a float32 tensor.
    """
    _check_planes(x, scale)
    _check_boundary(boundary)
    return torch.ops.srfast.downsample(x, int(scale), boundary)


def upsample(x: Tensor, scale: int, *, boundary: Boundary = "symmetric") -> Tensor:
    """Bicubic up-sampling by an integer: imresize(x, scale) of each plane, never rounded.

    Args, errors: as for ``downsample``. Returns [N, C, scale * H, scale * W] float32. Not differentiable.
    """
    _check_planes(x, scale)
    _check_boundary(boundary)
    return torch.ops.srfast.upsample(x, int(scale), boundary)


def per_sample_mse(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared error of each sample of a batch.

    Args:
        a: [N, ...] float32, any range, contiguous or not.
        b: The same shape, dtype and device.

    Returns:
        [N] float32 in squared units of the input, summed in float64.

    Raises:
        InputError: shapes or devices differ, or a sample is empty. TypeError: not float32 tensors.
    """
    for name, x in (("a", a), ("b", b)):
        if not isinstance(x, Tensor) or x.dtype != torch.float32:
            raise TypeError(f"{name}: expected a float32 tensor, got {_kind(x)}")
    if a.shape != b.shape:
        raise InputError(f"b: expected the shape of a, {list(a.shape)}, got {list(b.shape)}")
    if a.device != b.device:
        raise InputError(f"b: expected the device of a, {a.device}, got {b.device}")
    if a.ndim < 2 or 0 in a.shape[1:]:
        raise InputError(f"a: expected [N, ...] with at least one value a sample, got shape {list(a.shape)}")
    return torch.ops.srfast.per_sample_mse(a, b)


def _as_tensor(name: str, value: np.ndarray | Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype not in (np.uint8, np.float32, np.float64):
            raise TypeError(f"{name}: expected uint8, float32 or float64, got {value.dtype}")
        # Negative strides and read-only arrays have no tensor view.
        return torch.from_numpy(np.array(value, copy=None if _viewable(value) else True))
    raise TypeError(f"{name}: expected a NumPy array or a tensor, got {_kind(value)}")


def _viewable(value: np.ndarray) -> bool:
    return value.flags.writeable and all(s >= 0 for s in value.strides)


def _kind(value: object) -> str:
    if isinstance(value, (Tensor, np.ndarray)):
        return f"{type(value).__name__} of {value.dtype}"
    return type(value).__name__


def _factor(scale: float) -> float:
    try:
        factor = float(scale)
    except (TypeError, ValueError):
        factor = 0.0
    # A filter has 4 / scale taps, and 2^16 times a pixel is more than memory holds.
    if not 2**-16 <= factor <= 2**16:
        raise InputError(f"scale: expected a number from 2^-16 to 2^16, got {scale!r}")
    return factor


def _check_boundary(boundary: str) -> None:
    if boundary not in BOUNDARIES:
        raise InputError(f"boundary: expected 'symmetric' or 'replicate', got {boundary!r}")


def _check_scale(scale: int) -> None:
    if isinstance(scale, bool) or scale not in (2, 3, 4):
        raise InputError(f"scale: expected 2, 3 or 4, got {scale!r}")


def _check_planes(x: Tensor, scale: int) -> None:
    if not isinstance(x, Tensor) or x.dtype != torch.float32:
        raise TypeError(f"x: expected a float32 tensor, got {_kind(x)}")
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise InputError(f"x: expected [N, C, H, W] with at least one pixel, got shape {list(x.shape)}")
    _check_scale(scale)
