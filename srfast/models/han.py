"""HAN: Niu et al., "Single Image Super-Resolution via a Holistic Attention Network" (ECCV 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srfast.models import layers


class ChannelAttentionBlock(nn.Module):
    """RCAN's block (Zhang et al., 2018, Figure 4).

    x + r * sigmoid(W_U ReLU(W_D mean(r))) with r = conv(ReLU(conv(x))), the mean over all positions.
    """

    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        self.conv1 = layers.conv3(features, features)
        self.conv2 = layers.conv3(features, features)
        self.down = nn.Conv2d(features, features // reduction, 1)
        self.up = nn.Conv2d(features // reduction, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv2(self.conv1(x).relu())
        mean = residual.mean((2, 3), keepdim=True)
        return x + residual * self.up(self.down(mean).relu()).sigmoid()


class ResidualGroup(nn.Module):
    """Blocks and a convolution inside a skip."""

    def __init__(self, features: int, blocks: int, reduction: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ChannelAttentionBlock(features, reduction) for _ in range(blocks)))
        self.last = layers.conv3(features, features)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.blocks(x))


class LayerAttention(nn.Module):
    """LAM (Figure 3): stage outputs [N, K, C, h, w] -> gamma * softmax(-E) F + F, E = F F' over C * h * w.

    The paper weights by softmax(E); the authors' code by softmax(max(E) - E), the same as softmax(-E), which
    favours the stages that resemble each other least. The code made the published figures, so it is followed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, stages: Tensor) -> Tensor:
        with layers.full_precision(stages):
            flat = layers.widened(stages.flatten(2))
            weight = (-flat @ flat.transpose(1, 2)).softmax(2)
            mixed = (weight @ flat).view_as(stages)
        return self.gamma * mixed.to(stages.dtype) + stages


class ChannelSpatialAttention(nn.Module):
    """CSAM (Figure 4): x * (1 + gamma * sigmoid(conv(x))), one 3x3x3 filter over channels and positions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 1, 3, padding=1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma * self.conv(x[:, None])[:, 0].sigmoid() * x


class HAN(nn.Module):
    """HAN of Figure 2: RCAN's body (10 groups of 20 blocks, 64 features) and two attentions after it.

    Layer attention mixes the outputs of all groups and of the convolution after them, and a convolution
    brings them back to 64 channels; channel-spatial attention weights the last output; a convolution fuses
    both, the first features are added, and EDSR's up-sampler follows. 15,924,033 parameters at x2, 16,108,673
    at x3, 16,071,745 at x4. Both gammas start at 0, so that training starts without either attention.

    Input: LR RGB [N, 3, h, w] in [0, 1]. Output: SR RGB [N, 3, scale * h, scale * w], not clamped. Inside,
    0..255 less DIV2K's mean. Channel and layer attention span the image: tiles do not reproduce the whole
    exactly.

    Deviations: stages are stacked first to last (last to first in the authors' code: a permutation of
    weights); the energies of layer attention are float32 under autocast, where sums over C * h * w would
    overflow; the body starts at random (the authors start from a trained RCAN).

    PyTorch refuses to convert the module to ``channels_last``, for the Conv3d of channel-spatial attention;
    inputs may have that format.

    Args:
        scale: 2, 3 or 4.
        features: Channels.
        groups: Residual groups.
        blocks: Channel attention blocks in each.
        reduction: Divisor of the channels in channel attention.
        mean_shift: Whether the mean shift has weights, as in ``layers.centring``.
    """

    def __init__(
        self,
        scale: int = 2,
        *,
        features: int = 64,
        groups: int = 10,
        blocks: int = 20,
        reduction: int = 16,
        mean_shift: bool = False,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.receptive = None
        self.centred = layers.centring(255, mean_shift)
        self.head = layers.conv3(3, features)
        self.groups = nn.ModuleList(ResidualGroup(features, blocks, reduction) for _ in range(groups))
        self.after = layers.conv3(features, features)
        self.layer_attention = LayerAttention()
        self.layer_fuse = layers.conv3((groups + 1) * features, features)
        self.channel_spatial = ChannelSpatialAttention()
        self.fuse = layers.conv3(2 * features, features)
        self.tail = nn.Sequential(layers.Upsampler(features, scale), layers.conv3(features, 3))

    def forward(self, lr: Tensor) -> Tensor:
        first = self.head(self.centred(lr))
        x, stages = first, []
        for stage in (*self.groups, self.after):
            x = stage(x)
            stages.append(x)
        hierarchical = self.layer_fuse(self.layer_attention(torch.stack(stages, 1)).flatten(1, 2))
        x = self.fuse(torch.cat([self.channel_spatial(x), hierarchical], 1))
        return self.centred.inverse(self.tail(x + first))
