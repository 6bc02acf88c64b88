"""IGNN, the cross-scale internal graph neural network.

Zhou, Zhang, Zuo, Loy, "Cross-Scale Internal Graph Neural Network for Image Super-Resolution" (NeurIPS 2020).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srfast.errors import InputError, RunError, inside
from srfast.models import layers
from srfast.models.loading import load_state

_INITIAL = 0.1
_PATCH = 3
_STRIDE = 2
_EPS = 1e-5
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def covering(size: tuple[int, int], unit: int = 1) -> list[int]:
    """Padding (left, right, top, bottom) with which patches of 3 every 2 cover a map, times ``unit``."""
    pads = []
    for n in reversed(size):
        missing = -(n - _PATCH) % _STRIDE
        pads += [missing // 2 * unit, (missing + 1) // 2 * unit]
    return pads


def unfold(x: Tensor, size: tuple[int, int], unit: int = 1) -> Tensor:
    """Patches [N, C * (3 unit)^2, number], every 2 ``unit``, of a map of ``size`` * ``unit``, zero-padded."""
    return F.unfold(F.pad(x, covering(size, unit)), _PATCH * unit, stride=_STRIDE * unit)


def fold(patches: Tensor, size: tuple[int, int], unit: int = 1) -> Tensor:
    """The map [N, C, h * unit, w * unit] of which ``patches`` are the patches; overlaps are averaged."""
    left, right, top, bottom = covering(size, unit)
    h, w = size[0] * unit, size[1] * unit
    whole = (top + h + bottom, left + w + right)
    # Every patch counts once wherever it lies: one channel of ones is enough for the divisor.
    ones = torch.ones_like(patches[:1, : (_PATCH * unit) ** 2])
    total, count = (F.fold(p, whole, _PATCH * unit, stride=_STRIDE * unit) for p in (patches, ones))
    return (total / count)[..., top : top + h, left : left + w]


def patch_grid(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the patches of a map."""
    h, w = ((n - _PATCH + -(n - _PATCH) % _STRIDE) // _STRIDE + 1 for n in size)
    return h, w


def window_start(index: int, scale: int, window: int, available: int) -> int:
    """First patch, along one axis, of the search window of patch ``index`` of the larger image.

    The authors' code halves the index at every scale and goes back by window / scale: at x2 the window is centred
    on the patch, at x3 it starts behind it for most of the image.
    """
    return min(max(index // 2 - window // scale, 0), available - window)


def nearest(query: Tensor, database: Tensor, scale: int, neighbours: int, window: int) -> tuple[Tensor, Tensor]:
    """Graph construction: for each patch of ``query`` the most similar of ``database`` within a window.

    They are features of the LR image [N, E, h, w], and of the LR image down-sampled by the scale of the graph. The
    window is a square of ``window`` patches, no larger than the smaller side of the image; an image of at most so many
    patches along both sides is searched whole. Returns indices [N, k, M] into the patches of ``database``, nearest
    first, for the M patches of ``query`` (k is ``neighbours``; fewer where the window holds fewer), and edge labels [N,
    k, E, M], the absolute differences of both patches summed over their 3 x 3 positions.
    """
    size = (query.shape[2], query.shape[3])
    small = (database.shape[2], database.shape[3])
    rows, cols = patch_grid(size)
    small_rows, small_cols = patch_grid(small)
    q = unfold(query, size).transpose(1, 2)  # [N, M, 9E]
    d = unfold(database, small).transpose(1, 2)  # [N, n, 9E]
    high, wide = small_rows, small_cols
    if window < max(high, wide):
        high = wide = min(window, high, wide)
    k = min(neighbours, high * wide)

    lefts = torch.tensor([window_start(j, scale, wide, small_cols) for j in range(cols)], device=q.device)
    column = torch.arange(small_cols, device=q.device)
    outside = (column < lefts[:, None]) | (column >= lefts[:, None] + wide)  # [cols, small_cols]
    outside = outside.repeat(1, high)
    norms = d.square().sum(2)
    chosen = []
    for i in range(rows):
        top = window_start(i, scale, high, small_rows)
        part = slice(top * small_cols, (top + high) * small_cols)
        # |q - d|^2 less |q|^2, which does not change the order.
        distance = norms[:, None, part] - 2 * q[:, i * cols : (i + 1) * cols] @ d[:, part].transpose(1, 2)
        nearest_in_row = distance.masked_fill(outside, torch.inf).topk(k, dim=2, largest=False, sorted=True).indices
        chosen.append(nearest_in_row + part.start)
    index = torch.cat(chosen, 1).transpose(1, 2)  # [N, k, M]
    labels = []
    for r in range(k):
        difference = (q - torch.take_along_dim(d, index[:, r, :, None], 1)).abs()
        labels.append(difference.transpose(1, 2).unflatten(1, (query.shape[1], -1)).sum(2))
    return index, torch.stack(labels, 1)


def aggregate(x: Tensor, index: Tensor, scale: int) -> Tensor:
    """Patch aggregation of one neighbour: an HR map [N, C, scale * h, scale * w] made of LR patches.

    Patch p of 3 x 3 pixels of the LR map ``x`` [N, C, h, w] becomes the 3 scale x 3 scale patch of ``x`` that the
    chosen patch of the down-sampled image, ``index`` [N, M], shows, with the mean and the standard deviation, per
    channel, of patch p (adaptive patch normalisation); overlaps are averaged. Rows and columns beyond a multiple of
    ``scale`` are no examples, but get some.
    """
    n, c, h, w = x.shape
    large = unfold(x[..., : h // scale * scale, : w // scale * scale], (h // scale, w // scale), scale)
    large = torch.take_along_dim(large, index[:, None], 2).view(n, c, -1, index.shape[1])
    own = unfold(x, (h, w)).view(n, c, -1, index.shape[1])
    large = (large - large.mean(2, keepdim=True)) * (large.var(2, keepdim=True) + _EPS).rsqrt()
    large = large * (own.var(2, keepdim=True) + _EPS).sqrt() + own.mean(2, keepdim=True)
    return fold(large.flatten(1, 2), (h, w), scale)


class Matcher(nn.Module):
    """VGG19 up to relu1_2 (torchvision's features 0 to 3), frozen: RGB [N, 3, h, w] -> [N, 64, h, w].

    The weights come from ``load`` or with the state dict of the whole network; without either, matching would
    be arbitrary, so ``forward`` refuses.
    """

    loaded: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = layers.conv3(3, 64)
        self.conv2 = layers.conv3(64, 64)
        self.requires_grad_(False)
        self.register_buffer("loaded", torch.tensor(False))
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def load(self, path: str | Path) -> None:
        """Takes the two convolutions from a state dict of torchvision's ``vgg19``, .safetensors or .pth, whole or its
        features alone. Raises InputError if the file is missing or unreadable, or holds other weights."""
        with inside("matcher: "):
            weights = load_state(path)
        for conv, number in ((self.conv1, 0), (self.conv2, 2)):
            for kind, parameter in conv.named_parameters():
                name = f"features.{number}.{kind}"
                value = weights.get(name, weights.get(f"{number}.{kind}"))
                if value is None or value.shape != parameter.shape:
                    came = "nothing" if value is None else tuple(value.shape)
                    raise InputError(f"matcher: expected {name} {tuple(parameter.shape)} in {path}, got {came}")
                parameter.data.copy_(value)
        self.loaded.fill_(1)

    def forward(self, rgb: Tensor) -> Tensor:
        if not self.loaded:
            raise RunError(
                "ignn: the VGG19 matcher has no weights",
                hint="pass matcher=PATH (a state dict of torchvision's "
                "vgg19), call model.matcher.load(PATH), or load a checkpoint of ignn",
            )
        return self.conv2(self.conv1((rgb - self.mean) / self.std).relu()).relu()


class GraphAggregation(nn.Module):
    """GraphAgg (Figure 2): features and graph -> enriched LR and HR features.

    Each of the k neighbours gives an HR map (``aggregate``); an edge-conditioned network of 1x1 convolutions
    turns the edge label into a score, softmax over the neighbours into weights, and the weighted maps are
    summed: the HR features. Brought back to LR by a strided 5x5 and two 3x3 convolutions, with weights of a
    second such network, they are the LR features. Labels are constant over scale x scale blocks, so both
    networks run at LR.
    """

    def __init__(self, features: int, scale: int, weight: float = 0.1) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Sequential(
            nn.Conv2d(features, features, 5, stride=scale, padding=2),
            nn.ReLU(),
            layers.conv3(features, features),
            nn.ReLU(),
            layers.conv3(features, features),
        )
        self.score_lr, self.score_hr = (
            nn.Sequential(nn.Conv2d(64, 64, 1), layers.ResidualBlock(64, kernel=1, weight=weight), nn.Conv2d(64, 1, 1))
            for _ in range(2)
        )

    def forward(self, x: Tensor, index: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        size = (x.shape[2], x.shape[3])
        count = labels.shape[1]
        patches = labels.flatten(0, 1).repeat_interleave(_PATCH**2, 1)  # [N k, E * 9, M]
        labels = fold(patches, size)
        lr_weight, hr_weight = (s(labels).unflatten(0, (-1, count)).softmax(1) for s in (self.score_lr, self.score_hr))
        lr, hr = torch.zeros_like(x), x.new_zeros(*x.shape[:2], size[0] * self.scale, size[1] * self.scale)
        for r in range(count):
            neighbour = aggregate(x, index[:, r], self.scale)
            lr = lr + lr_weight[:, r] * self.down(neighbour)
            hr = hr + F.interpolate(hr_weight[:, r], scale_factor=self.scale, mode="nearest") * neighbour
        return lr, hr


class IGNN(nn.Module):
    """IGNN of Figure 2: EDSR (32 blocks, 256 features) with a cross-scale graph after half its blocks.

    For each 3x3 patch (stride 2) of the LR image the k = 5 nearest patches of the image down-sampled once
    more are found in VGG19 features within a window of 30 x 30 patches; the LR patches that these show,
    ``scale`` times larger, are HR examples. They are aggregated on the network's features
    (``GraphAggregation``): the LR result is fused into the second half of the body, the HR result into the
    up-sampled features. At x4 the graph works at x2 and a second up-sampling by 2 follows.

    Input: LR RGB [N, 3, h, w] in [0, 1]. Output: SR RGB [N, 3, scale * h, scale * w], not clamped. Inside,
    0..255 less DIV2K's mean. The search window and the patches at the border depend on the whole image: tiles
    do not reproduce it exactly. 47,152,197 parameters at x2, 50,102,597 at x3, 49,512,517 at x4, 38,720 of
    them the frozen matcher's; no published count was found to hold these against.

    The matcher needs VGG19's ImageNet weights, which do not come with this package. Without them the network
    is built, moves, saves and loads, but ``forward`` raises RunError: random features would find random
    neighbours and train or evaluate to a plausible, worse network. A checkpoint of this network holds them.

    Deviations: the down-sampled image is made inside (MATLAB's bicubic, of the image without the rows and columns
    beyond a multiple of the graph's scale); with fewer patches than k, all of them are neighbours, and an image
    too small for one patch is continued by replication (the authors' stop at both); edge networks run at LR (equal,
    less work); matching is float32 under autocast and takes no gradient. Weights start as the authors' do, He's
    initialisation times 0.1, but for the matcher: their training script draws it anew like the rest, so that a
    network trained by it matches with random features. Its checkpoints hold what it matched with.

    Args:
        scale: 2, 3 or 4.
        features: Channels.
        blocks: Residual blocks, half before the graph.
        neighbours: k.
        window: Side of the search window, in patches.
        weight: Residual scaling.
        matcher: File with VGG19's weights (``Matcher.load``).

    Raises:
        InputError: ``matcher`` is not such a file.
    """

    def __init__(
        self,
        scale: int = 2,
        *,
        features: int = 256,
        blocks: int = 32,
        neighbours: int = 5,
        window: int = 30,
        weight: float = 0.1,
        matcher: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.graph_scale = 2 if scale == 4 else scale
        self.receptive = None
        self.neighbours, self.window = neighbours, window
        self.centred = layers.Centred(255)
        self.matcher = Matcher()
        if matcher is not None:
            self.matcher.load(matcher)
        half = blocks // 2
        self.head = layers.conv3(3, features)
        self.body1 = nn.Sequential(*(layers.ResidualBlock(features, weight=weight) for _ in range(half)))
        self.aggregation = GraphAggregation(features, self.graph_scale, weight=weight)
        self.fuse_lr = nn.Sequential(layers.conv3(2 * features, features), nn.ReLU(), layers.conv3(features, features))
        self.body2 = nn.Sequential(
            *(layers.ResidualBlock(features, weight=weight) for _ in range(blocks - half)),
            layers.conv3(features, features),
        )
        self.up = layers.Upsampler(features, self.graph_scale)
        self.fuse_hr = nn.Sequential(
            layers.conv3(2 * features, features), nn.ReLU(), layers.conv3(features, features), nn.ReLU()
        )
        more = [layers.Upsampler(features, 2)] if scale == 4 else []
        self.tail = nn.Sequential(*more, layers.conv3(features, 3))
        for name, conv in self.named_modules():
            if isinstance(conv, nn.Conv2d) and not name.startswith("matcher."):
                nn.init.kaiming_normal_(conv.weight)
                conv.weight.data *= _INITIAL
                layers.zero_bias(conv)

    @torch.no_grad()
    def graph(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Indices and edge labels (``nearest``) of an image [N, 3, h, w], twice the graph's scale or larger."""
        s = self.graph_scale
        with layers.full_precision(rgb):
            small = layers.bicubic(rgb[..., : rgb.shape[2] // s * s, : rgb.shape[3] // s * s], 1 / s)
            query, database = self.matcher(rgb), self.matcher(small)
            return nearest(query, database, s, self.neighbours, self.window)

    def forward(self, lr: Tensor) -> Tensor:
        h, w = lr.shape[-2:]
        # The down-sampled image needs two pixels for a patch (a third is padding).
        bottom, right = (max(0, 2 * self.graph_scale - n) for n in (h, w))
        rgb = F.pad(lr, (0, right, 0, bottom), mode="replicate")
        index, labels = self.graph(rgb)
        first = self.head(self.centred(rgb))
        x = self.body1(first)
        x_lr, x_hr = self.aggregation(x, index, labels)
        x = self.body2(self.fuse_lr(torch.cat([x, x_lr], 1))) + first
        x = self.fuse_hr(torch.cat([self.up(x), x_hr], 1))
        return self.centred.inverse(self.tail(x))[..., : self.scale * h, : self.scale * w]
