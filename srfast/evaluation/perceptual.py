"""LPIPS and DISTS: distances of images in the features of networks that were trained for something else.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018), version 0.1; Ding et
al., "Image Quality Assessment: Unifying Structure and Texture Similarity" (2020). The weights of the measures, a few
kilobytes, come with torchmetrics (Apache-2.0; ``pip install 'srfast[perceptual]'``), which is not imported. The
networks below them, the trunks, are torchvision's for ImageNet: files that the user has. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from srfast.data.hashing import of_file
from srfast.errors import InputError, RunError
from srfast.evaluation.settings import MEASURES
from srfast.models.loading import load_state
from srfast.settings import PathLike

SMALLEST = 32
"""Side of the smallest image in pixels, within the shaved border: below it the last features have no extent."""


@dataclass(frozen=True)
class Trunk:
    """The convolutions of a torchvision network, up to the last features that are compared."""

    pattern: str
    """Name of torchvision's file."""
    layers: tuple[tuple[int, int, int, int], ...]
    """Index in ``features``, side of the kernel, stride and padding of each convolution; a ReLU follows each."""
    pools: tuple[int, ...]
    """Convolutions before which features are pooled."""
    taps: tuple[int, ...]
    """Convolutions whose features, after the ReLU, are compared."""


_ALEX = Trunk("alexnet-*.pth", ((0, 11, 4, 2), (3, 5, 1, 2), (6, 3, 1, 1), (8, 3, 1, 1), (10, 3, 1, 1)), (3, 6),
              (0, 3, 6, 8, 10))  # fmt: skip
