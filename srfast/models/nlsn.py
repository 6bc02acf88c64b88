"""NLSN: Mei, Fan, Zhou, "Image Super-Resolution with Non-Local Sparse Attention" (CVPR 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srfast.models import layers

_MOST_BUCKETS = 128


def attend_in_chunks(query: Tensor, key: Tensor, value: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """Attention of positions that lie next to each other in a sorted sequence.

    Every position attends to its own chunk, the one before and the one after (circular; each counted once
    when there are fewer than three). Padding at the end of the last chunk is masked.

    Args:
        query, key: [N, L, C].
        value: [N, L, D].
        chunk: Positions in a chunk.

    Returns:
        Output [N, L, D] and the log of each position's normaliser [N, L].
    """
    n, length, _ = query.shape
    chunk = min(chunk, length)
    pad = -length % chunk
    query, key, value = (F.pad(t, (0, 0, 0, pad)).view(n, -1, chunk, t.shape[2]) for t in (query, key, value))
    valid = (torch.arange(length + pad, device=query.device) < length).view(1, -1, 1, chunk)
    shifts = (0, 1, -1)[: min(query.shape[1], 3)]
    key, value = (torch.cat([t.roll(s, 1) for s in shifts], 2) for t in (key, value))
    valid = torch.cat([valid.roll(s, 1) for s in shifts], 3)
    score = (query @ key.transpose(2, 3)).masked_fill(~valid, -torch.inf)
    normaliser = score.logsumexp(3, keepdim=True)
    out = (score - normaliser).exp() @ value
    return out.flatten(1, 2)[:, :length], normaliser.flatten(1)[:, :length]


class SparseAttention(nn.Module):
    """Non-local sparse attention (Section 3): attention within buckets of a spherical hash.

    Features are hashed by argmax of [R x, -R x], R a random rotation drawn from N(0, 1); positions are sorted
    by hash and attend within chunks (``attend_in_chunks``) with weights softmax(x_i . x_j / |x_j|). Rounds
    with different rotations are averaged with weights proportional to their normalisers. The number of
    buckets is L / chunk made even, at most 128.

    In training mode rotations come from the global generator; in evaluation mode from a generator seeded with
    ``seed``, the same at every call and on every device, so that an image always gives the same result.
    """

    def __init__(self, features: int, reduction: int, chunk: int, rounds: int, weight: float, seed: int = 0) -> None:
        super().__init__()
        self.match = layers.conv3(features, features // reduction)
        self.value = nn.Conv2d(features, features, 1)
        self.chunk, self.rounds, self.weight, self.seed = chunk, rounds, weight, seed

    def rotations(self, like: Tensor, buckets: int) -> Tensor:
        """[rounds, C, buckets / 2] for features [N, L, C]."""
        shape = (self.rounds, like.shape[2], buckets // 2)
        if self.training:
            return torch.randn(shape, dtype=like.dtype, device=like.device)
        return torch.randn(shape, generator=torch.Generator().manual_seed(self.seed)).to(like)

    def orders(self, x: Tensor) -> list[Tensor]:
        """For each round, positions [N, L] sorted by hash; for a single chunk, one round in given order."""
        length = x.shape[1]
        if length <= self.chunk:
            return [torch.arange(length, device=x.device).expand(len(x), -1)]
        buckets = length // self.chunk
        rotated = x[:, None] @ self.rotations(x, min(buckets + buckets % 2, _MOST_BUCKETS))
        codes = torch.cat([rotated, -rotated], 3).argmax(3)  # [N, rounds, L]
        return list(codes.argsort(dim=2, stable=True).unbind(1))

    def attend(self, x: Tensor, value: Tensor) -> Tensor:
        """[N, L, C] embedded and [N, L, D] assembled features -> [N, L, D]."""
        key = F.normalize(x, dim=2, eps=5e-5)
        outs, normalisers = [], []
        for order in self.orders(x.detach()):
            back = order.argsort(1)
            query, near, assembled = (torch.take_along_dim(t, order[..., None], 1) for t in (x, key, value))
            out, normaliser = attend_in_chunks(query, near, assembled, self.chunk)
            outs.append(torch.take_along_dim(out, back[..., None], 1))
            normalisers.append(torch.take_along_dim(normaliser, back, 1))
        share = torch.stack(normalisers).softmax(0)[..., None]
        return (torch.stack(outs) * share).sum(0)

    def forward(self, x: Tensor) -> Tensor:
        embedded, value = (p(x).flatten(2).transpose(1, 2) for p in (self.match, self.value))
        with layers.full_precision(x):
            out = self.attend(layers.widened(embedded), layers.widened(value))
        return x + self.weight * out.transpose(1, 2).reshape(x.shape).to(x.dtype)


class NLSN(nn.Module):
    """NLSN (Section 3): EDSR's 32 blocks of 256 features, sparse attention first and after every eighth.

    41,796,163 parameters at x2, 44,746,563 at x3, 44,156,483 at x4.

    Input: LR RGB [N, 3, h, w] in [0, 1]. Output: SR RGB [N, 3, scale * h, scale * w], not clamped. Inside,
    DIV2K's mean is subtracted and the range stays 1. The hash sorts positions of the whole image: tiles do
    not reproduce it exactly.

    Deviations: evaluation is deterministic (``SparseAttention``; the authors draw rotations at every
    forward); the last chunk is padded with masked positions (theirs repeats the last ones, which then count
    twice); with one or two chunks no chunk counts more than once; images of at most one chunk (12 x 12), for
    which theirs has no bucket, get full attention; attention is float32 under autocast.

    Args:
        scale: 2, 3 or 4.
        features: Channels.
        blocks: Residual blocks.
        every: Blocks between attention modules.
        reduction: Divisor of the channels of the hashed features.
        chunk: Positions in a chunk.
        rounds: Hash rounds.
        weight: Residual scaling of blocks and attention.
        mean_shift: Whether the mean shift has weights, as in ``layers.centring``.
    """

    def __init__(
        self,
        scale: int = 2,
        *,
        features: int = 256,
        blocks: int = 32,
        every: int = 8,
        reduction: int = 4,
        chunk: int = 144,
        rounds: int = 4,
        weight: float = 0.1,
        mean_shift: bool = False,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.receptive = None
        self.centred = layers.centring(1, mean_shift)
        self.head = layers.conv3(3, features)
        body: list[nn.Module] = [SparseAttention(features, reduction, chunk, rounds, weight)]
        for i in range(blocks):
            body.append(layers.ResidualBlock(features, weight=weight))
            if (i + 1) % every == 0:
                body.append(SparseAttention(features, reduction, chunk, rounds, weight, seed=i + 1))
        self.body = nn.Sequential(*body, layers.conv3(features, features))
        self.tail = nn.Sequential(layers.Upsampler(features, scale), layers.conv3(features, 3))

    def forward(self, lr: Tensor) -> Tensor:
        x = self.head(self.centred(lr))
        return self.centred.inverse(self.tail(x + self.body(x)))
