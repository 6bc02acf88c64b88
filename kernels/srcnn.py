"""SRCNN 9-1-5 in two Triton kernels: ``features_kernel`` (conv1 + ReLU + conv2 + ReLU) and ``error_kernel`` (conv3 and
the squared error against Y).

Dong, Loy, He, Tang, "Image Super-Resolution Using Deep Convolutional Networks" (2014), eq. 1-3; every layer pads by
replication, here by clamping coordinates. Pixels stay in [0, 255]: the network is positively homogeneous, so with
biases times 255 it gives 255 * M(up / 255) without a multiplication and without a second rounding of its input.

Only the 32-channel map passes through device memory, channels last. Sums are float32; float32 operands are multiplied
in full precision (``input_precision="ieee"``), never in TF32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from srfast.kernels.configs import Config, lookup
from torch import Tensor

RUN = 16  # pixels of a row: a tile's width in features_kernel, one row of the matrix product in error_kernel
FEATURES = 32
TAPS = 96  # 81 taps of conv1, padded with zero weights to three blocks of 32


@triton.jit
def _conv1(plane, w1, y, x, height, width, BLOCK: tl.constexpr, CLAMP: tl.constexpr):
    wide = tl.arange(0, 64)
    acc = tl.zeros((BLOCK, 64), dtype=tl.float32)
    for first in tl.static_range(0, 96, 32):
        tap = first + tl.arange(0, 32)
        if CLAMP:
            row = tl.minimum(tl.maximum(y[:, None] + (tap // 9 - 4)[None, :], 0), height - 1)
            col = tl.minimum(tl.maximum(x[:, None] + (tap % 9 - 4)[None, :], 0), width - 1)
            offset = row * width + col
        else:
            # taps from 81 on have zero weights: they repeat tap 80
            inner = tl.minimum(tap, 80)
            offset = (y * width + x)[:, None] + ((inner // 9 - 4) * width + inner % 9 - 4)[None, :]
        a = tl.load(plane + offset)  # [BLOCK, 32]
        b = tl.load(w1 + (tap[:, None] * 64 + wide[None, :]))  # [32, 64]
        acc = tl.dot(a, b, acc, input_precision="ieee")
    return acc


@triton.jit
def features_kernel(
    up,  # [N, H, W]
    w1,  # [TAPS, 64]
    b1,  # [64] float32, times 255
    w2,  # [64, 32]
    b2,  # [32] float32, times 255
    out,  # [N, H, W, 32]
    height,
    width,
    tiles_x,
    tiles,  # programs an image
    BLOCK: tl.constexpr,
):
    # A tile is 16 pixels wide: coordinates are shifts of the pixel's number, and a thread shares most of its clamps.
    program = tl.program_id(0)
    tile = program % tiles
    image = (program // tiles).to(tl.int64) * height * width
    pixel = tl.arange(0, BLOCK)
    y = tile // tiles_x * (BLOCK // 16) + pixel // 16
    x = tile % tiles_x * 16 + pixel % 16
    plane = up + image
    top = tile // tiles_x * (BLOCK // 16)
    left = tile % tiles_x * 16
    inside_y = (top >= 4) & (top + BLOCK // 16 + 4 <= height)
    if inside_y & (left >= 4) & (left + 20 <= width):
        acc = _conv1(plane, w1, y, x, height, width, BLOCK, False)
    else:
        acc = _conv1(plane, w1, y, x, height, width, BLOCK, True)
    wide = tl.arange(0, 64)
    hidden = tl.maximum(acc + tl.load(b1 + wide)[None, :], 0.0).to(up.dtype.element_ty)
    channel = tl.arange(0, 32)
    b = tl.load(w2 + (wide[:, None] * 32 + channel[None, :]))  # [64, 32]
    acc = tl.dot(hidden, b, input_precision="ieee")
    features = tl.maximum(acc + tl.load(b2 + channel)[None, :], 0.0).to(out.dtype.element_ty)
    offset = (image + y * width + x)[:, None] * 32 + channel[None, :]
    tl.store(out + offset, features, mask=((y < height) & (x < width))[:, None])


@triton.jit
def error_kernel(
    features,  # [N, H, W, 32]
    w3,  # [5, 20, 32, 16]: w3[dy, i, c, j] = weight[c, dy, i - j], zero where i - j is outside 0..4
    b3,  # [1] float32, times 255
    truth,  # [N, H, W] uint8
    sums,  # [N, tiles] float32
    sr,  # [N, H, W] float32; written only where WRITE_SR
    height,
    width,
    runs,  # runs of 16 pixels a row
    tiles,  # programs an image
    BLOCK: tl.constexpr,
    DEPTH: tl.constexpr,  # pixels of a window a step: 1, 2 or 4
    WRITE_SR: tl.constexpr,
):
    # conv3 has one output channel. As a matrix product over single pixels it would fill 1 of 16 columns and load every
    # feature 25 times; over runs of 16 pixels the columns are the run, and a feature is loaded 5 * 20 / 16 times.
    program = tl.program_id(0)
    image = (program // tiles).to(tl.int64) * height * width
    run = (program % tiles) * BLOCK + tl.arange(0, BLOCK)  # past the last run in the last program: masked below
    y = run // runs
    x = run % runs * 16
    k = tl.arange(0, 32 * DEPTH)
    lane = tl.arange(0, 16)
    plane = features + image * 32
    weight = w3 + (k[:, None] * 16 + lane[None, :])
    acc = tl.zeros((BLOCK, 16), dtype=tl.float32)
    for step in range(100 // DEPTH):
        first = step * DEPTH
        row = tl.minimum(tl.maximum(y + (first // 20 - 2), 0), height - 1)
        col = x[:, None] + (k // 32)[None, :] + (first % 20 - 2)
        col = tl.minimum(tl.maximum(col, 0), width - 1)
        offset = ((row * width)[:, None] + col).to(tl.int64) * 32 + (k % 32)[None, :]
        a = tl.load(plane + offset)  # [BLOCK, 32 * DEPTH]
        b = tl.load(weight + step * (512 * DEPTH))  # [32 * DEPTH, 16]
        acc = tl.dot(a, b, acc, input_precision="ieee")
    acc += tl.load(b3)
    col = x[:, None] + lane[None, :]
    inside = (y < height)[:, None] & (col < width)
    pixel = image + (y * width)[:, None] + col
    if WRITE_SR:
        tl.store(sr + pixel, acc, mask=inside)
    error = tl.where(inside, acc - tl.load(truth + pixel, mask=inside, other=0).to(tl.float32), 0.0)
    tl.store(sums + program, tl.sum(error * error))


@dataclass(frozen=True)
class Packed:
    """Weights of one SRCNN as the kernels read them; biases float32 and times 255, the rest of one element type."""

    w1: Tensor  # [96, 64]
    b1: Tensor  # [64]
    w2: Tensor  # [64, 32]
    b2: Tensor  # [32]
    w3: Tensor  # [5, 20, 32, 16]
    b3: Tensor  # [1]


def pack(weights: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device | str) -> Packed:
    """Packs conv1.weight [64, 1, 9, 9], conv2.weight [32, 64, 1, 1], conv3.weight [1, 32, 5, 5] and their biases."""
    w = {name: value.detach().to("cpu", torch.float32) for name, value in weights.items()}
    w1 = torch.zeros(TAPS, 64)
    w1[:81] = w["conv1.weight"].reshape(64, 81).T
    w3 = torch.zeros(5, 20, FEATURES, RUN)
    for lane in range(RUN):
        w3[:, lane : lane + 5, :, lane] = w["conv3.weight"][0].permute(1, 2, 0)
    biases = (255 * w[f"conv{i}.bias"] for i in (1, 2, 3))
    b1, b2, b3 = (b.to(device) for b in biases)
    w2 = w["conv2.weight"].reshape(FEATURES, 64).T
    w1, w2, w3 = (t.contiguous().to(device, dtype) for t in (w1, w2, w3))
    return Packed(w1, b1, w2, b2, w3, b3)


def config_for(kernel: str, tensor: Tensor) -> Config:
    """The table's row for the card that holds ``tensor``; on the CPU (the interpreter) the row of 80."""
    capability = 80
    if tensor.is_cuda:
        major, minor = torch.cuda.get_device_capability(tensor.device)
        capability = 10 * major + minor
    return lookup(kernel, capability, tensor.element_size())


