"""Weights for srfast.kernels.srcnn: conv1 and the bicubic up-sampler before it, merged into one filter on LR."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from srfast.kernels.srcnn import TAPS, WINDOW, Packed
from srfast.ops.reference import resampling_matrix


def _axis(scale: int, n: int) -> Tensor:
    """[n, S, 9, WINDOW] float64: weights of n LR pixels (n <= WINDOW) in conv1's nine pixels around each HR pixel.

    Position c of an image of WINDOW pixels stands for its class in any longer one: the middle for every pixel that has
    WINDOW // 2 pixels on both sides, the others for the same distance to a border.
    """
    up = resampling_matrix(n, float(scale))  # [S n, n]
    hr = torch.arange(scale * n).view(n, scale, 1) + torch.arange(-4, 5)
    return torch.nn.functional.pad(up[hr.clamp(0, scale * n - 1)], (0, WINDOW[scale] - n))


def fold(conv1: Tensor, scale: int, rows: int, columns: int) -> Tensor:
    """[rows, columns, S * S, TAPS, 64] float64 from conv1's weight [64, 9, 9] float64; rows, columns <= WINDOW."""
    y, x = (_axis(scale, n) for n in (rows, columns))
    # r, c: class; p, q: place in the LR pixel; i, j: conv1's tap; a, b: LR pixel of the window; o: channel
    across = torch.einsum("oij,cqjb->oicqb", conv1, x)
    folded = torch.einsum("rpia,oicqb->rcpqabo", y, across)
    folded = folded.reshape(rows, columns, scale * scale, WINDOW[scale] ** 2, 64)
    return torch.nn.functional.pad(folded, (0, 0, 0, TAPS[scale] - WINDOW[scale] ** 2))


def pack(weights: Mapping[str, Tensor], scale: int, dtype: torch.dtype, device: torch.device | str) -> Packed:
    """Packs conv1.weight [64, 1, 9, 9], conv2.weight [32, 64, 1, 1], conv3.weight [1, 32, 5, 5] and their biases."""
    w = {name: value.detach().to("cpu", torch.float32) for name, value in weights.items()}
    conv1 = w["conv1.weight"][:, 0].double()

    # Never evicted, which would free what another stream reads: 45^2 classes at most, 100 MB (x2, float16), for images
    # of every size below the window.
    @cache
    def folded(rows: int, columns: int) -> Tensor:
        return fold(conv1, scale, rows, columns).to(device, dtype)

    w3 = torch.zeros(32, 32)
    w3[:, :25] = w["conv3.weight"].reshape(32, 25)
    b1, b2, b3 = ((255 * w[f"conv{i}.bias"]).to(device) for i in (1, 2, 3))
    w2 = w["conv2.weight"].reshape(32, 64).T.contiguous().to(device, dtype)
    return Packed(scale, folded, b1, w2, b2, w3.to(device, dtype), b3)
