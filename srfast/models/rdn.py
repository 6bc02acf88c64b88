"""RDN: Zhang, Tian, Kong, Zhong, Fu, "Residual Dense Network for Image Super-Resolution" (CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srfast.models import layers


class ResidualDenseBlock(nn.Module):
    """Figure 3: C densely connected 3x3 convolutions with ReLU, 1x1 local feature fusion, local residual."""

    def __init__(self, features: int, growth: int, convs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(layers.conv3(features + c * growth, growth) for c in range(convs))
        self.fuse = nn.Conv2d(features + convs * growth, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for conv in self.convs:
            seen.append(conv(torch.cat(seen, 1)).relu())
        return x + self.fuse(torch.cat(seen, 1))


class RDN(nn.Module):
    """RDN of Figure 2 with D = 16 blocks of C = 8 convolutions, growth G = 64, G0 = 64 features.

    Two shallow convolutions; D residual dense blocks; the outputs of all blocks fused by 1x1 and 3x3 and
    added to the output of the first shallow convolution (global residual); convolution, pixel shuffle (x4:
    twice x2), convolution. 22,123,395 parameters at x2, 22,308,035 at x3, 22,271,107 at x4.

    Input: LR RGB [N, 3, h, w] in [0, 1]. Output: SR RGB [N, 3, scale * h, scale * w], not clamped. Inside,
    the range is 0..255 less DIV2K's mean, as in the authors' own code.

    Args:
        scale: 2, 3 or 4.
        features: G0.
        growth: G.
        blocks: D.
        convs: C.
        subtract_mean: False: the range is 0..255, as in the ports to PyTorch whose weights are public.
    """

    def __init__(
        self,
        scale: int = 2,
        *,
        features: int = 64,
        growth: int = 64,
        blocks: int = 16,
        convs: int = 8,
        subtract_mean: bool = True,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.receptive = blocks * convs + 5
        self.centred = layers.Centred(255, layers.DIV2K_MEAN if subtract_mean else (0.0, 0.0, 0.0))
        self.shallow1 = layers.conv3(3, features)
        self.shallow2 = layers.conv3(features, features)
        self.blocks = nn.ModuleList(ResidualDenseBlock(features, growth, convs) for _ in range(blocks))
        self.fuse = nn.Sequential(nn.Conv2d(blocks * features, features, 1), layers.conv3(features, features))
        self.up = nn.Sequential(layers.Upsampler(features, scale), layers.conv3(features, 3))

    def forward(self, lr: Tensor) -> Tensor:
        first = self.shallow1(self.centred(lr))
        x = self.shallow2(first)
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return self.centred.inverse(self.up(self.fuse(torch.cat(outputs, 1)) + first))