def launch_features(up: Tensor, packed: Packed, config: Config | None = None) -> Tensor:
    """conv1 + ReLU + conv2 + ReLU, times 255.

    Args:
        up: Up-sampled Y in [0, 255], [N, H, W], float32, float16 or bfloat16, contiguous, the dtype of ``packed``.
        packed: Weights on the same device.
        config: Replaces the table's row.

    Returns:
        [N, H, W, 32] of the same dtype. float16 holds values up to 65504, a feature of 256 for pixels in [0, 1].
    """
    n, h, w = up.shape
    out = torch.empty((n, h, w, FEATURES), dtype=up.dtype, device=up.device)
    if n == 0:
        return out
    config = config or config_for("features", up)
    tiles_x = triton.cdiv(w, RUN)
    tiles = triton.cdiv(h, config.block // RUN) * tiles_x
    features_kernel[(n * tiles,)](
        *(up, packed.w1, packed.b1, packed.w2, packed.b2, out, h, w, tiles_x, tiles),
        BLOCK=config.block,
        num_warps=config.num_warps,
        num_stages=config.num_stages,
    )
    return out


def launch_error(
    features: Tensor, truth: Tensor, packed: Packed, sr: Tensor | None = None, config: Config | None = None
) -> Tensor:
    """conv3 and the mean squared error of each image.

    Args:
        features: The map of ``launch_features``, [N, H, W, 32].
        truth: Y, [N, H, W] uint8.
        packed: Weights on the same device.
        sr: Where the reconstruction in [0, 255] goes, [N, H, W] float32; None: it is not written.
        config: Replaces the table's row.

    Returns:
        [N] float32 in units of [0, 255]^2. Programs sum in float32, their sums are added in float64 in a fixed order.
    """
    n, h, w, _ = features.shape
    if n == 0:
        return torch.zeros(0, device=features.device)
    config = config or config_for("error", features)
    runs = triton.cdiv(w, RUN)
    tiles = triton.cdiv(h * runs, config.block)
    sums = torch.empty((n, tiles), dtype=torch.float32, device=features.device)
    error_kernel[(n * tiles,)](
        *(features, packed.w3, packed.b3, truth, sums, sums if sr is None else sr, h, w, runs, tiles),
        BLOCK=config.block,
        DEPTH=config.depth,
        WRITE_SR=sr is not None,
        num_warps=config.num_warps,
        num_stages=config.num_stages,
    )
    return (sums.double().sum(1) / (h * w)).float()
