"""BT.601 as in MATLAB's rgb2ycbcr, without torch. Functions of planes take arrays and tensors."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

LUMA = (65481, 128553, 24966)
"""The weights of R, G and B in thousandths, over a range of 255."""
WEIGHTS: np.ndarray = np.array([w / 1000 for w in LUMA], np.float32) / np.float32(255)
"""The same for float32 images of a range of 255."""

YCBCR = np.array([[w / 1000 for w in LUMA], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
"""MATLAB's rgb2ycbcr: RGB in [0, 1] -> Y in [16, 235] / 255, Cb and Cr in [16, 240] / 255, with OFFSET added."""
OFFSET = np.array([16.0, 128.0, 128.0]) / 255


def rounded_luma(r: Any, g: Any, b: Any) -> Any:
    """Integer planes in 0..255 -> 16 + (65.481 R + 128.553 G + 24.966 B) / 255, rounded half up (exact), 16..235."""
    return 16 + (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b + 127500) // 255000


def rounded_y(rgb: np.ndarray) -> np.ndarray:
    """uint8 RGB [..., 3] -> uint8 Y [...], rounded half up (exact); of uint16 as well, Y is then 257 times as large."""
    if rgb.dtype == np.uint16:
        r, g, b = np.moveaxis(rgb.astype(np.int64), -1, 0)
        return np.asarray(16 * 257 + (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b + 127500) // 255000, np.uint16)
    return np.asarray(rounded_luma(*np.moveaxis(rgb.astype(np.int32), -1, 0)), np.uint8)


def jpeg_luma(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3], or [H, W, 1], which is it already -> the luma of JPEG (JFIF), rounded, int64 [H, W]."""
    p = image.astype(np.int64)
    return p[..., 0] if p.shape[2] == 1 else (19595 * p[..., 0] + 38470 * p[..., 1] + 7471 * p[..., 2] + 32768) >> 16


def luma(r: Any, g: Any, b: Any) -> Any:
    """Y of planes of any type, as in ``rounded_luma`` but not rounded."""
    return 16 + (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b) / 255000


def to_y(image: np.ndarray, protocol: Literal["classic", "rgb"]) -> np.ndarray:
    """Y of an image, 16..235, float64 [H, W].

    Args:
        image: uint8 [H, W, 3] RGB, or [H, W], which is Y already; uint16 under "rgb".
        protocol: "rgb" does not round, "classic" rounds half up.
    """
    if image.dtype == np.uint16:
        image = image / 257
        return image if image.ndim == 2 else luma(*np.moveaxis(image, -1, 0))
    if image.ndim == 2:
        return image.astype(np.float64)
    planes = (image[..., c].astype(np.int64) for c in range(3))
    return rounded_luma(*planes).astype(np.float64) if protocol == "classic" else luma(*planes)


def to_ycbcr(rgb: np.ndarray) -> np.ndarray:
    """rgb2ycbcr in float64: [..., 3] in [0, 1] -> [..., 3], not rounded."""
    return rgb @ YCBCR.T + OFFSET


def from_ycbcr(ycc: np.ndarray) -> np.ndarray:
    """The inverse of ``to_ycbcr``."""
    return (ycc - OFFSET) @ np.linalg.inv(YCBCR).T
