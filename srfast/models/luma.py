"""A network of Y as a network of RGB."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srfast.errors import InputError
from srfast.models import layers
from srfast.models.descriptor import Descriptor

# MATLAB's rgb2ycbcr: RGB in [0, 1] -> Y in [16, 235] / 255, Cb and Cr in [16, 240] / 255.
_MATRIX = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
_OFFSET = (16.0, 128.0, 128.0)


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
        matrix = torch.tensor(_MATRIX, dtype=torch.float64) / 255
        self.register_buffer("matrix", matrix.float()[..., None, None], persistent=False)
        self.register_buffer("inverse", matrix.inverse().float()[..., None, None], persistent=False)
        self.register_buffer("offset", torch.tensor(_OFFSET).view(1, 3, 1, 1) / 255, persistent=False)

    def forward(self, lr: Tensor) -> Tensor:
        if lr.shape[1] == 1:
            out: Tensor = self.net(lr)
            return out
        with layers.full_precision(lr):
            ycc = nn.functional.conv2d(lr, self.matrix) + self.offset
            chroma = layers.bicubic(ycc[:, 1:], self.scale)
        sr = torch.cat([self.net(ycc[:, :1]), chroma], 1)
        with layers.full_precision(sr):
            return nn.functional.conv2d(sr - self.offset, self.inverse)


def rgb(model: nn.Module, scale: int | None = None) -> nn.Module:
    """``srfast.models.rgb``."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model: expected a module, got {model!r}")
    own = getattr(model, "scale", None)
    if scale is None:
        scale = own
    if scale not in (2, 3, 4) or isinstance(scale, bool) or own not in (None, scale):
        expected = f"{own}, the scale of the model" if own in (2, 3, 4) else "2, 3 or 4"
        raise InputError(f"scale: expected {expected}, got {scale!r}")
    if isinstance(model, OnLuma) or Descriptor.of(model, scale).color == "rgb":
        return model
    return OnLuma(model, scale).train(model.training)
