"""The operations of degradations: filters, resizing, noise, sharpening, on planes float32 [C, H, W] in grey levels,
0 to 255.

Results are the same to the bit at any number of threads, with any instruction set and on any processor: each value is
made of the same operations of IEEE 754 in the same order, and no function of a C library is called. ``isa`` is for
tests: one of ``srfast.ops.native.ISAS``; None takes the fastest. ``tests/ops/degrade_reference.py`` has the same
in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from srfast.errors import InputError
from srfast.ops.checks import check_image, check_integer
from srfast.ops.native import compiled, contiguous_rows, image_at, isa_index, planes_at
from srfast.runtime.optional import untraced

KERNELS = {"gaussian": 0, "generalized": 1, "plateau": 2, "sinc": 3}
FILTERS = {"area": 0, "bilinear": 1, "bicubic": 2, "nearest-exact": 3}
_LANCZOS = 4
_SMALL = {1: [1.0], 3: [0.25, 0.5], 5: [0.0625, 0.25, 0.375], 7: [0.03125, 0.109375, 0.21875, 0.28125],
          9: [0.015625, 0.05078125, 0.1171875, 0.19921875, 0.234375]}  # fmt: skip
"""The halves of OpenCV's Gaussians of up to 9 taps whose standard deviation is not given."""


def _made(entry: str, planes: np.ndarray, shape: tuple[int, ...], *arguments: Any) -> np.ndarray:
    """Planes float32 of this shape that an entry of the compiled module makes of others."""
    out = np.empty(shape, np.float32)
    getattr(compiled(), entry)(planes_at(planes), *arguments, out.ctypes.data)
    return out


def planes_of(image: np.ndarray) -> np.ndarray:
    """float32 [C, H, W] of an image uint8 [H, W, C], C = 1 or 3."""
    check_image(image)
    image = contiguous_rows(image)
    h, w, c = image.shape
    out = np.empty((c, h, w), np.float32)
    compiled().degrade_planes(image_at(image), out.ctypes.data)
    return out


def bytes_of(planes: np.ndarray) -> np.ndarray:
    """uint8 [H, W, C] of planes, clamped to 0..255 and rounded half up."""
    planes = _checked(planes)
    c, h, w = planes.shape
    out = np.empty((h, w, c), np.uint8)
    compiled().degrade_bytes(planes_at(planes), out.ctypes.data)
    return out


def kernel(
    kind: str, size: int, sigma_x: float = 1.0, sigma_y: float = 1.0, angle: float = 0.0, shape: float = 1.0
) -> np.ndarray:
    """A blur kernel float64 [size, size] with sum 1, centred at its middle pixel; ``size`` is odd, 1 to 63.

    With u, v the distances along and across ``angle`` (radians, -pi to pi, from the rows towards the columns) and q =
    (u / sigma_x)^2 + (v / sigma_y)^2, deviations in pixels above 0:

    * gaussian: exp(-q / 2)
    * generalized: exp(-q^shape / 2) (Pascal et al., Parameter estimation for multivariate generalized Gaussian
    distributions, 2013)
    * plateau: 1 / (1 + q^shape)
    * sinc: J1(shape r) shape / (2 pi r), the circular low-pass of cutoff ``shape``, at most pi (Wang et al.,
    Real-ESRGAN, 2021, equation 6)

    Raises InputError if an argument is out of range.
    """
    if kind not in KERNELS:
        raise InputError(f"kind: expected one of {', '.join(KERNELS)}, got {kind!r}")
    if size % 2 != 1 or not 1 <= size <= 63:
        raise InputError(f"size: expected an odd number from 1 to 63, got {size!r}")
    if not (sigma_x > 0 and sigma_y > 0 and abs(angle) <= 4 and 0 < shape <= (math.pi if kind == "sinc" else 64)):
        raise InputError(f"shape: expected positive numbers, got {(sigma_x, sigma_y, angle, shape)}")
    if size > 27 and kind == "sinc":
        raise InputError(f"size: expected at most 27 for a sinc kernel, got {size}")
    out = np.empty((size, size))
    compiled().degrade_kernel(
        KERNELS[kind], size, float(sigma_x), float(sigma_y), float(angle), float(shape), out.ctypes.data
    )
    return out