_VGG = Trunk("vgg16-*.pth", tuple((i, 3, 1, 1) for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
             (5, 10, 17, 24), (2, 7, 14, 21, 28))  # fmt: skip
TRUNKS = {"lpips": _ALEX, "lpips-vgg": _VGG, "dists": _VGG}
HEADS = {"lpips": "lpips_models/alex.pth", "lpips-vgg": "lpips_models/vgg.pth", "dists": "dists_models/weights.pt"}
RANGES = {"lpips": "RGB in [-1, 1]", "lpips-vgg": "RGB in [-1, 1]", "dists": "RGB in [0, 1]"}
_LPIPS_SHIFT, _LPIPS_SPREAD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_IMAGENET_MEAN, _IMAGENET_SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Measure:
    """One perceptual measure of ``settings.MEASURES`` with its weights; lower is better, and equal images have 0.

    ``trunks`` is the folder of torchvision's alexnet-*.pth and vgg16-*.pth, or such a file; None is PyTorch's cache.
    Raises InputError if there is no such file, or it holds other tensors, and RunError if torchmetrics is not
    installed.
    """

    def __init__(self, name: str, trunks: PathLike | None, device: str) -> None:
        self.name, self._trunk = name, TRUNKS[name]
        file, heads = _trunk_file(name, trunks), _heads_folder() / HEADS[name]
        state, head = load_state(file), load_state(heads)
        try:
            pick = [(state[f"features.{i}.weight"], state[f"features.{i}.bias"]) for i, *_ in self._trunk.layers]
        except KeyError as error:
            raise InputError(f"{file}: expected torchvision's {self._trunk.pattern}, got no tensor {error}") from None
        if [w.shape[-1] for w, _ in pick] != [side for _, side, *_ in self._trunk.layers]:
            raise InputError(f"{file}: expected torchvision's {self._trunk.pattern}, got other sizes of kernels")
        self._weights = [(w.to(device, torch.float32), b.to(device, torch.float32)) for w, b in pick]
        self._head = {k: v.to(device, torch.float32) for k, v in head.items()}
        self._device = device
        self.about: dict[str, Any] = {
            "variant": MEASURES[name], "range": RANGES[name], "sha256": {p.name: of_file(p) for p in (file, heads)},
        }  # fmt: skip

    def __call__(self, sr: np.ndarray, hr: np.ndarray, shave: int = 0) -> float:
        """The distance of two images [H, W, 3], uint8 or uint16, without ``shave`` pixels at each side. Raises
        InputError if less than ``SMALLEST`` pixels a side are left."""
        h, w = hr.shape[:2]
        if min(h, w) - 2 * shave < SMALLEST:
            least = SMALLEST + 2 * shave
            raise InputError(f"measures: expected images of at least {least} pixels a side, got {w} x {h}")
        sr, hr = (image[shave : h - shave, shave : w - shave] for image in (sr, hr))
        images = (
            torch.from_numpy(np.stack([sr, hr])).to(self._device).permute(0, 3, 1, 2).float() / np.iinfo(hr.dtype).max
        )
        with torch.inference_mode():
            return float(self._dists(images) if self.name == "dists" else self._lpips(images))

    def _lpips(self, images: Tensor) -> Tensor:
        shift, spread = self._of_channels(_LPIPS_SHIFT), self._of_channels(_LPIPS_SPREAD)
        total = images.new_zeros(())
        for number, f in enumerate(self._features((2 * images - 1 - shift) / spread)):
            unit = f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10)
            weight = self._head[f"lin{number}.model.1.weight"]
            total = total + F.conv2d((unit[:1] - unit[1:]).square(), weight).mean()
        return total

    def _dists(self, images: Tensor) -> Tensor:
        mean, spread = self._of_channels(_IMAGENET_MEAN), self._of_channels(_IMAGENET_SPREAD)
        features = [images, *self._features((images - mean) / spread)]
        alpha, beta = (self._head[k].flatten().double() for k in ("alpha", "beta"))
        similar, start = images.new_zeros((), dtype=torch.float64), 0
        for f in features:
            x, y = f.double()
            end = start + len(x)
            mx, my = x.mean((1, 2)), y.mean((1, 2))
            vx, vy = (x - mx[:, None, None]).square().mean((1, 2)), (y - my[:, None, None]).square().mean((1, 2))
            both = ((x - mx[:, None, None]) * (y - my[:, None, None])).mean((1, 2))
            texture = (2 * mx * my + 1e-6) / (mx * mx + my * my + 1e-6)
            structure = (2 * both + 1e-6) / (vx + vy + 1e-6)
            similar = similar + (alpha[start:end] * texture + beta[start:end] * structure).sum()
            start = end
        return 1 - similar / (alpha.sum() + beta.sum())

    def _features(self, x: Tensor) -> list[Tensor]:
        features = []
        for (index, _, stride, padding), (weight, bias) in zip(self._trunk.layers, self._weights, strict=True):
            if index in self._trunk.pools:
                x = self._pooled(x)
            x = F.relu(F.conv2d(x, weight, bias, stride, padding))
            if index in self._trunk.taps:
                features.append(x)
        return features

    def _pooled(self, x: Tensor) -> Tensor:
        """Maxima, as the trunk has them; DISTS takes the root of blurred squares instead."""
        if self.name != "dists":
            return F.max_pool2d(x, 3 if self._trunk is _ALEX else 2, 2)
        taps = torch.tensor([0.25, 0.5, 0.25], device=x.device)
        kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
        return (F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()

    def _of_channels(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=self._device)[:, None, None]


def _heads_folder() -> Path:
    spec = find_spec("torchmetrics")
    if spec is None or not spec.submodule_search_locations:
        raise RunError("measures: needs torchmetrics, which is not installed", hint="pip install 'srfast[perceptual]'")
    return Path(spec.submodule_search_locations[0]) / "functional" / "image"


def _trunk_file(name: str, trunks: PathLike | None) -> Path:
    place = Path(torch.hub.get_dir(), "checkpoints") if trunks is None else Path(trunks)
    pattern = TRUNKS[name].pattern
    files = [place] if place.is_file() else sorted(place.glob(pattern))
    if not files:
        raise InputError(
            f"trunks: expected torchvision's {pattern} in {place} for {name}, got none",
            hint=f"srfast downloads nothing; torchvision.models.{pattern.split('-')[0]}(weights='DEFAULT') does, once",
        )
    return files[0]
