"""SwinIR, RCAN, HAT, Compact, SPAN and RealPLKSR as spandrel implements them, behind this package's interface.

Liang et al., "SwinIR: Image Restoration Using Swin Transformer" (ICCVW 2021); Zhang et al., "Image
Super-Resolution Using Very Deep Residual Channel Attention Networks" (ECCV 2018); Chen et al., "Activating
More Pixels in Image Super-Resolution Transformer" (CVPR 2023); Wang et al., "Real-ESRGAN" (ICCVW 2021), whose
code has Compact as SRVGGNetCompact; Wan et al., "Swift Parameter-free Attention Network for Efficient
Super-Resolution" (CVPRW 2024); Lee, Yun, Ro, "Partial Large Kernel CNNs for Efficient Super-Resolution" (2024).
spandrel is optional: it is imported when one of these is built, which raises RunError if it is not installed. The scale
is 2, 3 or 4.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from srfast.errors import RunError
from srfast.models import layers


def reflect_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Images [..., h, w] extended at the right and the bottom to multiples, mirrored without the edge pixel.

    The same as ``torch.nn.functional.pad(mode="reflect")`` where that is defined; an image smaller than its
    padding is mirrored again and again, one of a single row or column is repeated.
    """
    for dim in (-2, -1):
        n = x.shape[dim]
        if n % multiple:
            period = max(2 * n - 2, 1)
            index = torch.arange(n + -n % multiple, device=x.device) % period
            x = x.index_select(dim, torch.minimum(index, period - index) if n > 1 else index)
    return x