def gaussian_row(taps: int, sigma: float) -> np.ndarray:
    """A Gaussian float64 [taps] with sum 1. A sigma of 0 stands for OpenCV's choice: a small table up to 9 taps, then
    0.3 ((taps - 1) / 2 - 1) + 0.8."""
    if taps % 2 != 1 or not 1 <= taps <= 4095 or not sigma >= 0:
        raise InputError(f"taps: expected an odd number from 1 to 4095 and sigma >= 0, got {taps} and {sigma}")
    if sigma == 0 and taps in _SMALL:
        half = _SMALL[taps]
        return np.array([*half, *half[-2::-1]])
    out = np.empty(taps)
    compiled().degrade_row(
        KERNELS["gaussian"], taps, float(sigma or 0.3 * ((taps - 1) * 0.5 - 1) + 0.8), out.ctypes.data
    )
    return out


@untraced
def blur(planes: np.ndarray, weights: np.ndarray, *, threads: int = 1, isa: str | None = None) -> np.ndarray:
    """Planes correlated with a kernel [kh, kw] of odd sides; beyond the border they are mirrored at the edge pixels."""
    planes, weights = _checked(planes), _taps("weights", weights, 2)
    taps = (weights.ctypes.data, *weights.shape)
    return _made("degrade_filter", planes, planes.shape, *taps, isa_index(isa), _threads(threads))


@untraced
def blur_separable(
    planes: np.ndarray, column: np.ndarray, row: np.ndarray, *, threads: int = 1, isa: str | None = None
) -> np.ndarray:
    """``blur`` with the kernel column[i] row[j], first along columns."""
    planes, column, row = _checked(planes), _taps("column", column, 1), _taps("row", row, 1)
    taps = (column.ctypes.data, len(column), row.ctypes.data, len(row))
    return _made("degrade_separable", planes, planes.shape, *taps, isa_index(isa), _threads(threads))


@untraced
def resize(
    planes: np.ndarray, height: int, width: int, filter: str, *, antialias: bool = False,
    step: tuple[float, float] | None = None, threads: int = 1, isa: str | None = None,
) -> np.ndarray:  # fmt: skip
    """Planes [C, height, width], as ``torch.nn.functional.interpolate`` resizes them, first along columns.

    The filter is one of ``FILTERS``, or "lanczos": three lobes where the image shrinks, then bicubic, clamped to
    0..255, as in traiNNer-redux. With ``antialias`` bilinear and bicubic filters are widened where the image shrinks;
    bicubic has a = -0.5 then, and -0.75 otherwise. ``step`` is the distance of two pixels of the result in pixels of
    ``planes``, for rows and columns; None takes the quotients of the sizes.
    """
    planes, height, width = _checked(planes), _side("height", height), _side("width", width)
    c, h, w = planes.shape
    down, across = step or (h / height, w / width)
    if not (0 < down <= 1 << 20 and 0 < across <= 1 << 20):
        raise InputError(f"step: expected numbers above 0 and at most 2^20, got {(down, across)}")
    if filter == "lanczos":
        rows = [_lanczos(height / h) if height < h else np.ones(1), _lanczos(width / w) if width < w else np.ones(1)]
        soft = planes if height >= h and width >= w else blur_separable(planes, *rows, threads=threads, isa=isa)
        out = resize(soft, height, width, "bicubic", step=(down, across), threads=threads, isa=isa)
        return np.clip(out, 0, 255, out=out)
    how = (FILTERS[filter], antialias, down, across, height, width, isa_index(isa), _threads(threads))
    return _made("degrade_resize", planes, (c, height, width), *how)


def _lanczos(ratio: float) -> np.ndarray:
    taps = 2 * math.ceil(3 / ratio + 1) - 3
    out = np.empty(taps)
    compiled().degrade_row(_LANCZOS, taps, ratio, out.ctypes.data)
    return out


