"""Scores of existing pairs: d is not applied, the LR image is given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from srfast.errors import InputError
from srfast.ops import reference
from srfast.ops.color import luma
from srfast.ops.precision import without_tf32
from srfast.scoring.backends.base import Scores, cut, window_means
from srfast.scoring.backends.eager import enhance
from srfast.scoring.network import Network

_PIXELS = 1 << 20
"""HR pixels that are computed at once."""
_HALO = 8
"""LR rows around a band: SRCNN 9-1-5 sees 6 HR pixels, bicubic 2 LR pixels."""


class PairEngine:
    """Scores with torch, in batches and in bands of rows, so that memory does not grow with the image.

    ``loss`` is that of the network on the given LR image, ``bicubic`` that of up-sampling it. As everywhere: a model of
    Y takes the rounded Y of the LR image, one of RGB its colours, and the error is that of Y.
    """

    name = "torch"
    precision = "fp32"
    concurrent = False

    def __init__(self, network: Network, boundary: str, device: str) -> None:
        if network.kind == "onnx":
            raise InputError(f"scorer: existing pairs need a network that torch runs, {network.name} is an ONNX file")
        self.network, self.boundary = network, boundary
        self.device = torch.device(device)
        self._module = network.module
        if isinstance(self._module, torch.nn.Module):
            self._module = self._module.to(self.device).eval()

    def windows(self, hr: np.ndarray, lr: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int) -> Scores:
        """Patch mode: each window of HR [H, W, C] and of LR [h, w, C] is its own image."""
        s = self.network.scale
        columns: list[list[np.ndarray]] = [[], [], []]
        rows = max(1, _PIXELS // (size * size * len(xs)))
        for i in range(0, len(ys), rows):
            some = ys[i : i + rows]
            maps = self._maps(cut(hr, xs, some, size), cut(lr, xs // s, some // s, size // s))
            for column, values in zip(columns, maps, strict=True):
                column.append(values.mean((1, 2), dtype=np.float64).astype(np.float32))
        return Scores(*(np.concatenate(c) for c in columns))

    def dense(self, hr: np.ndarray, lr: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int) -> Scores:
        """Dense mode: the whole image once, each window the mean of its part of the maps."""
        s = self.network.scale
        hr = hr[: hr.shape[0] // s * s, : hr.shape[1] // s * s]
        whole = [np.empty(hr.shape[:2], np.float32) for _ in range(3)]
        for top, bottom, first, last in self._bands(*lr.shape[:2]):
            maps = self._maps(hr[None, first * s : last * s], lr[None, first:last])
            inner = slice((top - first) * s, (bottom - first) * s)
            for plane, part in zip(whole, maps, strict=True):
                plane[top * s : bottom * s] = part[0, inner]
        return Scores(*(window_means(plane, xs, ys, size) for plane in whole))

    def _bands(self, h: int, w: int) -> Iterator[tuple[int, int, int, int]]:
        """LR rows (from, to) of each band, and with the rows around it."""
        if self._module is not None:  # that is tiled
            yield 0, h, 0, h
            return
        step = max(2 * _HALO, _PIXELS // (self.network.scale**2 * w))
        for top in range(0, h, step):
            bottom = min(h, top + step)
            yield top, bottom, max(0, top - _HALO), min(h, bottom + _HALO)

    @torch.inference_mode()
    def _maps(self, hr: np.ndarray, lr: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Squared errors of the network and of bicubic, and Sobel's map, [N, H, W], of HR [N, H, W, C] and LR."""
        s = self.network.scale
        x, small = (torch.from_numpy(np.array(a, order="C")).to(self.device) for a in (hr, lr))
        y, low = reference.luma(x), reference.luma(small)
        with without_tf32():
            up = reference.resample(low.float(), s, self.boundary)
            if self._module is not None:
                sr = self._enhanced(low, small)
            elif self.network.weights is None:
                sr = up
            else:
                sr = 255 * reference.srcnn(up[:, None] / 255, self.network.weights)[:, 0]
        target = y.float()
        maps = ((sr - target).square(), (up - target).square(), reference.sobel_map(x))
        return tuple(m.float().cpu().numpy() for m in maps)  # type: ignore[return-value]

    def _enhanced(self, low: Tensor, small: Tensor) -> Tensor:
        """The network's Y [N, H, W] in [0, 255]."""
        assert self._module is not None
        planes = low[:, None] if self.network.color == "y" else small.movedim(-1, 1)
        planes = planes.float() / 255
        sr = enhance(self._module, planes, self.network.scale)
        expected = [*planes.shape[:2], *(self.network.scale * n for n in planes.shape[2:])]
        if list(sr.shape) != expected:
            raise InputError(f"scorer: expected an output of {expected}, got {list(sr.shape)}")
        sr = sr * 255
        return luma(*sr.unbind(1)) if self.network.color == "rgb" else sr[:, 0]
