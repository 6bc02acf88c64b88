"""Real-ESRGAN's degradation in plain PyTorch, from its paper (Wang et al., 2021) and its published settings: what the
speed of ``srfast.degrade`` is measured beside. Draws are per batch, and JPEG is a float model of it, as there."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import special
from torch import Tensor
from torch.nn import functional as F

LUMA = [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
        51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121,
        120, 101, 72, 92, 95, 98, 112, 100, 103, 99]  # fmt: skip
CHROMA = [17, 18, 24, 47, 18, 21, 26, 66, 24, 26, 56, 99, 47, 66, 99, 99]
"""The first 4 x 4 of the table; the rest is 99."""
KINDS = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")
WEIGHTS = np.array([0.45, 0.25, 0.12, 0.03, 0.12, 0.03])


class Degradation:
    def __init__(self, scale: int, seed: int = 0) -> None:
        self.scale, self.rng = scale, np.random.default_rng(seed)
        torch.manual_seed(seed)
        x = torch.arange(51) - 25.0
        row = torch.exp(-(x**2) / (2 * 8.0**2))
        self.usm = torch.outer(row, row) / row.sum() ** 2
        k, n = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
        self.dct = torch.cos((2 * n + 1) * k * math.pi / 16) * 0.5
        self.dct[0] *= math.sqrt(0.5)
        chroma = torch.full((8, 8), 99.0)
        chroma[:4, :4] = torch.tensor(CHROMA).view(4, 4)
        self.tables = torch.stack([torch.tensor(LUMA, dtype=torch.float32).view(8, 8), chroma, chroma])

    def __call__(self, hr: Tensor) -> Tensor:
        """LR [b, 3, h / scale, w / scale] of HR [b, 3, h, w], both in [0, 1]."""
        rng, (h, w) = self.rng, (n // self.scale for n in hr.shape[2:])
        x = self._blur(self._sharpened(hr), (0.2, 3))
        x = self._resized(x, (0.2, 0.7, 0.1), (0.15, 1.5), None)
        x = self._jpeg(self._noisy(x, (1, 30), (0.05, 3)))
        if rng.random() < 0.8:
            x = self._blur(x, (0.2, 1.5))
        x = self._resized(x, (0.3, 0.4, 0.3), (0.3, 1.2), (h, w))
        x = self._noisy(x, (1, 25), (0.05, 2.5))
        if rng.random() < 0.5:
            x = self._jpeg(self._sinc(self._to(x, h, w)).clamp(0, 1))
        else:
            x = self._sinc(self._to(self._jpeg(x), h, w))
        return (x * 255).round().clamp(0, 255) / 255

    def _filter(self, x: Tensor, kernels: Tensor) -> Tensor:
        b, c, h, w = x.shape
        k = kernels.shape[-1]
        x = F.pad(x, (k // 2,) * 4, mode="reflect").reshape(1, b * c, h + k - 1, w + k - 1)
        weights = kernels.expand(b, k, k).repeat_interleave(c, 0)[:, None]
        return F.conv2d(x, weights, groups=b * c).view(b, c, h, w)

    def _sharpened(self, x: Tensor) -> Tensor:
        rest = x - self._filter(x, self.usm[None])
        mask = self._filter((rest.abs() * 255 > 10).float(), self.usm[None])
        return mask * (x + 0.5 * rest).clamp(0, 1) + (1 - mask) * x

    def _low_pass(self, size: int, low: float) -> np.ndarray:
        cutoff = self.rng.uniform(low, math.pi)
        y, x = np.mgrid[:size, :size] - (size - 1) / 2
        r = np.hypot(x, y)
        r[size // 2, size // 2] = 1
        kernel = cutoff * special.j1(cutoff * r) / (2 * math.pi * r)
        kernel[size // 2, size // 2] = cutoff**2 / (4 * math.pi)
        return kernel

    def _kernel(self, sigma: tuple[float, float]) -> np.ndarray:
        rng = self.rng
        size = 2 * int(rng.integers(3, 11)) + 1
        if rng.random() < 0.1:
            kernel = self._low_pass(size, math.pi / (3 if size < 13 else 5))
        else:
            kind = KINDS[rng.choice(6, p=WEIGHTS)]
            sx, sy, angle = rng.uniform(*sigma), rng.uniform(*sigma), rng.uniform(-math.pi, math.pi)
            if kind.endswith("iso") and not kind.endswith("aniso"):
                sy = sx
            y, x = np.mgrid[:size, :size] - (size - 1) / 2
            u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
            q = (u / sx) ** 2 + (v / sy) ** 2
            half = rng.random() < 0.5
            if kind.startswith("generalized"):
                kernel = np.exp(-0.5 * q ** (rng.uniform(0.5, 1) if half else rng.uniform(1, 4)))
            elif kind.startswith("plateau"):
                kernel = 1 / (1 + q ** (1 if half else rng.uniform(1, 2)))
            else:
                kernel = np.exp(-0.5 * q)
        pad = (21 - size) // 2
        return np.pad(kernel / kernel.sum(), pad)

    def _blur(self, x: Tensor, sigma: tuple[float, float]) -> Tensor:
        kernels = np.stack([self._kernel(sigma) for _ in range(len(x))])
        return self._filter(x, torch.from_numpy(kernels).float())

    def _sinc(self, x: Tensor) -> Tensor:
        kernels = np.zeros((len(x), 21, 21))
        for k in kernels:
            if self.rng.random() < 0.8:
                size = 2 * int(self.rng.integers(3, 11)) + 1
                low = self._low_pass(size, math.pi / 3)
                k[:] = np.pad(low / low.sum(), (21 - size) // 2)
            else:
                k[10, 10] = 1
        return self._filter(x, torch.from_numpy(kernels).float())

    def _to(self, x: Tensor, h: int, w: int) -> Tensor:
        return F.interpolate(x, (h, w), mode=("area", "bilinear", "bicubic")[self.rng.integers(3)])

    def _resized(
        self, x: Tensor, ways: tuple[float, ...], factors: tuple[float, float], target: tuple[int, int] | None
    ) -> Tensor:
        way = self.rng.choice(3, p=ways)
        factor = (self.rng.uniform(1, factors[1]), self.rng.uniform(factors[0], 1), 1.0)[way]
        h, w = target or x.shape[2:]
        return self._to(x, int(h * factor), int(w * factor))

    def _noisy(self, x: Tensor, sigma: tuple[float, float], scale: tuple[float, float]) -> Tensor:
        b = len(x)
        gray = (torch.rand(b) < 0.4).float().view(b, 1, 1, 1)
        if self.rng.random() < 0.5:
            strength = torch.empty(b, 1, 1, 1).uniform_(*sigma) / 255
            noise = torch.randn_like(x) * (1 - gray) + torch.randn_like(x[:, :1]) * gray
            return (x + strength * noise).clamp(0, 1)
        strength = torch.empty(b, 1, 1, 1).uniform_(*scale)
        luma = (x * torch.tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
        parts = []
        for values in (x, luma):
            values = (values * 255).round().clamp(0, 255) / 255
            counts = [2 ** math.ceil(math.log2(len(torch.unique(v)))) for v in values]
            levels = torch.tensor(counts, dtype=torch.float32).view(b, 1, 1, 1)
            parts.append(torch.poisson(values * levels) / levels - values)
        return (x + strength * (parts[0] * (1 - gray) + parts[1] * gray)).clamp(0, 1)

    def _jpeg(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        quality = torch.empty(b).uniform_(30, 95)
        factor = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
        x = F.pad(x.clamp(0, 1) * 255, (0, -w % 16, 0, -h % 16))
        r, g, bl = x.unbind(1)
        y = 0.299 * r + 0.587 * g + 0.114 * bl
        planes = [y, 128 + (bl - y) * 0.564334, 128 + (r - y) * 0.713267]
        out = []
        for i, plane in enumerate(planes):
            small = plane if i == 0 else F.avg_pool2d(plane[:, None], 2)[:, 0]
            hh, ww = small.shape[1:]
            blocks = small.reshape(b, hh // 8, 8, ww // 8, 8).permute(0, 1, 3, 2, 4) - 128
            table = self.tables[i] * factor.view(b, 1, 1, 1, 1)
            coefficients = (self.dct @ blocks @ self.dct.T / table).round() * table
            back = (self.dct.T @ coefficients @ self.dct + 128).permute(0, 1, 3, 2, 4).reshape(b, hh, ww)
            out.append(back if i == 0 else back.repeat_interleave(2, 1).repeat_interleave(2, 2))
        y, cb, cr = out
        rgb = torch.stack([y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
                           y + 1.772 * (cb - 128)], 1)  # fmt: skip
        return (rgb[:, :, :h, :w] / 255).clamp(0, 1)
