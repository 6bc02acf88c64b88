"""EDSR: Lim, Son, Kim, Nah, Lee, "Enhanced Deep Residual Networks for Single Image Super-Resolution" (CVPRW 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from srfast.models import layers


class EDSR(nn.Module):
    """EDSR of Figure 3: B residual blocks without normalisation between two convolutions, pixel shuffle, convolution.

    With B = 32, F = 256 and residual scaling 0.1, the paper's final model: 40,729,603 parameters at x2, 43,680,003
    at x3, 43,089,923 at x4.

    Input: LR RGB [N, 3, h, w] in [0, 1]. Output: SR RGB [N, 3, scale * h, scale * w], not clamped. Inside, 0..255
    less DIV2K's mean, as in the authors' code.

    Deviations: none. The authors start x3 and x4 from x2 (``srfast train --init``).

    Args:
        scale: 2, 3 or 4.
        features: F.
        blocks: B.
        weight: Residual scaling.
        mean_shift: Whether the mean shift has weights, as in ``layers.centring``.
    """

    def __init__(
        self, scale: int = 2, *, features: int = 256, blocks: int = 32, weight: float = 0.1, mean_shift: bool = False
    ) -> None:
        super().__init__()
        self.scale = scale
        self.receptive = 2 * blocks + 4
        self.centred = layers.centring(255, mean_shift)
        self.head = layers.conv3(3, features)
        self.body = nn.Sequential(
            *(layers.ResidualBlock(features, weight=weight) for _ in range(blocks)), layers.conv3(features, features)
        )
        self.tail = nn.Sequential(layers.Upsampler(features, scale), layers.conv3(features, 3))

    def forward(self, lr: Tensor) -> Tensor:
        x = self.head(self.centred(lr))
        return self.centred.inverse(self.tail(x + self.body(x)))


def baseline(
    scale: int = 2, *, features: int = 64, blocks: int = 16, weight: float = 1.0, mean_shift: bool = False
) -> EDSR:
    """EDSR's baseline (Table 1): 16 blocks, 64 features, no residual scaling.

    1,369,859 parameters at x2, 1,554,499 at x3, 1,517,571 at x4; otherwise as ``EDSR``.
    """
    return EDSR(scale, features=features, blocks=blocks, weight=weight, mean_shift=mean_shift)
