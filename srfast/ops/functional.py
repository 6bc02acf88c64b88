"""Public operations on arrays and tensors. They check their arguments and call the registered ops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from srfast.errors import InputError
from srfast.ops import native
from srfast.ops.checks import check_boundary, check_factor, check_scale
from srfast.ops.native import BOUNDARIES
from srfast.runtime.optional import is_tensor, needing

if TYPE_CHECKING:
    from torch import Tensor

    Image = TypeVar("Image", np.ndarray, Tensor)

Boundary = Literal["symmetric", "replicate"]


def imresize(img: Image, scale: float, *, boundary: Boundary = "symmetric") -> Image:
    """MATLAB's ``imresize(img, scale, 'bicubic')``, with antialiasing when it shrinks.

    Args:
        img: [H, W], [H, W, 1] or [H, W, 3], uint8, uint16, float32 or float64, at least 1 x 1; a NumPy array
            or a CPU tensor.
        scale: Any factor from 2^-16 to 2^16; the output is [ceil(scale * H), ceil(scale * W), ...].
        boundary: "symmetric" (half-sample mirror, MATLAB R2015b and later) or "replicate" (older MATLAB).

    Returns:
        The type and dtype of ``img``. uint8 and uint16 are rounded half up and clamped after each of the two passes,
        bit for bit as in MATLAB; floats are neither rounded nor clamped.

    Raises:
        InputError (a ValueError): the shape, scale or boundary is wrong.
        TypeError: the type or dtype is wrong.
        RunError: the gradient of a tensor is requested, in the backward pass; ``srfast.reference.resample`` has one.
    """
    if not (is_tensor(img) or isinstance(img, np.ndarray)):
        raise TypeError(f"img: expected a NumPy array or a tensor, got {_kind(img)}")
    if img.ndim not in (2, 3) or (img.ndim == 3 and img.shape[2] not in (1, 3)):
        raise InputError(f"img: expected [H, W], [H, W, 1] or [H, W, 3], got shape {list(img.shape)}")
    check_boundary(boundary)
    planes: Any = img[..., None] if img.ndim == 2 else img
    if isinstance(img, np.ndarray):
        if img.dtype.name not in native.DTYPES or not img.dtype.isnative:
            raise TypeError(f"img: expected uint8, uint16, float32 or float64, got {img.dtype}")
        if 0 in planes.shape[:2]:
            raise InputError(f"img: expected at least 1 x 1 pixels, got shape {list(img.shape)}")
        out: Any = native.imresize(planes, check_factor(scale), BOUNDARIES[boundary])
    else:
        ops = _ops()
        ops.check_image(planes)
        out = ops.registered.imresize(planes, check_factor(scale), boundary)
    result: Image = out.reshape(*out.shape[:2], *img.shape[2:])
    return result


def downsample(x: Tensor, scale: int, *, boundary: Boundary = "symmetric") -> Tensor:
    """Bicubic, antialiased down-sampling by an integer: imresize(x, 1 / scale) of each plane, never rounded.

    Args:
        x: [N, C, H, W] float32, any range, contiguous or not.
        scale: 2, 3 or 4.
        boundary: "symmetric" or "replicate", as for ``imresize``.

    Returns:
        [N, C, ceil(H / scale), ceil(W / scale)] float32.

    Raises:
        InputError: the shape, scale or boundary is wrong.
        TypeError: ``x`` is not a float32 tensor.
        RunError: a gradient is requested, in the backward pass; ``srfast.reference.resample`` has one.
    """
    return _resampled(x, "downsample", scale, boundary)


def upsample(x: Tensor, scale: int, *, boundary: Boundary = "symmetric") -> Tensor:
    """Bicubic up-sampling by an integer: imresize(x, scale) of each plane, never rounded.

    Args:
        x: [N, C, H, W] float32, any range, contiguous or not.
        scale: 2, 3 or 4.
        boundary: "symmetric" or "replicate", as for ``imresize``.

    Returns:
        [N, C, scale * H, scale * W] float32.

    Raises:
        InputError: the shape, scale or boundary is wrong.
        TypeError: ``x`` is not a float32 tensor.
        RunError: a gradient is requested, in the backward pass; ``srfast.reference.resample`` has one.
    """
    return _resampled(x, "upsample", scale, boundary)


def per_sample_mse(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared error of each sample of a batch.

    Args:
        a: [N, ...] float32, any range, contiguous or not.
        b: A tensor of the same shape, dtype and device.

    Returns:
        [N] float32 in squared units of the input, summed in float64. Gradients flow to ``a`` and ``b``, in float32.

    Raises:
        InputError: shapes or devices differ, or a sample is empty.
        TypeError: one of them is not a float32 tensor.
    """
    for name, x in (("a", a), ("b", b)):
        if not is_tensor(x):
            raise TypeError(f"{name}: expected a float32 tensor, got {_kind(x)}")
    ops = _ops()
    ops.check_pair(a, b)
    return ops.registered.per_sample_mse(a, b)


def _ops() -> Any:
    """The ops on tensors, registered with PyTorch."""
    with needing("an operation on tensors"):
        from srfast.ops import (
            cpu,
            cuda,  # noqa: F401  (registers torch.ops.srfast)
        )
    return cpu


def _kind(value: Any) -> str:
    if is_tensor(value) or isinstance(value, np.ndarray):
        return f"{type(value).__name__} of {value.dtype}"
    return type(value).__name__


def _resampled(x: Tensor, op: str, scale: int, boundary: str) -> Any:
    if not is_tensor(x):
        raise TypeError(f"x: expected a float32 tensor, got {_kind(x)}")
    ops = _ops()
    ops.check_planes(x)
    check_boundary(boundary)
    return getattr(ops.registered, op)(x, check_scale(scale), boundary)