@untraced
def add_noise(
    planes: np.ndarray, kind: str, strength: float, key: np.ndarray, slot: int, *, gray: bool = False,
    threads: int = 1, isa: str | None = None,
) -> None:  # fmt: skip
    """Adds noise to planes float32 [C, H, W], contiguous, in place, and clamps to 0..255; one random word a value.

    "gaussian": strength, at least 0, is the standard deviation in grey levels. "poisson": of a value v, rounded to
    0..255, a Poisson value of mean 256 v / 255 is drawn; strength times its deviation is added, in grey levels. ``key``
    is uint32 [4], of ``srfast.degradation.chance``, and ``slot`` the number of the operation, 0 to 2^31 - 1, so that
    two of them differ. With ``gray`` all planes get the same noise; poisson's is that of the luma.
    """
    if planes.dtype != np.float32 or planes.ndim != 3 or not planes.flags.c_contiguous:
        raise TypeError(f"planes: expected contiguous float32 [C, H, W], got {planes.dtype} {list(planes.shape)}")
    key, slot = _key(key), _side("slot", slot, 0)
    compiled().degrade_noise(
        planes_at(planes), kind == "poisson", float(strength), gray, key.ctypes.data, slot, isa_index(isa),
        _threads(threads), planes.ctypes.data,
    )  # fmt: skip


@untraced
def unsharp(
    planes: np.ndarray, taps: int, sigma: float = 0.0, amount: float = 0.5, threshold: float = 10.0, *,
    threads: int = 1, isa: str | None = None,
) -> np.ndarray:  # fmt: skip
    """Sharpens by an unsharp mask where a blurred mask of strong differences says so (Real-ESRGAN's USM).

    With B the Gaussian of ``gaussian_row(taps, sigma)``: m = B(|x - B(x)| > threshold), and the result is
    m clamp(x + amount (x - B(x))) + (1 - m) x.
    """
    planes = _checked(planes)
    row = np.ascontiguousarray(gaussian_row(taps, sigma), np.float32)
    how = (row.ctypes.data, taps, float(amount), float(threshold), isa_index(isa), _threads(threads))
    return _made("degrade_unsharp", planes, planes.shape, *how)


@untraced
def thick_lines(planes: np.ndarray, *, threads: int = 1) -> np.ndarray:
    """Three quarters of a pixel and a quarter of the darkest of the 3 x 3 around (traiNNer-redux)."""
    planes = _checked(planes)
    return _made("degrade_thick_lines", planes, planes.shape, _threads(threads))


@untraced
def random_words(key: np.ndarray, slot: int, count: int) -> np.ndarray:
    """uint32 [count]: the first words of a slot, of Philox4x32-10 (Salmon et al., 2011)."""
    key, slot = _key(key), _side("slot", slot, 0, (1 << 32) - 1)
    groups = -(-_side("count", count, 0, (1 << 34) - 64) // 64)
    out = np.empty(64 * groups, np.uint32)
    compiled().random_words(key.ctypes.data, slot, groups, out.ctypes.data)
    return out[:count]


def _checked(planes: np.ndarray) -> np.ndarray:
    if planes.dtype != np.float32:
        raise TypeError(f"planes: expected float32, got {planes.dtype}")
    if planes.ndim != 3 or 0 in planes.shape:
        raise InputError(f"planes: expected [C, H, W] with at least one pixel, got shape {list(planes.shape)}")
    return np.ascontiguousarray(planes)


def _side(name: str, value: int, least: int = 1, most: int = (1 << 31) - 1) -> int:
    number = check_integer(name, value)
    if not least <= number <= most:
        raise InputError(f"{name}: expected {least} to {most}, got {number}")
    return number


def _threads(threads: int) -> int:
    return min(check_integer("threads", threads, 1), 1 << 16)


def _taps(name: str, weights: np.ndarray, axes: int) -> np.ndarray:
    weights = np.ascontiguousarray(weights, np.float32)
    if weights.ndim != axes or any(n % 2 == 0 or n > 4095 for n in weights.shape):
        raise InputError(f"{name}: expected a kernel of odd sides up to 4095, got shape {list(weights.shape)}")
    return weights


def _key(key: np.ndarray) -> np.ndarray:
    key = np.ascontiguousarray(key, np.uint32)
    if key.shape != (4,):
        raise InputError(f"key: expected uint32 [4], got shape {list(key.shape)}")
    return key
