"""FSRCNN: Dong, Loy, Tang, "Accelerating the Super-Resolution Convolutional Neural Network" (ECCV 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from srfast.models import autograd, layers


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    if kernel == 1:  # padding by replication copies its input even where it adds nothing
        return nn.Conv2d(inputs, outputs, 1)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="replicate")


class FSRCNN(nn.Module):
    """FSRCNN(d, s, m) of Figure 2: 5x5 extraction, 1x1 shrinking, 3x3 mappings, 1x1 expansion, deconvolution.

    12,809 parameters with d = 56, s = 12, m = 4; the scale is in the deconvolution's stride alone.

    Input: LR Y [N, 1, h, w] in [0, 1]. Output: SR Y [N, 1, scale * h, scale * w], not clamped.

    Alignment: bicubic down-sampling puts the centre of LR pixel i at HR coordinate scale * i + (scale - 1) /
    2. The kernel is centred on HR pixel scale * i + (scale - 1) // 2: exact at x3, half a pixel before at x2
    and x4, where no odd kernel can be symmetric and the weights learn the rest. The authors' network centres
    it on scale * i and returns (n - 1) * scale + 1 pixels; a padding of 4 as in common re-implementations
    leaves x3 and x4 one pixel further off.

    Deviations: the size and alignment above; the deconvolution sees features replicated beyond the border
    (the authors' test code replicates in every convolution, as here, and shaves what the deconvolution
    lacks), so that the border is as good as the rest; a PReLU follows every mapping convolution; the slopes
    are per channel, 0.25 at first.

    Args:
        scale: 2, 3 or 4.
        features: d, channels of the extraction and of the deconvolution.
        shrunk: s, channels of the mappings.
        mappings: m.
        kernel: Side of the deconvolution's kernel, odd. The authors' weights, moved to the alignment above, need 11
            at x3 and x4.
    """

    def __init__(
        self, scale: int = 2, *, features: int = 56, shrunk: int = 12, mappings: int = 4, kernel: int = 9
    ) -> None:
        super().__init__()
        self.scale = scale
        self.receptive = 2 + mappings + layers.deconvolved_context(kernel, scale)
        body = [_conv(1, features, 5), autograd.PReLU(features), _conv(features, shrunk, 1), autograd.PReLU(shrunk)]
        for _ in range(mappings):
            body += [_conv(shrunk, shrunk, 3), autograd.PReLU(shrunk)]
        self.body = nn.Sequential(*body, _conv(shrunk, features, 1), autograd.PReLU(features))
        self.deconv = nn.ConvTranspose2d(features, 1, kernel, stride=scale)
        for conv in self.body:
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_normal_(conv.weight, a=0.25)
                layers.zero_bias(conv)
        nn.init.normal_(self.deconv.weight, std=1e-3)
        layers.zero_bias(self.deconv)

    def forward(self, lr: Tensor) -> Tensor:
        assert self.deconv.bias is not None
        return autograd.upsample(self.body(lr), self.deconv.weight, self.deconv.bias, self.scale)
