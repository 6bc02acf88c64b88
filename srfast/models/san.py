"""SAN, the second-order attention network.

Dai, Cai, Zhang, Xia, Zhang, "Second-order Attention Network for Single Image Super-Resolution" (CVPR 2019).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srfast.models import layers

_SMALLEST_TRACE = 1e-12


def covariance(x: Tensor) -> Tensor:
    """Channel covariance [N, C, C] of features [N, C, h, w]: X (1/s) (I - 11'/s) X' over s positions."""
    flat = x.flatten(2)
    flat = flat - flat.mean(2, keepdim=True)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def sqrt_newton_schulz(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Square roots of positive semi-definite matrices [N, C, C] by coupled Newton-Schulz iterations.

    A = matrix / trace; Y_0 = A, Z_0 = I; T = (3 I - Z Y) / 2, Y <- Y T, Z <- T Z; the result is sqrt(trace) *
    Y. It converges where ||A - I|| < 1, which dividing by the trace guarantees; small eigenvalues converge
    last. A zero matrix gives zero.
    """
    trace = matrix.diagonal(dim1=1, dim2=2).sum(1).clamp_min(_SMALLEST_TRACE)[:, None, None]
    eye = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    y, z = matrix / trace, eye.expand_as(matrix)
    for _ in range(iterations):
        t = (3 * eye - z @ y) / 2
        y, z = y @ t, t @ z
    return y * trace.sqrt()


class SecondOrderAttention(nn.Module):
    """SOCA (Figure 3): x * sigmoid(W_U ReLU(W_D z)), z the row means of the covariance's square root."""

    def __init__(self, features: int, reduction: int, crop: int) -> None:
        super().__init__()
        self.crop = crop
        self.down = nn.Conv2d(features, features // reduction, 1)
        self.up = nn.Conv2d(features // reduction, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        top, left = (max(0, n - self.crop) // 2 for n in x.shape[-2:])
        with layers.full_precision(x):
            centre = layers.widened(x[..., top : top + self.crop, left : left + self.crop])
            z = sqrt_newton_schulz(covariance(centre)).mean(2)[..., None, None]
        return x * self.up(self.down(z.to(x.dtype)).relu()).sigmoid()


class SourceAttentionGroup(nn.Module):
    """LSRAG (Figure 2): residual blocks, SOCA, a convolution, and the local-source skip."""

    def __init__(self, features: int, blocks: int, reduction: int, crop: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(layers.ResidualBlock(features) for _ in range(blocks)))
        self.attention = SecondOrderAttention(features, reduction, crop)
        self.last = layers.conv3(features, features)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.attention(self.blocks(x)))


class RegionNonLocal(nn.Module):
    """RL-NL: an embedded-Gaussian non-local block, x + W softmax(theta' phi) g, in each of 2 x 2 regions.

    Keys phi and values g are max-pooled 2 x 2, a last odd row or column left out, as in the authors' code
    (the paper does not say so); along a side of one pixel they are not. The block is the same in all regions
    and W starts at zero.
    """

    def __init__(self, features: int, inner: int) -> None:
        super().__init__()
        self.theta, self.phi, self.g = (nn.Conv2d(features, inner, 1) for _ in range(3))
        self.w = nn.Conv2d(inner, features, 1)
        nn.init.zeros_(self.w.weight)
        layers.zero_bias(self.w)

    def attend(self, x: Tensor) -> Tensor:
        """The block on one region [N, C, h, w]."""
        pool = (min(2, x.shape[2]), min(2, x.shape[3]))
        maps = (self.theta(x), F.max_pool2d(self.phi(x), pool), F.max_pool2d(self.g(x), pool))
        query, key, value = (m.flatten(2).transpose(1, 2) for m in maps)
        y = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.w(y.transpose(1, 2).reshape(len(x), -1, *x.shape[2:]))

    def forward(self, x: Tensor) -> Tensor:
        rows = []
        for half in x.tensor_split([x.shape[2] // 2], dim=2):
            parts = half.tensor_split([x.shape[3] // 2], dim=3)
            rows.append(torch.cat([self.attend(p) if p.numel() else p for p in parts], 3))
        return torch.cat(rows, 2)


class SAN(nn.Module):
    """SAN of Figure 2: G = 20 groups of m = 10 residual blocks, 64 features, non-local blocks around them.

    F_0 = conv(x); F_g = LSRAG_g(F_(g-1)) + gamma * RL-NL(F_0), starting from RL-NL(F_0), with one learned
    gamma (0 at first) as share-source skip; SR = conv(shuffle(F_0 + RL-NL(F_G))).

    Input: LR RGB [N, 3, h, w] in [0, 1]. Output: SR RGB [N, 3, scale * h, scale * w], not clamped. Inside,
    0..255 less DIV2K's mean. The covariances and the regions span the image: tiles do not reproduce the whole
    exactly.

    15,674,732 parameters at x2. The authors' code counts 38,068 more that never train or never reach its
    output, and so are left out here: a convolution after the groups (36,928), a SOCA inside the non-local
    module (1,096), a gamma in each of the 20 groups, the mean shift as 24 constants. A parameter without
    gradient also stops distributed training.

    Deviations: the crop for the covariance applies to each axis by itself (the authors' cases miss an axis of
    exactly 1000); covariances and square roots are float32 under autocast; centring replaces the product with
    an s x s matrix (equal, without its memory); an image of one row or column leaves empty regions out, and a
    region of one row or column pools along the other side alone (the authors' stop on both).

    Args:
        scale: 2, 3 or 4.
        features: Channels; ``inner`` of them in the non-local block.
        groups: G.
        blocks: m.
        reduction: Divisor of the channels in SOCA.
        inner: Channels of theta, phi and g; features / 8 in the paper.
        crop: Largest height and width, around the centre, that a covariance is taken over.
        mean_shift: Whether the mean shift has weights, as in ``layers.centring``.
    """

    def __init__(
        self,
        scale: int = 2,
        *,
        features: int = 64,
        groups: int = 20,
        blocks: int = 10,
        reduction: int = 16,
        inner: int = 8,
        crop: int = 1000,
        mean_shift: bool = False,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.receptive = None
        self.centred = layers.centring(255, mean_shift)
        self.head = layers.conv3(3, features)
        self.non_local = RegionNonLocal(features, inner)
        self.groups = nn.ModuleList(SourceAttentionGroup(features, blocks, reduction, crop) for _ in range(groups))
        self.gamma = nn.Parameter(torch.zeros(1))
        self.tail = nn.Sequential(layers.Upsampler(features, scale), layers.conv3(features, 3))

    def forward(self, lr: Tensor) -> Tensor:
        first = self.head(self.centred(lr))
        source = self.non_local(first)
        x = source
        for group in self.groups:
            x = group(x) + self.gamma * source
        return self.centred.inverse(self.tail(first + self.non_local(x)))
