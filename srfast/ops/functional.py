"""Public operations on arrays and tensors: checks here, arithmetic in the registered ops."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from srfast.errors import InputError
from srfast.ops import cuda  # noqa: F401  (registers torch.ops.srfast)
from srfast.ops.checks import check_boundary, check_factor, check_scale
from srfast.ops.cpu import check_image, check_pair, check_planes  # registers torch.ops.srfast

Boundary = Literal["symmetric", "replicate"]
Image = TypeVar("Image", np.ndarray, Tensor)


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
    if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and tensor.shape[2] not in (1, 3)):
        raise InputError(f"img: expected [H, W], [H, W, 1] or [H, W, 3], got shape {list(img.shape)}")
    shape = tensor.shape
    tensor = tensor[..., None] if tensor.ndim == 2 else tensor
    check_image(tensor)
    check_boundary(boundary)
    out = torch.ops.srfast.imresize(tensor, check_factor(scale), boundary)
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
    return torch.ops.srfast.downsample(_planes(x), _checked(scale, boundary), boundary)


def upsample(x: Tensor, scale: int, *, boundary: Boundary = "symmetric") -> Tensor:
    """Bicubic up-sampling by an integer: imresize(x, scale) of each plane, never rounded.

    Args, errors: as for ``downsample``. Returns [N, C, scale * H, scale * W] float32. Not differentiable.
    """
    return torch.ops.srfast.upsample(_planes(x), _checked(scale, boundary), boundary)


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
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected a float32 tensor, got {_kind(x)}")
    check_pair(a, b)
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


def _planes(x: Tensor) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"x: expected a float32 tensor, got {_kind(x)}")
    check_planes(x)
    return x


def _checked(scale: int, boundary: str) -> int:
    check_boundary(boundary)
    return check_scale(scale)
