"""The scorer's reconstruction of a patch: LR, SR and the error, by the compiled resampling and the same weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srfast.errors import InputError
from srfast.ops.color import WEIGHTS, rounded_y
from srfast.ops.native import BOUNDARIES, available, imresize
from srfast.scoring.network import Network, load_network

if TYPE_CHECKING:
    from srfast.scoring.backends.upscaling import Upscaler

GAIN = 8
"""Grey levels of the error map for an error of one; errors of 32 and more are white."""
OVERLAP = 32
"""LR pixels around a patch that a network from LR to SR gets in dense mode; for the table it got the whole image."""
_BLOCK = 40


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
    upscaler: Upscaler | None = None
    """A network from LR to SR; None for SRCNN 9-1-5 and bicubic."""

    @classmethod
    def of(cls, meta: Mapping[str, Any], scorer: Path | None = None) -> Reconstruction | None:
        """The reconstruction by a table's metadata, with ``scorer`` the file of its network if that is not a shipped
        one. None if it cannot be repeated: LR images were given, the network's file is not given, or the compiled
        module is missing. Raises InputError if ``scorer`` is another network, and RunError if the file needs an extra
        that is not installed."""
        known = meta.get("scorer")
        named = known if isinstance(known, dict) else {}
        if scorer is None and named.get("name") not in ("srcnn", "bicubic"):
            return None
        try:
            scale = int(meta.get("scale", 0))
            network = load_network(str(named["name"]) if scorer is None else scorer, scale)
        except (InputError, TypeError, ValueError):
            if scorer is not None:
                raise
            return None
        if named.get("sha256") not in (None, network.sha256):
            if scorer is not None:
                raise InputError(
                    f"scorer: expected {named.get('name')}, the network of the score table, got another file, {scorer}"
                )
            return None
        if not available() or meta.get("lr") or meta.get("boundary") not in BOUNDARIES:
            return None
        upscaler = None
        if network.kind in ("module", "onnx"):
            from srfast.scoring.backends.upscaling import make_upscaler

            upscaler = make_upscaler(network, "cpu", OVERLAP, str(meta["boundary"]))
        return cls(scale, str(meta["boundary"]), meta.get("mode") == "dense", network, upscaler)

    def panels(self, image: np.ndarray, x: int, y: int, size: int) -> Panels:
        """The panels of one patch of an RGB image [H, W, 3] uint8; in dense mode the patch's surroundings are used."""
        s = self.scale
        height, width = (side - side % s for side in image.shape[:2])
        # Down-sampling reaches 2 s, up-sampling 2 s, SRCNN 6 pixels; of another network OVERLAP LR pixels are seen.
        reach = 6 + 5 * s if self.upscaler is None else OVERLAP * s
        around = s * math.ceil(reach / s) if self.dense else 0
        left, top = max(0, x - around), max(0, y - around)
        seen = image[top : min(height, y + size + around), left : min(width, x + size + around)]
        x, y = x - left, y - top
        inside = np.s_[y : y + size, x : x + size]
        lr = self._resized(seen, 1 / s)
        plane = rounded_y(seen)
        sr, colours = self._reconstructed(lr, self._resized(plane[..., None], 1 / s))
        difference = (sr - plane)[inside]
        if colours is not None:
            colour = colours[inside]
        else:
            # The network reconstructs Y; the colours are those of bicubic up-sampling, as everywhere in this field.
            colour = self._resized(lr.astype(np.float32), s)[inside]
            colour = colour + ((sr[inside] - 16) - colour @ WEIGHTS)[..., None] * np.float32(255 / 219)
        return Panels(
            lr[y // s : (y + size) // s, x // s : (x + size) // s],
            _bytes(colour),
            _bytes(GAIN * np.abs(difference)),
            difference.astype(np.float32),
        )

    def _reconstructed(self, lr: np.ndarray, lr_y: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Y float32 [H, W], and colours [H, W, 3] if the network makes them, from LR uint8 [h, w, 3] and its Y."""
        if self.upscaler is not None:
            return self.upscaler.upscale(lr_y if self.upscaler.network.color == "y" else lr)
        up = self._resized(lr_y.astype(np.float32), self.scale)[..., 0]
        arrays = self.network.arrays
        return (up if arrays is None else 255 * srcnn(up / np.float32(255), arrays)), None

    def _resized(self, image: np.ndarray, scale: float) -> np.ndarray:
        """``srfast.imresize`` of [H, W, C] uint8 or float32, with sides that are multiples of the scale,
        without torch."""
        return imresize(image, scale, BOUNDARIES[self.boundary])


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


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
