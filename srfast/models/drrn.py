"""DRRN: Tai, Yang, Liu, "Image Super-Resolution via Deep Recursive Residual Network" (CVPR 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from srfast.models import layers


class _Activation(nn.Sequential):
    """Batch normalisation and ReLU before a convolution, or ReLU alone."""

    def __init__(self, features: int, normalise: bool) -> None:
        super().__init__(*([nn.BatchNorm2d(features)] if normalise else []), nn.ReLU())


class DRRN(nn.Module):
    """DRRN with one recursive block of U residual units (Section 3, B = 1) on the bicubically up-sampled Y.

    h_0 = conv_1(a(y)); h_u = conv_b(a(conv_a(a(h_(u-1))))) + h_0 for u = 1..U; SR = y + conv_2(a(h_U)), where
    a is batch normalisation and ReLU, different at every place, while the weights and biases of conv_a and
    conv_b are the same in all units; the skip always comes from h_0. 297,601 parameters in the convolutions
    (128 features) whatever U, and 2 + 512 U + 256 in the normalisations. U = 25 (52 layers) is the network of
    the paper's tables, U = 9 (20 layers) the smaller one.

    Input: LR Y [N, 1, h, w] in [0, 1]. Output: SR Y [N, 1, scale * h, scale * w], not clamped.

    Deviations: the up-sampling is part of the module; one network is built for one scale, although nothing
    but the up-sampling depends on it (the authors train x2, x3 and x4 at once); PyTorch's running averages
    (momentum 0.1) stand for Caffe's. In training mode statistics are those of the batch (under torchrun of the
    whole batch on GPUs, of each process's share on CPUs, where PyTorch cannot synchronise them), in evaluation
    mode the running ones.

    Args:
        scale: 2, 3 or 4.
        features: Channels.
        units: U.
        normalise: False leaves batch normalisation out, as the ports to PyTorch do.
        rectified: The skip comes from the positive part of h_0, as in those ports, whose first ReLU works in place.
    """

    def __init__(
        self, scale: int = 2, *, features: int = 128, units: int = 25, normalise: bool = True, rectified: bool = False
    ) -> None:
        super().__init__()
        self.scale = scale
        self.rectified = rectified
        self.receptive = layers.resampled_context(2 * units + 2, scale)
        self.first = nn.Sequential(_Activation(1, normalise), layers.conv3(1, features))
        self.conv_a = layers.conv3(features, features)
        self.conv_b = layers.conv3(features, features)
        self.before_a = nn.ModuleList(_Activation(features, normalise) for _ in range(units))
        self.before_b = nn.ModuleList(_Activation(features, normalise) for _ in range(units))
        self.last = nn.Sequential(_Activation(features, normalise), layers.conv3(features, 1))
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
                layers.zero_bias(conv)

    def forward(self, lr: Tensor) -> Tensor:
        up = layers.bicubic(lr, self.scale)
        first = self.first(up)
        x = first = first.relu() if self.rectified else first
        for before_a, before_b in zip(self.before_a, self.before_b, strict=True):
            x = self.conv_b(before_b(self.conv_a(before_a(x)))) + first
        return up + self.last(x)
