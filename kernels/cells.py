"""The maps of dense mode, summed where they are made: one Triton kernel in place of maps of the size of the image.

The edges of all windows cut each row of an image into cells, so that a window's part of a row is a run of whole cells.
The kernel sums three maps over each cell of each row: the squared errors of the network and of bicubic up-sampling, and
Sobel's. It reads 9 bytes a pixel (11 where rows of Y leave the cache) and writes 12 a cell. What is left to do has the
size of the cells (``srfast.scoring.backends.maps.WindowSums``).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024
"""Pixels of a program, with those past the end of a cell; not tuned yet. No cell may be wider."""
WARPS = 4


@triton.jit
def _mirrored(i, n):
    """Position outside of 0 .. n - 1 by at most one, reflected about the edge pixel."""
    return tl.maximum(n - 1 - tl.abs(n - 1 - tl.abs(i)), 0)


@triton.jit(do_not_specialize=["height", "width", "first", "rows", "cells"])
def cells_kernel(
    y,  # [height, width] uint8
    sr,  # [height, width] float32
    up,  # [height, width] float32
    edges,  # [cells + 1] int32: first pixel of each cell
    out,  # [3, rows, cells] float32
    height,
    width,
    first,  # row of the image that is the first of out
    rows,
    cells,
    CELLS: tl.constexpr,
    SPAN: tl.constexpr,
):
    # A program sums CELLS cells of one row. Its rows above and below are those of neighbouring programs, in a cache.
    row = tl.program_id(0)
    cell = tl.program_id(1) * CELLS + tl.arange(0, CELLS)
    begin = tl.load(edges + tl.minimum(cell, cells))
    end = tl.load(edges + tl.minimum(cell + 1, cells))
    column = begin[:, None] + tl.arange(0, SPAN)[None, :]
    inside = column < end[:, None]
    middle = y + (first + row) * width
    top = y + _mirrored(first + row - 1, height) * width
    bottom = y + _mirrored(first + row + 1, height) * width
    left, right = _mirrored(column - 1, width), _mirrored(column + 1, width)

    truth = tl.load(middle + column, mask=inside, other=0).to(tl.float32)
    at = (first + row) * width + column
    error = tl.load(sr + at, mask=inside, other=0.0) - truth
    plain = tl.load(up + at, mask=inside, other=0.0) - truth
    # Whole numbers below 2^24, so that float32 holds them exactly.
    a = tl.load(top + left, mask=inside, other=0).to(tl.float32)
    b = tl.load(top + column, mask=inside, other=0).to(tl.float32)
    c = tl.load(top + right, mask=inside, other=0).to(tl.float32)
    d = tl.load(middle + left, mask=inside, other=0).to(tl.float32)
    e = tl.load(middle + right, mask=inside, other=0).to(tl.float32)
    f = tl.load(bottom + left, mask=inside, other=0).to(tl.float32)
    g = tl.load(bottom + column, mask=inside, other=0).to(tl.float32)
    h = tl.load(bottom + right, mask=inside, other=0).to(tl.float32)
    gradient = (tl.abs(c - a + 2 * (e - d) + h - f) + tl.abs(f + 2 * g + h - a - 2 * b - c)) / 2

    target = out + row * cells + cell
    tl.store(target, tl.sum(tl.where(inside, error * error, 0.0), 1), mask=cell < cells)
    tl.store(target + rows * cells, tl.sum(tl.where(inside, plain * plain, 0.0), 1), mask=cell < cells)
    tl.store(target + 2 * rows * cells, tl.sum(tl.where(inside, gradient, 0.0), 1), mask=cell < cells)


def launch_cells(y: Tensor, sr: Tensor, up: Tensor, edges: Tensor, widest: int, own: slice) -> Tensor:
    """Sums of the three maps of an image over the cells of some of its rows.

    Args:
        y: Y [H, W] uint8, contiguous.
        sr: The reconstruction [H, W] float32, contiguous, in [0, 255].
        up: The bicubically up-sampled plane [H, W] float32, contiguous.
        edges: First pixel of each cell and the end of the last, int32 [cells + 1], ascending.
        widest: Pixels of the widest cell, at most BLOCK.
        own: The rows; those above and below them are read too.

    Returns:
        [3, rows, cells] float32.
    """
    height, width = y.shape
    for name, plane, dtype in (("y", y, torch.uint8), ("sr", sr, torch.float32), ("up", up, torch.float32)):
        if plane.dtype != dtype or plane.shape != y.shape or not plane.is_contiguous():
            raise ValueError(f"{name}: expected contiguous {dtype} {list(y.shape)}, got {plane.dtype} {plane.shape}")
    if not 0 < widest <= BLOCK:
        raise ValueError(f"widest: expected 1 to {BLOCK} pixels, got {widest}")
    if height * width >= 2**31:
        raise ValueError(f"y: expected fewer than 2^31 pixels, got {height} x {width}")
    rows, cells = own.stop - own.start, len(edges) - 1
    out = torch.empty((3, rows, cells), dtype=torch.float32, device=y.device)
    span = triton.next_power_of_2(widest)
    if out.numel():
        grid = (rows, triton.cdiv(cells, BLOCK // span))
        sizes = (height, width, own.start, rows, cells)
        cells_kernel[grid](y, sr, up, edges, out, *sizes, CELLS=BLOCK // span, SPAN=span, num_warps=WARPS)
    return out
