"""Layers that several networks share."""

from __future__ import annotations

import contextlib
import math

import torch
from torch import Tensor, nn

from srfast.errors import InputError
from srfast.models.tiling import Descriptor
from srfast.ops import reference
from srfast.ops.color import OFFSET, YCBCR
from srfast.settings import PAIR_SCALE, PAIR_SCALES

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean RGB of DIV2K's training images in [0, 1], which EDSR and its successors subtract."""


def full_precision(x: Tensor) -> contextlib.AbstractContextManager[None]:
    """Switches autocast off on the device of ``x``, for sums that half precision would spoil."""
    return torch.autocast(x.device.type, enabled=False)


def widened(x: Tensor) -> Tensor:
    """``x`` in float32, or unchanged if it is float64."""
    return x if x.dtype == torch.float64 else x.float()


def bicubic(x: Tensor, scale: float) -> Tensor:
    """``reference.resample`` in the precision of ``x``, also under autocast.

    Under bfloat16 autocast its matrix products would round an image to eight bits of mantissa.
    """
    with full_precision(x):
        return x if scale == 1 else reference.resample(x, scale)


def resampled_context(radius: int, scale: int) -> int:
    """LR pixels on each side that ``radius`` HR pixels need through bicubic up-sampling.

    The HR pixel next to LR pixel a's left edge lies at a - 0.5 + 0.5 / s; ``radius`` more lie ``radius`` / s to the
    left, and the cubic kernel reaches less than 2 further.
    """
    return math.ceil(2.5 + (radius - 0.5) / scale) - 1


def deconvolved_context(kernel: int, scale: int) -> int:
    """LR pixels on each side on which one HR pixel depends through a ``centred`` transposed convolution."""
    half, centre = kernel // 2, (scale - 1) // 2
    return max((half + centre) // scale, (half - 1 - centre + scale) // scale)


def zero_bias(conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Sets the bias of a convolution, which has one, to zero."""
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    """3 x 3 convolution that keeps the size (zero padding)."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Centred(nn.Module):
    """RGB in [0, 1] -> range * (RGB - mean), and back with ``inverse``.

    It has no parameters and leaves nothing in checkpoints.
    """

    mean: Tensor

    def __init__(self, value_range: float, mean: tuple[float, float, float] = DIV2K_MEAN) -> None:
        super().__init__()
        self.value_range = value_range
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.value_range

    def inverse(self, x: Tensor) -> Tensor:
        return x / self.value_range + self.mean


class MeanShift(nn.Module):
    """``Centred`` as two trainable 1 x 1 convolutions, initially the same.

    In the code of SAN, HAN and NLSN the mean shift is left trainable by an oversight, so that checkpoints hold weights
    a little off the identity and off the mean; this layer keeps them.
    """

    def __init__(self, value_range: float) -> None:
        super().__init__()
        self.value_range = value_range
        self.before, self.after = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        shift = value_range * torch.tensor(DIV2K_MEAN)
        for conv, bias in ((self.before, -shift), (self.after, shift)):
            conv.weight.data = torch.eye(3)[..., None, None]
            conv.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.before(x * self.value_range)

    def inverse(self, x: Tensor) -> Tensor:
        return self.after(x) / self.value_range


def centring(value_range: float, mean_shift: bool) -> Centred | MeanShift:
    """DIV2K's mean as a constant, or (``mean_shift``) as weights: for checkpoints in which it was trained."""
    return MeanShift(value_range) if mean_shift else Centred(value_range)


class ResidualBlock(nn.Module):
    """EDSR's block (Lim et al., 2017, Figure 2c): x + weight * conv(ReLU(conv(x)))."""

    def __init__(self, features: int, kernel: int = 3, weight: float = 1.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(features, features, kernel, padding=kernel // 2)
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight * self.conv2(self.conv1(x).relu())


class Upsampler(nn.Sequential):
    """Convolution and pixel shuffle (Shi et al., 2016): none for x1, one step for x2 and x3, two steps of x2
    for x4."""

    def __init__(self, features: int, scale: int) -> None:
        steps = {1: (), 2: (2,), 3: (3,), 4: (2, 2)}[scale]
        super().__init__(*(m for s in steps for m in (conv3(features, s * s * features), nn.PixelShuffle(s))))


class OnLuma(nn.Module):
    """Reconstructs Y with a network and up-samples chroma bicubically.

    Input: LR RGB [N, 3, h, w] in [0, 1], or Y alone [N, 1, h, w], which the network gets as it is. Output: SR of
    the same planes, scale times as large, not clamped.
    """

    matrix: Tensor
    inverse: Tensor
    offset: Tensor

    def __init__(self, net: nn.Module, scale: int) -> None:
        super().__init__()
        self.net = net
        self.scale = scale
        matrix = torch.from_numpy(YCBCR)
        self.register_buffer("matrix", matrix.float()[..., None, None], persistent=False)
        self.register_buffer("inverse", matrix.inverse().float()[..., None, None], persistent=False)
        self.register_buffer("offset", torch.from_numpy(OFFSET).float().view(1, 3, 1, 1), persistent=False)

    def forward(self, lr: Tensor) -> Tensor:
        if lr.shape[1] == 1:
            return self.net(lr)
        with full_precision(lr):
            ycc = nn.functional.conv2d(lr, self.matrix) + self.offset
            chroma = bicubic(ycc[:, 1:], self.scale)
        sr = torch.cat([self.net(ycc[:, :1]), chroma], 1)
        with full_precision(sr):
            return nn.functional.conv2d(sr - self.offset, self.inverse)


def rgb(model: nn.Module, scale: int | None = None) -> nn.Module:
    """``srfast.models.rgb``."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model: expected a module, got {model!r}")
    own = getattr(model, "scale", None)
    scale = own if scale is None else scale
    if scale not in PAIR_SCALES or isinstance(scale, bool) or own not in (None, scale):
        expected = f"{own}, the scale of the model" if own in PAIR_SCALES else PAIR_SCALE.expected
        raise InputError(f"scale: expected {expected}, got {scale!r}")
    if isinstance(model, OnLuma) or Descriptor.of(model, scale).color == "rgb":
        return model
    return OnLuma(model, scale).train(model.training)
