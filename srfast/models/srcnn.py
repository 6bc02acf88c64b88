"""SRCNN: Dong et al., "Image Super-Resolution Using Deep Convolutional Networks" (ECCV 2014, TPAMI 2016)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from srfast.models import autograd, layers


class SRCNN(nn.Module):
    """Three layers on the bicubically up-sampled Y: 9x9x64, 1x1x32, 5x5x1 (eq. 1-3); 8,129 parameters.

    Input: LR Y [N, 1, h, w] in [0, 1]. Output: SR Y [N, 1, scale * h, scale * w], not clamped.

    Deviations: the up-sampling is part of the module, and every layer pads by replication, which the authors'
    test code does too (``imfilter(..., 'replicate')``); zero padding would lose several dB near borders.
    Weights start from He's initialisation instead of N(0, 0.001), because Adam is used instead of SGD.
    """

    def __init__(self, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.receptive = layers.resampled_context(6, scale)
        self.conv1 = nn.Conv2d(1, 64, 9)
        self.conv2 = nn.Conv2d(64, 32, 1)
        self.conv3 = nn.Conv2d(32, 1, 5)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
        nn.init.normal_(self.conv3.weight, std=1e-3)
        nn.init.zeros_(self.conv3.bias)

    def enhance(self, up: Tensor) -> Tensor:
        """The bare network: up-sampled Y [N, 1, H, W] in [0, 1] -> SR of the same size."""
        x = self.conv1(F.pad(up, (4, 4, 4, 4), mode="replicate")).relu_()
        x = self.conv2(x).relu_()
        assert self.conv3.bias is not None
        return autograd.upsample(x, self.conv3.weight.flip(2, 3).transpose(0, 1), self.conv3.bias, 1)

    def forward(self, lr: Tensor) -> Tensor:
        return self.enhance(layers.bicubic(lr, self.scale))
