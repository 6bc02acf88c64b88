"""SRCNN 9-1-5 on the 8-bit LR image, in two Triton kernels.

Dong, Loy, He, Tang, "Image Super-Resolution Using Deep Convolutional Networks" (2014), eq. 1-3, on a bicubically
up-sampled image; conv1 and conv3 pad by replication. Up-sampling is linear, so the up-sampler and conv1 are one filter:
each of the S * S HR pixels of an LR pixel is a product of the same window of LR pixels with weights of its own
(``fold``). Near a border, where conv1 meets replicated pixels, the weights are others, and the window is pushed inside:
no coordinate is clamped, and no up-sampled image exists.

* ``features_kernel``: conv1, ReLU, conv2, ReLU, and the 25 products of each pixel's 32 features with conv3's taps.
* ``error_kernel``: conv3 as the sum of 25 shifted planes, and the squared error against Y.

Pixels stay in [0, 255]: the network is positively homogeneous, so with biases times 255 it gives 255 * M(up / 255), and
an LR pixel is exact in every type. Sums are float32; float32 operands are multiplied in full precision
(``input_precision="ieee"``), never in TF32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from srfast.kernels.configs import Config, lookup
from torch import Tensor

WINDOW = {2: 9, 3: 7, 4: 7}
"""Side of the LR window that the S * S HR pixels of an LR pixel see: conv1's 4 HR pixels and the bicubic taps."""
TAPS = {2: 96, 3: 64, 4: 64}
"""WINDOW^2, padded with zero weights to a multiple of 32."""
LIMIT = (2**31 - 1) // 25
"""HR pixels of one launch: offsets into the 25 planes are 32-bit."""
GROUP = 64 * 25 * 96 * 96 * 2
"""Bytes of the products of a group of images, 28 MiB: an L2 cache of 40 or 50 MB holds them until every class has
written its part of a sector. Smaller caches write some sectors more than once."""


