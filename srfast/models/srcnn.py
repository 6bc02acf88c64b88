"""SRCNN: Dong et al., "Image Super-Resolution Using Deep Convolutional Networks" (ECCV 2014, TPAMI 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from srfast.models import autograd, layers


class SRCNN(nn.Module):
    """Three layers on the bicubically up-sampled Y: 9x9x64, 1x1x32, 5x5x1 (eq. 1-3); 8,129 parameters.

    9-3-5 has 24,513 parameters, 9-5-5 57,281.

    Input: LR Y [N, 1, h, w] in [0, 1]. Output: SR Y [N, 1, scale * h, scale * w], not clamped.

    Deviations: the up-sampling is part of the module, and every layer pads by replication, which the authors'
    test code does too (``imfilter(..., 'replicate')``); zero padding would lose several dB near borders.
    Weights start from He's initialisation instead of N(0, 0.001), because Adam is used instead of SGD.

    Args:
        scale: 2, 3 or 4.
        kernels: Sides of the three kernels, odd.
    """

    def __init__(self, scale: int = 2, *, kernels: Sequence[int] = (9, 1, 5)) -> None:
        super().__init__()
        self.scale = scale
        self.receptive = layers.resampled_context(sum(k // 2 for k in kernels), scale)
        first, second, third = kernels
        self.conv1 = nn.Conv2d(1, 64, first)
        self.conv2 = nn.Conv2d(64, 32, second)
        self.conv3 = nn.Conv2d(32, 1, third)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            layers.zero_bias(conv)
        nn.init.normal_(self.conv3.weight, std=1e-3)
        layers.zero_bias(self.conv3)

    def enhance(self, up: Tensor) -> Tensor:
        """The bare network: up-sampled Y [N, 1, H, W] in [0, 1] -> SR of the same size."""
        x = _replicated(self.conv1, up).relu_()
        x = _replicated(self.conv2, x).relu_()
        assert self.conv3.bias is not None
        return autograd.to_plane(x, self.conv3.weight, self.conv3.bias)

    def forward(self, lr: Tensor) -> Tensor:
        return self.enhance(layers.bicubic(lr, self.scale))


def _replicated(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The convolution of an image continued by its border pixels."""
    half = conv.kernel_size[0] // 2
    return conv(F.pad(x, (half,) * 4, mode="replicate") if half else x)
