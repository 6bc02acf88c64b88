"""PyTorch's PReLU and transposed convolution with a forward or backward pass that is several times cheaper on a CPU.

Values and gradients equal PyTorch's to rounding; srfast/training/SPEED.md has the figures. On other devices and in
exported graphs PyTorch's own operators run.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from srfast.models import layers


class PReLU(nn.PReLU):
    """``nn.PReLU`` whose backward pass on a CPU is five vectorised passes; PyTorch's is scalar, nine times slower."""

    def forward(self, x: Tensor) -> Tensor:
        if not _eager_on_cpu(x) or not torch.is_grad_enabled():
            return super().forward(x)
        return _PReLU.apply(x, self.weight.to(x.dtype))


class _PReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.prelu(x, slope)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        by_channel = slope.view(-1, *[1] * (x.ndim - 2))
        dx = torch.lerp(torch.ops.aten.threshold_backward(grad, x, 0), grad, by_channel)
        return dx, x.clamp_max(0).mul_(grad).sum_to_size(by_channel.shape).view_as(slope)


def upsample(x: Tensor, weight: Tensor, bias: Tensor, scale: int) -> Tensor:
    """Transposed, centred convolution to one channel, with features replicated beyond the border.

    The kernel of LR pixel i is centred on HR pixel scale * i + (scale - 1) // 2.

    Args:
        x: [N, C, h, w].
        weight: [C, 1, k, k], k odd.
        bias: [1].
        scale: The stride. 1 is an ordinary convolution with the kernel turned by 180 degrees.

    Returns:
        [N, 1, scale * h, scale * w].
    """
    halo = layers.deconvolved_context(weight.shape[-1], scale)
    x = F.pad(x, (halo,) * 4, mode="replicate")
    if not _eager_on_cpu(x):
        stride, padding, more = _geometry(weight, scale, halo)
        return F.conv_transpose2d(x, weight, bias, stride, padding, more)
    if torch.is_autocast_enabled("cpu"):
        x, weight, bias = (t.to(torch.get_autocast_dtype("cpu")) for t in (x, weight, bias))
    return _Upsample.apply(x, weight, bias, scale, halo)


def to_plane(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolution of x [N, C, H, W] to one channel [N, 1, H, W] by weight [1, C, k, k], k odd, and bias [1], padding by
    replication."""
    if not _eager_on_cpu(x):
        return F.conv2d(F.pad(x, (weight.shape[-1] // 2,) * 4, mode="replicate"), weight, bias)
    return upsample(x, weight.flip(2, 3).transpose(0, 1), bias, 1)


class _Upsample(torch.autograd.Function):
    """Forward: a convolution and a pixel shuffle. Backward: PyTorch's, of the transposed convolution."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, scale: int, halo: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.scale, ctx.halo = scale, halo
        # oneDNN computes a multiple of 16 channels. At x2 with k = 9 a block of 2 x 2 LR pixels gives 16 and costs
        # 6 * 6 / 4 products an LR pixel, channel and output channel, a single pixel gives 4 and costs 5 * 5.
        block = max(1, 4 // scale)
        h, w = (n - 2 * halo for n in x.shape[-2:])
        kernel = _blocked(weight, scale, halo, block)
        if h % block or w % block:  # padding by nothing copies
            x = F.pad(x, (0, -w % block, 0, -h % block))
        sr = F.conv2d(x, kernel, bias.expand(len(kernel)), stride=block)
        return F.pixel_shuffle(sr, scale * block)[..., : scale * h, : scale * w]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding, more = _geometry(weight, ctx.scale, ctx.halo)
        to_x, to_weight, to_bias = ctx.needs_input_grad[:3]
        dx, dw, _ = torch.ops.aten.convolution_backward(
            grad, x, weight, [0], stride, padding, [1, 1], True, more, 1, [to_x, to_weight, False]
        )
        return dx, dw, grad.sum().reshape(1) if to_bias else None, None, None


def _geometry(weight: Tensor, scale: int, halo: int) -> tuple[list[int], list[int], list[int]]:
    """Stride, padding and output padding of the transposed convolution of padded features."""
    first = scale * halo + weight.shape[-1] // 2 - (scale - 1) // 2
    return [scale] * 2, [first] * 2, [(scale - 1) % 2] * 2


def _blocked(weight: Tensor, scale: int, halo: int, block: int) -> Tensor:
    """The convolution's kernel [(scale * block)^2, C, block + 2 * halo, block + 2 * halo], channels last."""
    k, side = weight.shape[-1], block + 2 * halo
    rows = F.pad(weight.reshape(len(weight), k * k).T, (0, 0, 0, 1))
    places = _places(k, scale, halo, block)
    return rows.index_select(0, places).view((scale * block) ** 2, side, side, len(weight)).permute(0, 3, 1, 2)


@functools.lru_cache
def _places(k: int, scale: int, halo: int, block: int) -> Tensor:
    """Which tap of the k x k kernel joins HR pixel p of a block to its LR neighbour d, or k * k if none does."""
    p = torch.arange(scale * block)[:, None]
    d = torch.arange(-halo, block + halo)
    tap = p + k // 2 - (scale - 1) // 2 - scale * d  # [p, d]
    inside = (tap >= 0) & (tap < k)
    places = tap[:, None, :, None] * k + tap[None, :, None, :]
    return places.where(inside[:, None, :, None] & inside[None, :, None, :], k * k).flatten()


def _eager_on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and not torch.jit.is_tracing()  # type: ignore[attr-defined]