@triton.jit
def _window(lr, origin, height, width, FIRST: tl.constexpr, COUNT: tl.constexpr, SIDE: tl.constexpr):
    """[BLOCK, COUNT]: taps FIRST .. FIRST + COUNT - 1 of the window at each origin, row by row.

    Taps past the window, and past an image smaller than the window, have zero weights and repeat a pixel.
    """
    tap = tl.minimum(FIRST + tl.arange(0, COUNT), SIDE * SIDE - 1)
    offset = tl.minimum(tap // SIDE, height - 1) * width + tl.minimum(tap % SIDE, width - 1)
    # Loaded with the pixels along the lanes of a warp: neighbours in memory.
    return tl.trans(tl.load(lr + (offset[:, None] + origin[None, :])))


@triton.jit
def _rows(weight, FIRST: tl.constexpr, COUNT: tl.constexpr):
    """[COUNT, 64]: weights of taps FIRST .. FIRST + COUNT - 1."""
    return tl.load(weight + ((FIRST + tl.arange(0, COUNT))[:, None] * 64 + tl.arange(0, 64)[None, :]))


@triton.jit
def _place(row, column, height, width, SIDE: tl.constexpr):
    """Position of an LR pixel in a plane of products. Columns next to a border are classes of their own and come after
    the others, with their pixels one after another, so that a program writes neighbours whichever class it works on."""
    middle = tl.minimum(SIDE // 2, width - 1)
    past = tl.maximum(width - SIDE, 0)
    whole = (column >= middle) & (column <= middle + past)
    border = tl.where(column < middle, column, column - past - 1)
    first = tl.where(whole, column - middle, height * (past + 1 + border))
    return first + row * tl.where(whole, past + 1, 1)


@triton.jit(do_not_specialize=["height", "width", "images", "group", "programs"])
def features_kernel(
    lr,  # [N, h, w]
    w1,  # [classes of rows, classes of columns, S * S, TAPS, 64]
    b1,  # [64] float32, times 255
    w2,  # [64, 32]
    b2,  # [32] float32, times 255
    w3,  # [32, 32]: conv3's weight [32, 25], padded
    out,  # [N, S * S, 25, h * w], a plane as in _place
    height,
    width,
    images,
    group,  # images of a group
    programs,  # of a group
    S: tl.constexpr,
    SIDE: tl.constexpr,
    TAPS: tl.constexpr,
    BLOCK: tl.constexpr,
    HOIST: tl.constexpr,  # the windows stay in shared memory for all phases; else (fp32) they are read in steps
):
    # A class is a set of LR pixels with the same weights: all whose window lies inside the image, or one position next
    # to a border. Groups of images come one after another; in a group come the middle of all its images, then the rows
    # next to a border, the columns, the corners. `programs` on the host counts them.
    local = tl.program_id(0) % programs
    image0 = tl.program_id(0) // programs * group
    here = tl.minimum(group, images - image0)
    past_y = tl.maximum(height - SIDE, 0)
    past_x = tl.maximum(width - SIDE, 0)
    middle_y = tl.minimum(SIDE // 2, height - 1)
    middle_x = tl.minimum(SIDE // 2, width - 1)
    classes_y = tl.minimum(height, SIDE) - 1  # without the middle
    classes_x = tl.minimum(width, SIDE) - 1
    first_row = tl.cdiv(group * (past_y + 1) * (past_x + 1), BLOCK)
    row_programs = tl.cdiv(group * (past_x + 1), BLOCK)
    first_column = first_row + classes_y * row_programs
    column_programs = tl.cdiv(group * (past_y + 1), BLOCK)
    first_corner = first_column + classes_x * column_programs
    corner_programs = tl.cdiv(group, BLOCK)
    middle = local < first_row
    in_rows = (local >= first_row) & (local < first_column)
    in_columns = (local >= first_column) & (local < first_corner)
    begin = tl.where(middle, 0, tl.where(in_rows, first_row, tl.where(in_columns, first_column, first_corner)))
    each = tl.where(
        middle, first_row, tl.where(in_rows, row_programs, tl.where(in_columns, column_programs, corner_programs))
    )
    number = (local - begin) // each  # of the class among its kind
    across = tl.maximum(classes_x, 1)
    other_y = tl.where(in_rows, number, number // across)
    other_x = tl.where(in_columns, number, number % across)
    kind_y = tl.where(middle | in_columns, middle_y, other_y + (other_y >= middle_y).to(tl.int32))
    kind_x = tl.where(middle | in_rows, middle_x, other_x + (other_x >= middle_x).to(tl.int32))
    rows_of = tl.where(kind_y == middle_y, past_y + 1, 1)
    columns_of = tl.where(kind_x == middle_x, past_x + 1, 1)
    index = (local - begin) % each * BLOCK + tl.arange(0, BLOCK)
    count = rows_of * columns_of
    inside = index < here * count
    index = tl.minimum(index, here * count - 1)
    image = image0 + index // count
    within = index % count
    y = kind_y + tl.where(kind_y > middle_y, past_y, 0) + within // columns_of
    x = kind_x + tl.where(kind_x > middle_x, past_x, 0) + within % columns_of
    pixel = image * (height * width) + _place(y, x, height, width, SIDE)
    top = tl.minimum(tl.maximum(y - SIDE // 2, 0), past_y)
    left = tl.minimum(tl.maximum(x - SIDE // 2, 0), past_x)
    origin = image * (height * width) + top * width + left

    if HOIST:
        a = _window(lr, origin, height, width, 0, 64, SIDE)
        if TAPS == 96:
            tail = _window(lr, origin, height, width, 64, 32, SIDE)
    wide = tl.arange(0, 64)
    channel = tl.arange(0, 32)
    bias1 = tl.load(b1 + wide)[None, :]
    bias2 = tl.load(b2 + channel)[None, :]
    weight2 = tl.load(w2 + (wide[:, None] * 32 + channel[None, :]))
    weight3 = tl.load(w3 + (channel[:, None] * 32 + channel[None, :]))
    plane = height * width
    target = out + ((pixel + image * (plane * (S * S * 25 - 1)))[None, :] + channel[:, None] * plane)
    mask = inside[None, :] & (channel < 25)[:, None]
    weight1 = w1 + (kind_y * (classes_x + 1) + kind_x) * (S * S * TAPS * 64)
    for phase in range(S * S):
        if HOIST:
            acc = tl.dot(a, _rows(weight1, 0, 64), input_precision="ieee")
            if TAPS == 96:
                acc = tl.dot(tail, _rows(weight1, 64, 32), acc, input_precision="ieee")
        else:
            acc = tl.zeros((BLOCK, 64), dtype=tl.float32)
            for first in tl.static_range(0, TAPS, 16):
                part = _window(lr, origin, height, width, first, 16, SIDE)
                acc = tl.dot(part, _rows(weight1, first, 16), acc, input_precision="ieee")
        weight1 += TAPS * 64
        hidden = tl.maximum(acc + bias1, 0.0, propagate_nan=tl.PropagateNan.ALL).to(w2.dtype.element_ty)
        acc = tl.dot(hidden, weight2, input_precision="ieee")
        features = tl.maximum(acc + bias2, 0.0, propagate_nan=tl.PropagateNan.ALL).to(w2.dtype.element_ty)
        products = tl.dot(features, weight3, input_precision="ieee").to(out.dtype.element_ty)
        tl.store(target + phase * 25 * plane, tl.trans(products), mask=mask)


@triton.jit(do_not_specialize=["height", "width", "tiles"])
def error_kernel(
    products,  # [N, S * S, 25, h * w], a plane as in _place
    b3,  # [1] float32, times 255
    truth,  # [N, S * h, S * w] uint8
    sums,  # [N, tiles] float32
    sr,  # [N, S * h, S * w] float32; written only where WRITE_SR
    height,
    width,
    tiles,  # programs an image
    S: tl.constexpr,
    SIDE: tl.constexpr,
    BLOCK: tl.constexpr,
    WRITE_SR: tl.constexpr,
):
    # HR pixel (Y, X) takes tap (i, j) from the pixel at (Y + i - 2, X + j - 2), clamped; that pixel is phase
    # (Y % S, X % S) of LR pixel (Y // S, X // S).
    program = tl.program_id(0)
    image = program // tiles
    index = (program % tiles) * BLOCK + tl.arange(0, BLOCK)
    inside = index < height * width
    index = tl.minimum(index, height * width - 1)
    y = S * (index // width)
    x = S * (index % width)
    plane = height * width
    source = products + image * (plane * S * S * 25)
    picture = image * (plane * S * S)
    bias = tl.load(b3)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for phase in range(S * S):
        hr_y = y + phase // S
        hr_x = x + phase % S
        acc = tl.zeros((BLOCK,), dtype=tl.float32) + bias
        for i in tl.static_range(5):
            from_y = tl.minimum(tl.maximum(hr_y + (i - 2), 0), S * height - 1)
            planes = from_y % S * (S * 25) + i * 5
            for j in tl.static_range(5):
                from_x = tl.minimum(tl.maximum(hr_x + (j - 2), 0), S * width - 1)
                place = _place(from_y // S, from_x // S, height, width, SIDE)
                acc += tl.load(source + ((planes + from_x % S * 25 + j) * plane + place)).to(tl.float32)
        pixel = picture + hr_y * (S * width) + hr_x
        if WRITE_SR:
            tl.store(sr + pixel, acc, mask=inside)
        error = acc - tl.load(truth + pixel).to(tl.float32)
        total += error * error
    tl.store(sums + program, tl.sum(tl.where(inside, total, 0.0)))


@dataclass(frozen=True)
class Packed:
    """Weights of one SRCNN as the kernels read them, made by ``srfast.scoring.backends.fold.pack``.

    Biases are float32 and multiplied by 255; the other weights have one element type.
    """

    scale: int
    folded: Callable[[int, int], Tensor]
    """conv1 merged with the up-sampler, [rows, columns, S * S, TAPS, 64], for the classes of an image."""
    b1: Tensor  # [64]
    w2: Tensor  # [64, 32]
    b2: Tensor  # [32]
    w3: Tensor  # [32, 32], conv3.weight [32, 25] and zeros
    b3: Tensor  # [1]


def groups(images: int, height: int, width: int, scale: int, config: Config, itemsize: int) -> tuple[int, int]:
    """The number of images in a group of at most GROUP bytes, and of the programs of ``features_kernel`` for
    one group."""
    most = max(1, GROUP // (scale**2 * 25 * height * width * itemsize))
    group = triton.cdiv(images, triton.cdiv(images, most))
    side = WINDOW[scale]
    rows, columns = (max(n - side, 0) + 1 for n in (height, width))
    borders_y, borders_x = (min(n, side) - 1 for n in (height, width))
    programs = [
        (1, group * rows * columns),
        (borders_y, group * columns),
        (borders_x, group * rows),
        (borders_y * borders_x, group),
    ]
    return group, sum(classes * triton.cdiv(pixels, config.block) for classes, pixels in programs)


def config_for(kernel: str, tensor: Tensor) -> Config:
    """The table's row for the card that holds ``tensor``; on the CPU (in the interpreter) the row of 80."""
    capability = 80
    if tensor.is_cuda:
        major, minor = torch.cuda.get_device_capability(tensor.device)
        capability = 10 * major + minor
    return lookup(kernel, capability, tensor.element_size())


def _check(name: str, tensor: Tensor, dtype: torch.dtype, shape: tuple[int, ...], device: torch.device) -> None:
    if tensor.dtype != dtype or tensor.shape != shape or tensor.device.type != device.type:
        raise ValueError(
            f"{name}: expected {dtype} {list(shape)} on {device}, got {tensor.dtype} {list(tensor.shape)} "
            f"on {tensor.device}"
        )
    if not tensor.is_contiguous():
        raise ValueError(f"{name}: expected a contiguous tensor")


def launch_features(lr: Tensor, packed: Packed, config: Config | None = None) -> Tensor:
    """Computes everything up to conv3's products.

    Args:
        lr: LR pixels in [0, 255], [N, h, w], contiguous, of the dtype and on the device of ``packed``.
        packed: The weights.
        config: Launch configuration; None takes the table's.

    Returns:
        [N, S * S, 25, h * w] of the same dtype: the products of the features (times 255) with conv3's taps, for each HR
        pixel by its place (row, then column) in its LR pixel. LR pixels lie where ``_place`` says. float16 holds values
        up to 65504.
    """
    n, h, w = lr.shape
    _check("lr", lr, packed.w2.dtype, (n, h, w), packed.w2.device)
    s, side = packed.scale, WINDOW[packed.scale]
    if n * h * w * s * s > LIMIT:
        raise ValueError(f"lr: expected at most {LIMIT} HR pixels at once, got {n * h * w * s * s}")
    out = torch.empty((n, s * s, 25, h * w), dtype=lr.dtype, device=lr.device)
    if out.numel() == 0:
        return out
    config = config or config_for("features", lr)
    group, programs = groups(n, h, w, s, config, lr.element_size())
    features_kernel[(programs * triton.cdiv(n, group),)](
        *(
            lr,
            packed.folded(min(h, side), min(w, side)),
            packed.b1,
            packed.w2,
            packed.b2,
            packed.w3,
            out,
            h,
            w,
            n,
            group,
            programs,
        ),
        S=s,
        SIDE=side,
        TAPS=TAPS[s],
        BLOCK=config.block,
        HOIST=lr.element_size() == 2,
        num_warps=config.num_warps,
        num_stages=config.num_stages,
    )
    return out


def launch_error(
    products: Tensor, truth: Tensor, packed: Packed, sr: Tensor | None = None, config: Config | None = None
) -> Tensor:
    """Computes conv3 and the mean squared error of each image.

    Args:
        products: The result of ``launch_features``, [N, S * S, 25, h * w].
        truth: Y, [N, S * h, S * w] uint8.
        packed: Weights on the same device.
        sr: Output for the reconstruction in [0, 255], [N, S * h, S * w] float32; None leaves it out.
        config: Launch configuration; None takes the table's.

    Returns:
        [N] float32 in units of [0, 255]^2. Programs sum in float32, and their sums are added in float64 in a fixed
        order.
    """
    s = packed.scale
    n, h, w = truth.shape[0], truth.shape[1] // s, truth.shape[2] // s
    _check("truth", truth, torch.uint8, (n, s * h, s * w), packed.w2.device)
    _check("products", products, packed.w2.dtype, (n, s * s, 25, h * w), packed.w2.device)
    if sr is not None:
        _check("sr", sr, torch.float32, (n, s * h, s * w), packed.w2.device)
    if n == 0:
        return torch.zeros(0, device=products.device)
    config = config or config_for("error", products)
    tiles = triton.cdiv(h * w, config.block)
    sums = torch.empty((n, tiles), dtype=torch.float32, device=products.device)
    error_kernel[(n * tiles,)](
        *(products, packed.b3, truth, sums, sums if sr is None else sr, h, w, tiles),
        S=s,
        SIDE=WINDOW[s],
        BLOCK=config.block,
        WRITE_SR=sr is not None,
        num_warps=config.num_warps,
        num_stages=config.num_stages,
    )
    return (sums.double().sum(1) / (s * s * h * w)).float()
