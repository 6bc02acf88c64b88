"""What the scorer made of a patch: LR, SR and the error, by the compiled resampling and the same weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from srfast.errors import InputError
from srfast.ops.native import BOUNDARIES, available, compiled
from srfast.scoring.network import Network, load_network

GAIN = 8
"""Grey levels of the error map for one of error: 32 and more are white."""
_BLOCK = 40
_Y = np.array([65.481, 128.553, 24.966], np.float32) / np.float32(255)
_DTYPES: dict[Any, int] = {np.dtype(np.uint8): 0, np.dtype(np.float32): 1}


@dataclass(frozen=True)
class Panels:
    """LR [h, w, 3] and SR [H, W, 3] uint8, and the error on Y: a picture [H, W] uint8 and the map [H, W] float32."""

    lr: np.ndarray
    sr: np.ndarray
    error: np.ndarray
    difference: np.ndarray
    """SR - HR on Y in grey levels; the mean of its square is the patch's loss."""


@dataclass(frozen=True)
class Reconstruction:
    """The degradation and the network of a score table."""

    scale: int
    boundary: str
    dense: bool
    network: Network

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Reconstruction | None:
        """That of a table's metadata; None where it cannot be repeated here: LR images of the user's own, a network
        that is not the shipped one, or no compiled module."""
        scorer = meta.get("scorer")
        named = scorer if isinstance(scorer, dict) else {}
        if not available() or meta.get("lr") or named.get("name") not in ("srcnn", "bicubic"):
            return None
        try:
            scale = int(meta.get("scale", 0))
            network = load_network(str(named["name"]), scale)
        except (InputError, TypeError, ValueError):
            return None
        if named.get("sha256") not in (None, network.sha256) or meta.get("boundary") not in BOUNDARIES:
            return None
        return cls(scale, str(meta["boundary"]), meta.get("mode") == "dense", network)

    def panels(self, image: np.ndarray, x: int, y: int, size: int) -> Panels:
        """Of one patch of an RGB image [H, W, 3] uint8; in dense mode with as much around it as it depends on."""
        s = self.scale
        height, width = (side - side % s for side in image.shape[:2])
        # Down-sampling reaches 2 s, up-sampling 2 s, SRCNN 6 pixels.
        around = s * math.ceil((6 + 5 * s) / s) if self.dense else 0
        left, top = max(0, x - around), max(0, y - around)
        seen = image[top : min(height, y + size + around), left : min(width, x + size + around)]
        x, y = x - left, y - top
        inside = np.s_[y : y + size, x : x + size]
        lr = self._resized(seen, 1 / s)
        plane = _luma(seen)
        up = self._resized(self._resized(plane[..., None], 1 / s).astype(np.float32), s)[..., 0]
        arrays = self.network.arrays
        sr = up if arrays is None else 255 * srcnn(up / np.float32(255), arrays)
        difference = (sr - plane)[inside]
        colour = self._resized(lr.astype(np.float32), s)[inside]
        # The network reconstructs Y; the colours are those of bicubic up-sampling, as everywhere in this field.
        colour = colour + ((sr[inside] - 16) - colour @ _Y)[..., None] * np.float32(255 / 219)
        return Panels(
            lr[y // s : (y + size) // s, x // s : (x + size) // s],
            _bytes(colour),
            _bytes(GAIN * np.abs(difference)),
            difference.astype(np.float32),
        )

    def _resized(self, image: np.ndarray, scale: float) -> np.ndarray:
        """``srfast.imresize`` of [H, W, C] uint8 or float32, sides multiples of the scale, without torch."""
        image = np.ascontiguousarray(image)
        h, w, c = image.shape
        out = np.empty((round(h * scale), round(w * scale), c), image.dtype)
        boundary = BOUNDARIES[self.boundary]
        compiled().imresize(image.ctypes.data, h, w, c, scale, boundary, _DTYPES[image.dtype], out.ctypes.data)
        return out


def srcnn(plane: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """SRCNN 9-1-5 (Dong et al., 2014) of an up-sampled Y [H, W] float32 in [0, 1], padded by replication."""
    h, w = plane.shape
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(plane, 4, "edge"), (9, 9))
    # In blocks of so few pixels that the BLAS starts no threads, which would wait for one another on busy cores.
    blocks = -(-h * w // _BLOCK)
    columns = np.zeros((81, blocks * _BLOCK), np.float32)
    columns[:, : h * w] = windows.transpose(2, 3, 0, 1).reshape(81, h * w)
    maps = columns.reshape(81, blocks, _BLOCK).transpose(1, 0, 2)
    maps = np.maximum(arrays["conv1.weight"].reshape(64, 81) @ maps + arrays["conv1.bias"][:, None], 0)
    maps = np.maximum(arrays["conv2.weight"].reshape(32, 64) @ maps + arrays["conv2.bias"][:, None], 0)
    # One plane for each of the 25 taps, then their shifted sum: the 25 copies of 32 planes are never made.
    taps = np.ascontiguousarray(arrays["conv3.weight"].reshape(32, 25).T) @ maps
    taps = taps.transpose(1, 0, 2).reshape(25, -1)[:, : h * w].reshape(25, h, w)
    taps = np.pad(taps, ((0, 0), (2, 2), (2, 2)), "edge").reshape(5, 5, h + 4, w + 4)
    out = np.full((h, w), arrays["conv3.bias"][0], np.float32)
    for i in range(5):
        for j in range(5):
            out += taps[i, j, i : i + h, j : j + w]
    return out


def _luma(rgb: np.ndarray) -> np.ndarray:
    """Y of BT.601 [H, W] uint8, rounded half up in integers, as every backend has it."""
    from srfast.ops.color import rounded_luma

    r, g, b = (rgb[..., i].astype(np.int64) for i in range(3))
    return np.asarray(rounded_luma(r, g, b)).astype(np.uint8)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
