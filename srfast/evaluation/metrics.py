"""PSNR and SSIM as papers report them: by two protocols, which must not be mixed in one table.

* ``rgb`` (EDSR, RDN, RCAN, SwinIR, ...): Y of the uint8 RGB images, in double precision, not rounded.
* ``classic`` (SRCNN, FSRCNN, DRRN, IDN and every published bicubic row): Y rounded to uint8, as MATLAB's rgb2ycbcr does
  for uint8 images.

A two-dimensional array is Y itself under both. A border of ``shave`` pixels is left out before anything is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import numpy as np

from srfast.errors import InputError
from srfast.ops.color import to_y
from srfast.settings import whole

if TYPE_CHECKING:
    from torch import Tensor

Protocol = Literal["classic", "rgb"]
Window = Literal["wang", "skimage"]
PROTOCOLS, WINDOWS = get_args(Protocol), get_args(Window)


def protocol_of(color: str) -> Protocol:
    """The protocol by which papers evaluate models of these planes, "y" or "rgb"."""
    return "rgb" if color == "rgb" else "classic"


@overload
def psnr(sr: np.ndarray, hr: np.ndarray, *, shave: int, protocol: Protocol = "rgb") -> float: ...
@overload
def psnr(sr: Tensor, hr: Tensor, *, shave: int, protocol: Protocol = "rgb") -> Tensor: ...
def psnr(sr: Any, hr: Any, *, shave: int, protocol: Protocol = "rgb") -> Any:
    """Peak signal-to-noise ratio on Y, with a peak of 255 (65535 of uint16).

    Args:
        sr: An array, uint8, or uint16 under "rgb": [H, W, 3] RGB, or [H, W] Y. Or a tensor or an array of several
            images [N, C, H, W], C = 3 (RGB) or 1 (Y), uint8, or floating point in [0, 1], which is clamped and rounded
            to 8 bits first, as published values are.
        hr: Images of the same shape and type.
        shave: Number of border pixels left out at each side; papers leave out as many as the scale.
        protocol: "rgb": Y in double precision, not rounded. "classic": Y rounded to uint8.

    Returns:
        10 log10(255^2 / MSE) in dB; infinity if the images are equal. Of [N, C, H, W], one value an image, float64 [N],
        a tensor (on the CPU) or an array as the images are.

    Raises:
        InputError: shapes differ or are not as above, values are not finite, or shave leaves nothing.
        TypeError: the types are not as above.
    """
    return _each(_psnr, sr, hr, shave, protocol)


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = float(np.mean((a - b) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


@overload
def ssim(
    sr: np.ndarray, hr: np.ndarray, *, shave: int, protocol: Protocol = "rgb", window: Window = "wang"
) -> float: ...
@overload
def ssim(sr: Tensor, hr: Tensor, *, shave: int, protocol: Protocol = "rgb", window: Window = "wang") -> Tensor: ...
def ssim(sr: Any, hr: Any, *, shave: int, protocol: Protocol = "rgb", window: Window = "wang") -> Any:
    """Structural similarity on Y (Wang et al., "Image Quality Assessment: From Error Visibility to Structural
    Similarity", 2004, eq. 13), K1 = 0.01, K2 = 0.03, L = 255.

    Args:
        sr: An image or several, as for ``psnr``.
        hr: Images of the same shape and type.
        shave: Number of border pixels left out at each side.
        protocol: "rgb" or "classic", as for ``psnr``.
        window: "wang": 11 x 11 Gaussian, sigma 1.5, averaged over the positions at which it lies inside the image
            ("valid"), as in the authors' code and in published tables. "skimage": the 7 x 7 uniform window with sample
            covariance that scikit-image's ``structural_similarity`` uses by default; it gives about 0.01 more on
            photographs.

    Returns:
        The mean of the SSIM map, at most 1; one value an image, as for ``psnr``.

    Raises:
        InputError: ``psnr`` would raise it, or the shaved images are smaller than the window.
        TypeError: the types are not as for ``psnr``.
    """
    if window not in WINDOWS:
        raise InputError(f"window: expected one of {', '.join(WINDOWS)}, got {window!r}")
    return _each(lambda a, b: _ssim(a, b, window), sr, hr, shave, protocol)


def _ssim(a: np.ndarray, b: np.ndarray, window: str) -> float:
    taps = _GAUSSIAN if window == "wang" else np.full(7, 1 / 7)
    if min(a.shape) < len(taps):
        raise InputError(
            f"sr: expected at least {len(taps)} x {len(taps)} pixels within the shaved border, "
            f"got {a.shape[1]} x {a.shape[0]}"
        )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = _filter(a, taps), _filter(b, taps)
    # Population moments under the Gaussian; the uniform window's n / (n - 1) makes them sample moments.
    unbiased = 1.0 if window == "wang" else 49 / 48
    var_a = unbiased * (_filter(a * a, taps) - mean_a * mean_a)
    var_b = unbiased * (_filter(b * b, taps) - mean_b * mean_b)
    covariance = unbiased * (_filter(a * b, taps) - mean_a * mean_b)
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    below = (mean_a * mean_a + mean_b * mean_b + c1) * (var_a + var_b + c2)
    return float(np.mean(above / below))


def _each(
    measure: Callable[[np.ndarray, np.ndarray], float], sr: Any, hr: Any, shave: int, protocol: str
) -> float | np.ndarray | Tensor:
    """The measure of one image, or of each of several."""
    if isinstance(sr, np.ndarray) and sr.ndim != 4:
        return measure(*_planes(sr, hr, shave, protocol))
    a, b = _batch("sr", sr), _batch("hr", hr)
    if a.shape != b.shape:
        raise InputError(f"sr: expected the shape of hr, {list(hr.shape)}, got {list(sr.shape)}")
    if isinstance(sr, np.ndarray) != isinstance(hr, np.ndarray):
        raise TypeError(f"hr: expected the type of sr, {type(sr).__name__}, got {type(hr).__name__}")
    values = np.array([measure(*_planes(x, y, shave, protocol)) for x, y in zip(a, b, strict=True)], np.float64)
    if isinstance(sr, np.ndarray):
        return values
    import torch

    return torch.from_numpy(values)


def _batch(name: str, images: Any) -> np.ndarray:
    """Images [N, C, H, W] as uint8 [N, H, W, 3], or [N, H, W] if C = 1."""
    if hasattr(images, "detach"):
        images = images.detach().cpu()
        images = (images.float() if images.is_floating_point() and images.itemsize < 4 else images).numpy()
    if not isinstance(images, np.ndarray) or (images.dtype != np.uint8 and images.dtype.kind != "f"):
        came = getattr(images, "dtype", type(images).__name__)
        raise TypeError(f"{name}: expected a uint8 array or a tensor of uint8 or floating point, got {came}")
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise InputError(f"{name}: expected [N, 3, H, W] or [N, 1, H, W], got shape {list(images.shape)}")
    if images.dtype != np.uint8:
        if not np.isfinite(images).all():
            raise InputError(f"{name}: expected finite values")
        images = rounded(images.astype(np.float64))
    return images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)


def rounded(x: np.ndarray, kind: Any = np.uint8, low: float = 0.0, high: float | None = None) -> np.ndarray:
    """[0, 1] -> uint8 or uint16, clamped to [low, high], by default to all values, rounded half up as by MATLAB."""
    most = np.iinfo(kind).max
    return np.floor(np.clip(x * most, low, most if high is None else high) + 0.5).astype(kind)


def _planes(sr: np.ndarray, hr: np.ndarray, shave: int, protocol: str) -> tuple[np.ndarray, np.ndarray]:
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    for name, image in (("sr", sr), ("hr", hr)):
        if not isinstance(image, np.ndarray) or image.dtype not in (np.uint8, np.uint16):
            raise TypeError(
                f"{name}: expected a uint8 or uint16 array, got {getattr(image, 'dtype', type(image).__name__)}"
            )
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise InputError(f"{name}: expected [H, W, 3] or [H, W], got shape {list(image.shape)}")
    if sr.shape != hr.shape:
        raise InputError(f"sr: expected the shape of hr, {list(hr.shape)}, got {list(sr.shape)}")
    if sr.dtype != hr.dtype or (hr.dtype == np.uint16 and protocol == "classic"):
        expected = "the dtype of hr" if sr.dtype != hr.dtype else "uint8 with the protocol classic"
        raise TypeError(f"sr: expected {expected}, got {sr.dtype} and {hr.dtype}")
    whole().check("shave", shave)
    h, w = hr.shape[:2]
    if 2 * shave >= min(h, w):
        raise InputError(f"shave: expected less than half of the {w} x {h} image, got {shave}")
    inner = np.s_[shave : h - shave, shave : w - shave]
    return to_y(sr[inner], protocol), to_y(hr[inner], protocol)  # type: ignore[arg-type]


_GAUSSIAN = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5 * 1.5))
_GAUSSIAN /= _GAUSSIAN.sum()
"""One dimension of MATLAB's fspecial('gaussian', 11, 1.5), which is separable, with the sum 1."""


def _filter(image: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """'valid' separable filtering of [H, W]."""
    n = len(taps)
    rows = sum(t * image[i : image.shape[0] - n + 1 + i] for i, t in enumerate(taps))
    return sum(t * rows[:, i : image.shape[1] - n + 1 + i] for i, t in enumerate(taps))
