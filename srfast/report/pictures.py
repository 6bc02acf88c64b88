"""Pictures for a page: patches at true pixels, their reconstructions, and whole images, reduced."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srfast.data.images import read_hashed
from srfast.data.shrink import shrunk
from srfast.data.thumbnails import encoded, reduced
from srfast.errors import InputError, RunError
from srfast.ops.color import WEIGHTS, rounded_y
from srfast.ops.functional import imresize
from srfast.scoring.network import Network, load_network

if TYPE_CHECKING:
    from srfast.report.scores import ReportScores
    from srfast.scoring.backends.upscaling import Upscaler

GAIN = 8
"""Grey levels of the error map for an error of one; errors of 32 and more are white."""
OVERLAP = 32
"""LR pixels around a patch that a network from LR to SR gets in dense mode; for the table it got the whole image."""
GONE = "the image is no longer there"
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
    dense: bool
    network: Network
    upscaler: Upscaler | None = None
    """A network from LR to SR; None for SRCNN 9-1-5 and bicubic."""

    @classmethod
    def of(cls, meta: Mapping[str, Any], scorer: Path | None = None) -> Reconstruction | None:
        """The reconstruction by a table's metadata, with ``scorer`` the file of its network if that is not a shipped
        one. None if it cannot be repeated: LR images were given, or the network's file is not given. Raises InputError
        if ``scorer`` is another network, and RunError if the file needs an extra that is not installed."""
        named = meta.get("scorer") or {}
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
        if meta.get("lr"):
            return None
        upscaler = None
        if network.kind in ("module", "onnx"):
            from srfast.scoring.backends.upscaling import make_upscaler

            upscaler = make_upscaler(network, "cpu", OVERLAP)
        return cls(scale, meta.get("mode") == "dense", network, upscaler)

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
        lr = imresize(seen, 1 / s)
        plane = rounded_y(seen)
        sr, colours = self._reconstructed(lr, imresize(plane[..., None], 1 / s))
        difference = (sr - plane)[inside]
        if colours is not None:
            colour = colours[inside]
        else:
            # The network reconstructs Y; the colours are those of bicubic up-sampling, as everywhere in this field.
            colour = imresize(lr.astype(np.float32), s)[inside]
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
        up = imresize(lr_y.astype(np.float32), self.scale)[..., 0]
        arrays = self.network.arrays
        return (up if arrays is None else 255 * srcnn(up / np.float32(255), arrays)), None


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


log = logging.getLogger(__name__)

PATCHES = 6_400_000
"""Bytes of the pictures of patches in one page; base64 adds a third."""
WHOLES = 1_000_000
"""Bytes of the reduced whole images in one page."""


@dataclass
class Cut:
    """Pictures by row, and by image; remarks by row."""

    patches: dict[int, dict[str, bytes]] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    wholes: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """(width, height) of the images that were read."""


def cut(scores: ReportScores, rows: Sequence[int], budget: int = PATCHES) -> Cut:
    """Pictures of rows, the most wanted first, until they take about ``budget`` bytes.

    The size of pictures is known only when they are made: that of the first 16 rows determines how many follow.
    """
    result = Cut()
    left, wholes = budget, WHOLES
    waiting, each = list(rows), 0.0
    while waiting and left > 0:
        many = 16 if not each else max(1, int(left / each))
        batch, waiting = waiting[:many], waiting[many:]
        by_image: dict[int, list[int]] = {}
        for row in batch:
            by_image.setdefault(int(scores.code[row]), []).append(row)
        spent = made = 0
        for code, wanted in by_image.items():
            name = scores.images[code]
            image, note = source(scores, code)
            if image is not None and name not in result.wholes and wholes > 0:
                result.sizes[name] = image.shape[1], image.shape[0]
                result.wholes[name] = reduced(image)
                wholes -= len(result.wholes[name])
            at = lru_cache(lambda factor, image=image: shrunk(image, factor))
            for row in wanted:
                pictures, remark = ({}, note) if image is None else patch(at(float(scores.factor[row])), scores, row)
                if remark or note:
                    result.notes[row] = remark or note
                spent += sum(map(len, pictures.values()))
                made += bool(pictures)
                result.patches[row] = pictures
        left -= spent
        each = max(each, spent / made) if made else each or 1.0
    blank = [result.notes[row] for row, pictures in result.patches.items() if not pictures]
    if blank:
        log.warning("%d of %d pictures cannot be shown: %s; `root` names the folder the images lie in now",
                    len(blank), len(result.patches), blank[0])  # fmt: skip
    return result


def source(scores: ReportScores, code: int) -> tuple[np.ndarray | None, str]:
    """An image of the table and a remark, or None and the reason why it cannot be shown."""
    path = scores.root / scores.images[code]
    known = (scores.meta.get("images") or {}).get(scores.images[code], {})
    try:
        now = path.stat()
        if now.st_size != known.get("size", now.st_size):
            return None, "the image has changed since scoring"
        image, digest = read_hashed(path)
        if known.get("sha256", digest) != digest:
            return None, "the image has changed since scoring"
    except FileNotFoundError:
        return None, GONE
    except (OSError, InputError, RunError):
        return None, "the image cannot be read"
    touched = "sha256" not in known and now.st_mtime_ns != known.get("mtime_ns", now.st_mtime_ns)
    return image, "file touched since scoring" if touched else ""


def patch(image: np.ndarray, scores: ReportScores, row: int, *, alone: bool = False) -> tuple[dict[str, bytes], str]:
    """The pictures of one patch, lossless, and a remark; the image is shrunk by ``scores.factor``, as it was scored."""
    x, y, size = (int(v[row]) for v in (scores.x, scores.y, scores.size))
    hr = image[y : y + size, x : x + size]
    if hr.shape[:2] != (size, size):
        return {}, "the image has changed since scoring"
    pictures = {"hr": encoded(hr)}
    if scores.network is not None and not alone:
        panels = scores.network.panels(image, x, y, size)
        pictures |= {"lr": encoded(panels.lr), "sr": encoded(panels.sr), "error": encoded(panels.error)}
    return pictures, ""
