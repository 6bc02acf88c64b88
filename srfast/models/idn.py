"""IDN, the information distillation network.

Hui, Wang, Gao, "Fast and Accurate Single Image Super-Resolution via Information Distillation Network"
(CVPR 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srfast.models import layers

_SLOPE = 0.05


def _conv(inputs: int, outputs: int, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups)
    nn.init.kaiming_normal_(conv.weight, a=_SLOPE)
    layers.zero_bias(conv)
    return nn.Sequential(conv, nn.LeakyReLU(_SLOPE))


class DistillationBlock(nn.Module):
    """Enhancement unit (Figure 2) and compression unit: D channels in and out.

    Three convolutions D -> D-d -> D-2d -> D; the first d channels are kept, the other D-d go through three
    more, D-d -> D -> D-d -> D+d; the sum with [input, kept] is compressed by 1x1 from D+d to D. The second of
    each three has four groups. With D = 64, d = 16: 48, 32, 64; 16 | 48; 64, 48, 80; 64.
    """

    def __init__(self, features: int, kept: int) -> None:
        super().__init__()
        d, k = features, kept
        self.kept = kept
        self.above = nn.Sequential(_conv(d, d - k), _conv(d - k, d - 2 * k, groups=4), _conv(d - 2 * k, d))
        self.below = nn.Sequential(_conv(d - k, d), _conv(d, d - k, groups=4), _conv(d - k, d + k))
        self.compress = _conv(d + k, d, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        short, long = self.above(x).tensor_split([self.kept], dim=1)
        return self.compress(self.below(long) + torch.cat([x, short], 1))


class IDN(nn.Module):
    """IDN of Figure 1: two convolutions, four distillation blocks, a deconvolution, plus the bicubic image.

    552,769 parameters at every scale. All activations are leaky ReLU with slope 0.05.

    Input: LR Y [N, 1, h, w] in [0, 1]. Output: SR Y [N, 1, scale * h, scale * w], not clamped.

    Alignment: the kernel of LR pixel i is centred on HR pixel scale * i + (scale - 1) // 2, the HR pixel at
    or just before the centre of the LR pixel in the bicubic image that it is added to. The authors' network
    returns (n - 1) * scale + 1 pixels, centres the kernel on scale * i of the bicubic image without its first
    scale - 1 rows and columns, and shaves the rest; padding 8 - (scale - 1) // 2 and output padding (scale -
    1) % 2 give the whole image.

    Deviations: the alignment above; the deconvolution starts near zero (N(0, 0.001)), so that training starts
    from bicubic up-sampling.

    Args:
        scale: 2, 3 or 4.
        features: D, a multiple of 4.
        kept: d, channels distilled in every block, a multiple of 4 below D / 2.
        blocks: Distillation blocks.
        kernel: Side of the deconvolution's kernel, odd. The authors' weights, moved to the alignment above, need 19
            at x2 and x3 and 21 at x4.
    """

    def __init__(
        self, scale: int = 2, *, features: int = 64, kept: int = 16, blocks: int = 4, kernel: int = 17
    ) -> None:
        super().__init__()
        self.scale = scale
        self.receptive = 2 + 6 * blocks + layers.deconvolved_context(kernel, scale)
        self.extract = nn.Sequential(_conv(1, features), _conv(features, features))
        self.blocks = nn.Sequential(*(DistillationBlock(features, kept) for _ in range(blocks)))
        self.deconv = nn.ConvTranspose2d(
            features, 1, kernel, stride=scale, padding=kernel // 2 - (scale - 1) // 2, output_padding=(scale - 1) % 2
        )
        nn.init.normal_(self.deconv.weight, std=1e-3)
        layers.zero_bias(self.deconv)

    def forward(self, lr: Tensor) -> Tensor:
        return layers.bicubic(lr, self.scale) + self.deconv(self.blocks(self.extract(lr)))