def windowed_context(depths: tuple[int, ...], window: int, after: int) -> int:
    """LR pixels on each side that exact tiles of a shifted-window network need, a multiple of the window.

    Backwards from an output pixel: ``after`` LR pixels of convolutions after the groups; in every group one
    pixel of its last convolution, then layers that widen to whole windows, shifted by half a window in every
    second one; one pixel of the first convolution. Tiles must start at multiples of the window.
    """
    widest = 0
    for start in range(window):
        at = start - after
        for depth in reversed(depths):
            at -= 1
            for layer in reversed(range(depth)):
                at -= (at - (window // 2 if layer % 2 else 0)) % window
        widest = max(widest, start - at + 1)
    return widest + -widest % window


class Foreign(nn.Module):
    """A network of spandrel's as a module of this package.

    Input: LR RGB [N, 3, h, w] in [0, 1], any size. Output: SR RGB [N, 3, scale * h, scale * w], not clamped.
    The input is mirrored to a multiple of the network's window and the output cropped; it is copied, because
    spandrel's RCAN scales its input in place. ``net`` is spandrel's own module: checkpoints of the original
    authors load into it.
    """

    def __init__(self, net: nn.Module, scale: int, multiple: int = 1, receptive: int | None = None) -> None:
        super().__init__()
        self.net = net
        self.scale, self.multiple, self.receptive = scale, multiple, receptive

    def forward(self, lr: Tensor) -> Tensor:
        h, w = (self.scale * n for n in lr.shape[-2:])
        return self.net(reflect_to_multiple(lr, self.multiple).clone())[..., :h, :w]


def adopted(net: Any, architecture: str, scale: int) -> Foreign | None:
    """A network that spandrel built from a file; if its context is known, as for SwinIR, tiles are exact."""
    if architecture != "SwinIR" or net.upsampler not in ("pixelshuffle", "pixelshuffledirect"):
        return None
    if not all(isinstance(layer.conv, nn.Conv2d) for layer in net.layers):  # three convolutions reach further
        return None
    depths = tuple(len(layer.residual_group.blocks) for layer in net.layers)
    context = windowed_context(depths, net.window_size, 2 if net.upsampler == "pixelshuffledirect" else 4)
    return Foreign(net, scale, multiple=net.window_size, receptive=context)


def _build(name: str, package: str = "", **sizes: Any) -> Any:
    try:
        architecture = getattr(importlib.import_module(f"spandrel.architectures.{package or name}"), name)
    except ImportError as error:
        raise RunError(
            f"{name}: needs spandrel, which is not installed or does not load ({error})",
            hint="pip install 'srfast[train]'",
        ) from error
    with warnings.catch_warnings():
        # HAT's index tables call meshgrid in its old form.
        warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
        return architecture(**sizes)


def swinir(
    scale: int = 2,
    *,
    features: int = 180,
    depths: tuple[int, ...] = (6,) * 6,
    heads: int = 6,
    window: int = 8,
    direct: bool = False,
    lr_patch: int = 48,
) -> Foreign:
    """SwinIR, classical: six groups of six layers, 180 features, six heads, window 8, MLP ratio 2.

    11,752,487 parameters at x2, 11,937,127 at x3, 11,900,199 at x4. Range [0, 1] less DIV2K's mean,
    stochastic depth 0.1 in training mode, relative position bias, no absolute position. Published results
    come from a test program that mirrors with the edge pixel and by a whole window more; here as in its
    training code, the network's own padding.

    Args:
        features: Channels, a multiple of ``heads``.
        depths: Layers in each group.
        heads: Attention heads.
        window: Side of the attention window.
        direct: One convolution and pixel shuffle, as the lightweight model up-samples.
        lr_patch: Size for which attention masks are kept; others are made at each call.
    """
    net = _build(
        "SwinIR",
        upscale=scale,
        img_size=lr_patch,
        window_size=window,
        img_range=1.0,
        depths=list(depths),
        embed_dim=features,
        num_heads=[heads] * len(depths),
        mlp_ratio=2,
        upsampler="pixelshuffledirect" if direct else "pixelshuffle",
        resi_connection="1conv",
    )
    # After the groups: the up-sampler's convolutions (3 LR pixels, 1 when direct) and the one over the body.
    return Foreign(net, scale, multiple=window, receptive=windowed_context(depths, window, 2 if direct else 4))


def swinir_light(
    scale: int = 2,
    *,
    features: int = 60,
    depths: tuple[int, ...] = (6,) * 4,
    heads: int = 6,
    window: int = 8,
    lr_patch: int = 64,
) -> Foreign:
    """SwinIR, lightweight: four groups, 60 features, direct up-sampling; otherwise as ``swinir``.

    910,152 parameters at x2, 918,267 at x3, 929,628 at x4. The paper prints 878K, 886K and 897K, which leaves
    out the 32,400 entries of the relative position bias.
    """
    return swinir(scale, features=features, depths=depths, heads=heads, window=window, direct=True, lr_patch=lr_patch)


def rcan(scale: int = 2, *, features: int = 64, groups: int = 10, blocks: int = 20, reduction: int = 16) -> Foreign:
    """RCAN: ten groups of twenty channel attention blocks, 64 features, range 0..255 less DIV2K's mean.

    15,444,667 parameters at x2, 15,629,307 at x3, 15,592,379 at x4, 24 of which are the mean shift and frozen
    here (spandrel, like the original, leaves them trainable by an oversight). Channel attention averages over
    the whole image: tiles do not reproduce it exactly.

    Args:
        features: Channels.
        groups: Residual groups.
        blocks: Channel attention blocks in each.
        reduction: Divisor of the channels in channel attention.
    """
    net = _build("RCAN", scale=scale, n_feats=features, n_resgroups=groups, n_resblocks=blocks, reduction=reduction)
    net.sub_mean.requires_grad_(False)
    net.add_mean.requires_grad_(False)
    return Foreign(net, scale)


def hat(
    scale: int = 2,
    *,
    features: int = 180,
    depths: tuple[int, ...] = (6,) * 6,
    heads: int = 6,
    window: int = 16,
    compress: int = 3,
    squeeze: int = 30,
) -> Foreign:
    """HAT: six groups of six hybrid blocks and one overlapping cross-attention, 180 features, window 16.

    20,624,795 parameters at x2, 20,809,435 at x3, 20,772,507 at x4 (the project page rounds to 20.8M). Range
    [0, 1] less DIV2K's mean. Its channel attention averages over the whole image: tiles do not reproduce it
    exactly. HAT-S is ``features=144, compress=24, squeeze=24``.

    Args:
        features: Channels, a multiple of ``heads``.
        depths: Blocks in each group.
        heads: Attention heads.
        window: Side of the attention window.
        compress: Divides the channels inside a channel attention block.
        squeeze: Divides the channels inside its attention.
    """
    net = _build(
        "HAT",
        upscale=scale,
        img_size=64,
        window_size=window,
        compress_ratio=compress,
        squeeze_factor=squeeze,
        conv_scale=0.01,
        overlap_ratio=0.5,
        img_range=1.0,
        depths=list(depths),
        embed_dim=features,
        num_heads=[heads] * len(depths),
        mlp_ratio=2,
        upsampler="pixelshuffle",
        resi_connection="1conv",
    )
    return Foreign(net, scale, multiple=window)


def compact(scale: int = 2, *, features: int = 64, convs: int = 16) -> Foreign:
    """Compact: 3 x 3 convolutions with PReLU at the size of LR, added to the nearest neighbour of each HR pixel.

    600,652 parameters at x2, 609,307 at x3, 621,424 at x4. realesr-general-x4v3 is ``convs=32``.

    Deviation: the convolutions between the first and the last start as identities. From PyTorch's own weights, with
    which the authors start, the gradient of the first layer is 2e4 times smaller than that of the last, and hundreds of
    updates change nothing: 200 of 8 crops of 16 LR pixels at x2 end at 30.86 dB on Set5 (RGB; nearest neighbour), from
    identities at 34.25 dB (bicubic 33.67 dB).

    Args:
        features: Channels.
        convs: Convolutions between the first and the last.
    """
    net = _build("Compact", num_feat=features, num_conv=convs, upscale=scale)
    for layer in [layer for layer in net.body if isinstance(layer, nn.Conv2d)][1:-1]:
        nn.init.dirac_(layer.weight)
        layers.zero_bias(layer)
    return Foreign(net, scale, receptive=convs + 2)


class _Folding(Foreign):
    """A network whose modules write their folded weights whenever they are run in evaluation mode.

    Weights that are written in inference mode could not be trained any more, so that mode is left for the call.
    """

    def forward(self, lr: Tensor) -> Tensor:
        if not torch.is_inference_mode_enabled():
            return super().forward(lr)
        with torch.inference_mode(False), torch.no_grad():
            return super().forward(lr.clone())


def span(scale: int = 2, *, features: int = 48, norm: bool = False) -> Foreign:
    """SPAN: six blocks of parameter-free attention, 48 features.

    2,221,140 parameters at x2, 2,227,635 at x3, 2,236,728 at x4. 396,240 of them are those of the convolutions of the
    evaluation form, into which every call in evaluation mode folds the trained ones: they are frozen here, and what a
    file holds of them does not matter. In training mode a convolution pads before its bias, so that the two forms
    differ within 21 LR pixels of the border, as with the authors.

    Deviations: without ``norm`` the network takes RGB as it is, as traiNNer-redux and neosr train it, and starts as the
    nearest neighbour: its first three features are the colours, which reach the output unchanged. From PyTorch's own
    weights it has to learn the colours first: 200 updates of 4 crops of 16 LR pixels at x2 then end at 28.45 dB on Set5
    (RGB), of 8 crops from the nearest neighbour at 34.65 dB (bicubic 33.67 dB).

    Args:
        features: Channels, at least 3.
        norm: Whether colours enter in the range 0..255 less DIV2K's mean, as in the authors' files; the weights then
            start as PyTorch has them.
    """
    net = _build("SPAN", num_in_ch=3, num_out_ch=3, feature_channels=features, upscale=scale, norm=norm)
    if not norm:
        _start_at_nearest(net, scale)
    for name, parameter in net.named_parameters():
        parameter.requires_grad_("eval_conv" not in name)
    return _Folding(net, scale, receptive=21)


@torch.no_grad()
def _start_at_nearest(net: Any, scale: int) -> None:
    """Lets the colours pass SPAN: conv_1 -> conv_cat -> the up-sampler, beside a tenth of what it starts with."""
    first, last = net.conv_1, net.upsampler[0]
    for part, identity in ((first.sk, True), (first.conv[2], False), (net.conv_cat, True)):
        part.weight[:3] = 0
        part.bias[:3] = 0
        if identity:
            part.weight[:3, :3, 0, 0] = torch.eye(3)
    last.weight.mul_(0.1)
    last.bias.zero_()
    last.weight[:, :3] = 0
    for color in range(3):
        last.weight[color * scale**2 : (color + 1) * scale**2, color, 1, 1] = 1


def realplksr(
    scale: int = 2, *, features: int = 64, blocks: int = 28, kernel: int = 17, split: float = 0.25
) -> Foreign:
    """RealPLKSR: 28 blocks with a convolution of 17 x 17 over a quarter of 64 channels, added to the nearest neighbour.

    7,368,908 parameters at x2, 7,377,563 at x3, 7,389,680 at x4; without DySample. Its group normalisation takes in the
    whole image: tiles do not reproduce it exactly.

    Deviation: the scales of the normalisations start at 0, so that every block starts as an identity (Goyal et al.,
    2017, arXiv 1706.02677, Section 5.1). With 1, the loss of the first 25 updates was 0.6 on average, where the nearest
    neighbour has 0.03. The first convolution starts orthogonal and the last one at 0, as the nearest neighbour: 200
    updates of 4 crops of 16 LR pixels at x2 then end at 34.51 dB on Set5 (RGB), from small weights at 32.1 dB
    (bicubic 33.67 dB).

    Args:
        features: Channels, a multiple of 4.
        blocks: Blocks.
        kernel: Side of the large convolution, odd.
        split: Share of the channels that it takes.
    """
    sizes = {"dim": features, "n_blocks": blocks, "kernel_size": kernel, "split_ratio": split}
    net = _build("RealPLKSR", "PLKSR", upscaling_factor=scale, **sizes)
    for layer in net.modules():
        if isinstance(layer, nn.GroupNorm):
            nn.init.zeros_(layer.weight)
    nn.init.orthogonal_(net.feats[0].weight)
    for start in (net.feats[0].bias, net.feats[-1].weight, net.feats[-1].bias):
        nn.init.zeros_(start)
    return Foreign(net, scale)
