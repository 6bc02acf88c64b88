"""The definition of a score in plain PyTorch, against which every backend is tested.

``score(y) = L(M(d(y)), y)`` of "A Study in Dataset Pruning for Image Super-Resolution" (Moser, Raue, Dengel, 2024): d
is bicubic down-sampling with antialiasing, M an SRCNN 9-1-5 on the bicubically up-sampled luma, L the mean squared
error of one patch. ``dtype=torch.float64`` gives the most exact result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from threading import Lock

import cachetools
import torch
import torch.nn.functional as F
from torch import Tensor

from srfast.ops import color


def cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5."""
    a = x.abs()
    near = (1.5 * a - 2.5) * a * a + 1
    far = ((-0.5 * a + 2.5) * a - 4) * a + 2
    return torch.where(a <= 1, near, torch.where(a <= 2, far, torch.zeros_like(a)))


_MATRICES: cachetools.LRUCache[tuple[int, float, str], Tensor] = cachetools.LRUCache(64 << 20, lambda m: m.nbytes)
"""A cache bounded in bytes: matrices of large images take hundreds of MB, and a folder has hundreds of sizes."""


@cachetools.cached(_MATRICES, lambda n, scale, boundary="symmetric": (n, float(scale), boundary), Lock())
@torch.inference_mode(False)  # a matrix made in that mode could not take part in a later training
def resampling_matrix(n: int, scale: float, boundary: str = "symmetric") -> Tensor:
    """One pass of MATLAB's imresize as a dense float64 matrix [ceil(scale * n), n]."""
    out = math.ceil(scale * n)
    width = 4 / scale if scale < 1 else 4.0
    u = torch.arange(1, out + 1, dtype=torch.float64) / scale + 0.5 * (1 - 1 / scale)
    index = torch.floor(u - width / 2)[:, None] + torch.arange(math.ceil(width) + 2, dtype=torch.float64)
    distance = u[:, None] - index
    weight = scale * cubic(scale * distance) if scale < 1 else cubic(distance)
    weight = weight / weight.sum(1, keepdim=True)
    index = index.long() - 1
    if boundary == "symmetric":
        index = index % (2 * n)
        index = torch.where(index < n, index, 2 * n - 1 - index)
    elif boundary == "replicate":
        index = index.clamp(0, n - 1)
    else:
        raise ValueError(f"boundary: expected 'symmetric' or 'replicate', got {boundary!r}")
    return torch.zeros(out, n, dtype=torch.float64).scatter_add_(1, index, weight)


def _passes(x: Tensor, scale: float, boundary: str) -> tuple[Tensor, Tensor]:
    rows = resampling_matrix(x.shape[-2], scale, boundary)
    cols = resampling_matrix(x.shape[-1], scale, boundary)
    return rows.to(x.device, x.dtype), cols.to(x.device, x.dtype)


def resample(x: Tensor, scale: float, boundary: str = "symmetric") -> Tensor:
    """Float images [..., H, W] resampled by ``scale``, rows first, never rounded."""
    rows, cols = _passes(x, scale, boundary)
    return rows @ x @ cols.T


def resample_uint8(x: Tensor, scale: float, boundary: str = "symmetric") -> Tensor:
    """Resamples uint8 images [..., H, W] with float64 sums, rounded half up and clamped to 0..255 after each pass.

    1e-9 makes an exact tie go up where a weight is a third and float64 falls just short of it.
    """
    rows, cols = _passes(x.double(), scale, boundary)
    x = torch.floor(rows @ x.double() + (0.5 + 1e-9)).clamp(0, 255)
    return torch.floor(x @ cols.T + (0.5 + 1e-9)).clamp(0, 255).to(torch.uint8)


def luma(image: Tensor) -> Tensor:
    """uint8 [..., 3] RGB, or [..., 1], which is Y itself -> uint8 Y [...]: BT.601, rounded half up (exact)."""
    if image.shape[-1] == 1:
        return image[..., 0]
    return color.rounded_luma(*image.long().unbind(-1)).to(torch.uint8)


def per_sample_mse(a: Tensor, b: Tensor) -> Tensor:
    """[N, ...] -> [N], the mean over all but the first axis of (a - b)^2, in float64."""
    return (a.double() - b.double()).square().flatten(1).mean(1)


def srcnn(x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """SRCNN 9-1-5 (Dong et al., 2014, eq. 1-3) on up-sampled Y [N, 1, H, W] in [0, 1], padded by replication."""
    for layer, pad in (("conv1", 4), ("conv2", 0), ("conv3", 2)):
        w, b = (weights[f"{layer}.{p}"].to(x) for p in ("weight", "bias"))
        x = F.conv2d(F.pad(x, (pad,) * 4, mode="replicate") if pad else x, w, b)
        if layer != "conv3":
            x = F.relu(x)
    return x


def degrade(y: Tensor, scale: int, dtype: torch.dtype) -> Tensor:
    """uint8 Y [N, H, W] -> the up-sampled plane [N, 1, H, W] in [0, 255] (not rounded) that the network sees."""
    return resample(resample_uint8(y, 1 / scale).to(dtype), scale)[:, None]


def squared_error(
    patches: Tensor,
    weights: Mapping[str, Tensor] | None,
    scale: int = 2,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Squared-error maps [N, H, W] of uint8 patches [N, H, W, 3 or 1]; weights None mean plain bicubic up-sampling."""
    y = luma(patches)
    up = degrade(y, scale, dtype)
    sr = up if weights is None else 255 * srcnn(up / 255, weights)
    return (sr[:, 0] - y.to(dtype)).square()


def score_patches(
    patches: Tensor,
    weights: Mapping[str, Tensor] | None,
    scale: int = 2,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Losses [N] in units of [0, 255]^2, in ``dtype``."""
    if len(patches) == 0:
        return torch.zeros(0, dtype=dtype)
    return squared_error(patches, weights, scale, dtype).mean((1, 2))


def sobel(patches: Tensor) -> Tensor:
    """Mean of 0.5 |Gx| + 0.5 |Gy| over each patch [N, H, W, 3 or 1], 3 x 3 Sobel on Y, reflect-101 border.

    Ding et al., "Not All Patches Are Equal" (2023): the gradient score of a patch, here on Y.
    """
    if len(patches) == 0:
        return torch.zeros(0)
    return sobel_map(patches).mean((1, 2)).float()


def sobel_map(patches: Tensor) -> Tensor:
    """0.5 |Gx| + 0.5 |Gy| of each pixel, float64 [N, H, W]."""
    y = luma(patches).double()[:, None]
    gx = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64, device=y.device)
    grad = F.conv2d(_reflect101(_reflect101(y, -1), -2), torch.stack([gx, gx.T])[:, None])
    return grad.abs().sum(1) / 2


def _reflect101(x: Tensor, dim: int) -> Tensor:
    """One pixel of reflect-101 border on both sides of ``dim`` (a single pixel repeats itself)."""
    n = x.shape[dim]
    index = torch.arange(-1, n + 1).abs()
    index = torch.where(index < n, index, 2 * (n - 1) - index).clamp(0, n - 1)
    return x.index_select(dim, index.to(x.device))
