"""Plain PyTorch, on any device, for any network: the reference's arithmetic in batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from srfast.errors import InputError
from srfast.models import tiling
from srfast.models.descriptor import Descriptor
from srfast.ops import reference
from srfast.ops.color import luma
from srfast.ops.precision import without_tf32
from srfast.scoring.backends.maps import MapEngine
from srfast.scoring.network import Network


class EagerEngine(MapEngine):
    """Scores with torch; SRCNN's first layer takes 256 bytes a pixel."""

    name = "torch"

    def __init__(self, network: Network, boundary: str = "symmetric", device: str = "cpu") -> None:
        super().__init__(network, boundary)
        self.device = torch.device(device)
        self._module = network.module
        if isinstance(self._module, torch.nn.Module):
            self._module = self._module.to(self.device).eval()

    @torch.inference_mode()
    def errors(self, patches: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(np.array(patches, order="C")).to(self.device)
        scale, boundary = self.network.scale, self.boundary
        with without_tf32():
            if self._module is None:
                error = reference.squared_error(x, self.network.weights, scale, torch.float32, boundary)
            else:
                error = module_errors(x, self._module, self.network.color, scale, boundary)
        return error.cpu().numpy()


def module_errors(patches: Tensor, module: Callable[[Tensor], Tensor], color: str, scale: int, boundary: str) -> Tensor:
    """Squared-error maps on Y of an SR module that takes the 8-bit LR in [0, 1].

    A model of Y takes imresize(Y), one of RGB takes imresize(RGB) and its output is turned to Y without rounding; the
    target is the rounded Y either way.
    """
    y = reference.luma(patches) if patches.shape[-1] == 3 else patches[..., 0]
    planes = y[:, None] if color == "y" else patches.movedim(-1, 1).expand(-1, 3, -1, -1)
    sr = enhance(module, reference.resample_uint8(planes, 1 / scale, boundary).float() / 255, scale) * 255
    if sr.shape != planes.shape:
        raise InputError(f"scorer: expected an output of {list(planes.shape)} at scale {scale}, got {list(sr.shape)}")
    if color == "rgb":
        sr = luma(*sr.unbind(1))
    else:
        sr = sr[:, 0]
    return (sr - y.float()).square()


def enhance(module: Callable[[Tensor], Tensor], planes: Tensor, scale: int) -> Tensor:
    """SR [N, C, H, W] of LR planes [N, C, h, w] in [0, 1]; a single large image in tiles, so that memory stays flat.

    Tiles of a network whose receptive field is not known, or is the whole image, overlap by ``tiling.OVERLAP`` pixels:
    their seams are approximate.
    """
    if not isinstance(module, torch.nn.Module) or len(planes) != 1:
        return module(planes)
    large = planes.shape[2] * planes.shape[3] > tiling.WHOLE_PIXELS
    return tiling.super_resolve(Descriptor.of(module, scale), planes, tiling.TILE if large else 0)
