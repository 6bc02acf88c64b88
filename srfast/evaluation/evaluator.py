"""PSNR and SSIM of a model on images, by one of two protocols."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import torch
from torch import nn

from srfast.data.hashing import of_pixels
from srfast.data.images import find_images
from srfast.data.lowres import LowRes, check_apart
from srfast.data.shrink import read_at
from srfast.degradation.plan import Degradation, Draws
from srfast.errors import InputError, inside, refuse
from srfast.evaluation import metrics
from srfast.evaluation.metrics import Protocol, Window, protocol_of, rounded
from srfast.evaluation.settings import EvaluateSettings
from srfast.models import loading
from srfast.models.registry import Buildable
from srfast.models.tiling import Descriptor, super_resolve
from srfast.ops import reference
from srfast.ops.color import from_ycbcr, to_y, to_ycbcr
from srfast.ops.device import resolve_device
from srfast.ops.functional import imresize
from srfast.runtime.interrupts import interrupted
from srfast.settings import ONE, check_same_size, documented, positional

if TYPE_CHECKING:
    from srfast.evaluation.perceptual import Measure

Model: TypeAlias = "Buildable | str | os.PathLike[str]"
Paths: TypeAlias = "str | Path | Iterable[str | Path]"
_CLASSIC_RANGE = (16.0, 235.0)


@dataclass(frozen=True)
class ImageScore:
    """The scores of one image: its path relative to the folder, PSNR in dB, SSIM, and perceptual measures by name."""

    image: str
    psnr: float
    ssim: float
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The scores of a model. ``images`` are in the order of the paths."""

    model: str
    protocol: Protocol
    scale: int
    window: Window
    images: list[ImageScore]
    degradation: dict[str, Any] | None = None
    """The degradation that made the LR images, with its seed; None: none was requested."""
    depth: int = 8
    """Bits of a channel in which images were read and SR was rounded."""
    measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Perceptual measures by name: variant, range, crop, hashes of the weights, and the mean over the images."""

    @property
    def psnr(self) -> float:
        """Mean over the images in dB; infinite if one of them is reproduced exactly."""
        return float(np.mean([i.psnr for i in self.images]))

    @property
    def ssim(self) -> float:
        """Mean over the images."""
        return float(np.mean([i.ssim for i in self.images]))

    def __repr__(self) -> str:
        about = f"{self.model} x{self.scale}, {self.protocol}, {len(self.images)} images"
        return f"Evaluation({about}; {self.psnr:.2f} dB, SSIM {self.ssim:.4f})"

    def rows(self) -> list[tuple[str, float, list[float]]]:
        """Name, PSNR, SSIM and perceptual measures of each image, and their means."""
        rows = [(i.image, i.psnr, [i.ssim, *i.measures.values()]) for i in self.images]
        return [*rows, ("mean", self.psnr, [self.ssim, *(m["mean"] for m in self.measures.values())])]

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, *_ in rows)
        lines = [f"{name:<{width}}  {psnr:8.2f}  " + "  ".join(f"{v:.4f}" for v in more) for name, psnr, more in rows]
        names = ", ".join(["PSNR (dB)", "SSIM", *self.measures])
        return "\n".join([f"{self.model} x{self.scale}, {self.protocol} protocol: {names}", *lines])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; an infinite PSNR is None."""

        def finite(x: float) -> float | None:
            return x if np.isfinite(x) else None

        rows = [{"image": i.image, "psnr": finite(i.psnr), "ssim": i.ssim, **i.measures} for i in self.images]
        head = {"model": self.model, "protocol": self.protocol, "scale": self.scale, "ssim_window": self.window}
        head |= {"degradation": self.degradation} if self.degradation else {}
        head |= {"depth": self.depth} if self.depth != 8 else {}
        head |= {"measures": self.measures} if self.measures else {}
        return {**head, "psnr": finite(self.psnr), "ssim": self.ssim, "images": rows}


@documented(EvaluateSettings)
def evaluate(model: Model, data: Paths, *given: Any, **options: Any) -> Evaluation:
    """Super-resolves images and compares them with the originals, without a border of ``scale`` pixels.

    * ``classic``: Y = rgb2ycbcr(uint8), rounded. The LR image is imresize of Y in floating point, not quantised. SR is
      rounded to uint8 (bicubic is clamped to 16..235 first, as in VDSR's code). The values of a gray image are Y, and a
      given LR image is gray or RGB as its HR image is.
    * ``rgb``: The LR image is imresize of the uint8 RGB image, in 8 bits. SR is rounded to uint8 RGB. Y of both is in
      double precision, not rounded. A gray image is an RGB image with equal planes.

    Images are cropped, right and bottom, to a multiple of the scale. Under ``rgb``, a Y model reconstructs Y, and
    chroma is up-sampled bicubically. Under ``classic``, an RGB model gets RGB in floating point, and Y is computed from
    its rounded output.

    Args:
        model: "bicubic", "srcnn" (the shipped weights), the path of a checkpoint or weights file (.safetensors, .pt,
            .pth; of srfast, or others that spandrel knows), the folder of a training, a module that takes LR [1, C, h,
            w] in [0, 1], C = 1 (Y) or 3 (RGB), its class, which is called with the scale, or FILE.py:NAME.
        data: Files or folders of HR images.
        **options: settings

    Returns:
        PSNR and SSIM of each image and their means, with the protocol and the scale.

    Raises:
        InputError: the model, protocol or scale is unknown, there are no images, a file cannot be read, or an LR image
            is missing, has the wrong size or belongs to two HR images.
        RunError: a dependency is missing.
    """
    return evaluate_by(EvaluateSettings.of(positional(given, ("scale", "protocol"), options)), model, data)


def evaluate_by(s: EvaluateSettings, model: Model, data: Paths) -> Evaluation:
    """``evaluate`` with its settings as one object."""
    device = resolve_device(s.device)
    name, scale = "bicubic", int(s.scale or 2)
    network: Descriptor | None = None
    if not (isinstance(model, str) and model.lower() == "bicubic"):
        name, network = loading.open_model(model, s.scale)
        scale = network.scale
        if not isinstance(model, nn.Module):
            network.model.to(device)
    check_same_size(scale, s.lr_images is not None or s.degradation is not None, "`lr_images` or `degradation`")
    protocol = s.protocol or protocol_of("y" if network is None else network.color)
    rounds = f"depth: expected 8 with `protocol` {protocol}, which rounds Y to 8 bits, got 16"
    refuse(
        (s.depth == 16 and protocol != "rgb", rounds),
        (s.measures and protocol != "rgb", f"measures: need `protocol` rgb, got {protocol}, which has no colours"),
    )
    opened: list[Measure] = []
    if s.measures:
        from srfast.evaluation.perceptual import Measure

        opened = [Measure(measure, s.trunks, device) for measure in s.measures]
    files = find_images(data)
    draws = None if s.degradation is None else Draws(Degradation.read(s.degradation), s.seed)
    pairs = {}
    if s.lr_images is not None:
        low = dataclasses.replace(LowRes.open(s.lr_images, s.lr_template), endings=s.lr_template == ONE)
        pairs = {file.name: low.find(file.name) for file in files}
        check_apart(pairs.items())
    scores = []
    with nullcontext() if network is None else network.evaluating():
        for file in files:
            hr = read_at(file.path, s.depth, colours=False)
            lr = read_at(pairs[file.name], s.depth, colours=False) if pairs else None
            pixels = "" if draws is None else of_pixels(hr)
            hr = _crop(hr, lr, scale, file.path)
            if draws is not None:
                lr = _degraded(draws, hr, scale, pixels)
            elif lr is not None and protocol == "classic":
                lr = _like(hr, lr, pairs[file.name])
            sr, hr = _reconstruct(network, hr, lr, scale, protocol, s.tile)
            if s.inspect is not None:
                s.inspect(file.name, sr, hr)
            with inside(f"{file.path}: "):
                psnr = metrics.psnr(sr, hr, shave=scale, protocol=protocol)
                ssim = metrics.ssim(sr, hr, shave=scale, protocol=protocol, window=s.window)
                values = {measure.name: measure(sr, hr, scale) for measure in opened}
            scores.append(ImageScore(file.name, psnr, ssim, values))
    crop = f"{scale} pixels at each side are left out"
    means = {m.name: float(np.mean([i.measures[m.name] for i in scores])) for m in opened}
    about = {m.name: {**m.about, "crop": crop, "mean": means[m.name]} for m in opened}
    how = None if draws is None else draws.settings()
    return Evaluation(name, protocol, scale, s.window, scores, how, s.depth, about)


def _degraded(draws: Draws, hr: np.ndarray, scale: int, pixels: str) -> np.ndarray:
    """The LR image of draw 0, as gray as its HR image: that of a gray one is the luma of its degraded RGB."""
    lr, _ = draws.lr(_three(hr), scale, pixels=pixels)
    if hr.ndim == 3:
        return lr
    return np.floor(lr @ np.array([0.299, 0.587, 0.114]) + 0.5).astype(np.uint8)


def _crop(hr: np.ndarray, lr: np.ndarray | None, scale: int, path: Path) -> np.ndarray:
    """HR cropped to a multiple of the scale, or to the size of its LR file times the scale."""
    h, w = (n - n % scale for n in hr.shape[:2])
    if lr is not None:
        high, wide = lr.shape[0] * scale, lr.shape[1] * scale
        if high > hr.shape[0] or wide > hr.shape[1] or max(h - high, w - wide) > (scale if scale > 1 else 0):
            raise InputError(
                f"{path}: expected an LR file of {w // scale} x {h // scale} at scale {scale}, "
                f"got {lr.shape[1]} x {lr.shape[0]}"
            )
        h, w = high, wide
    if min(h, w) <= 2 * scale:
        raise InputError(
            f"{path}: expected more than {2 * scale} pixels at each side, got {hr.shape[1]} x {hr.shape[0]}"
        )
    return hr[:h, :w]


def _like(hr: np.ndarray, lr: np.ndarray, path: Path) -> np.ndarray:
    """A given LR image as gray [h, w] or RGB [h, w, 3], as its HR image is."""
    if hr.ndim == 3:
        return _three(lr)
    if lr.ndim == 3 and (lr != lr[..., :1]).any():
        raise InputError(f"{path}: expected a gray LR image, as its HR image is gray, got one with colours")
    return lr if lr.ndim == 2 else lr[..., 0]


def _reconstruct(
    network: Descriptor | None, hr: np.ndarray, lr: np.ndarray | None, scale: int, protocol: Protocol, tile: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """SR and HR as the metrics take them: Y uint8 [H, W] under classic, RGB uint8 or uint16 [H, W, 3] under rgb."""
    if protocol == "classic":
        # Y in float64, as MATLAB; a gray image is its own Y.
        if network is None or network.color == "y":
            y = to_y(hr, "classic")
            low = imresize(y / 255, 1 / scale) if lr is None else to_y(lr, "classic") / 255
            up = imresize(low, scale) if network is None else _run(network, low[..., None], tile)[..., 0]
            return rounded(up, np.uint8, *(_CLASSIC_RANGE if network is None else ())), y.astype(np.uint8)
        low = imresize(_three(hr) / 255, 1 / scale) if lr is None else _three(lr) / 255
        sr = rounded(_run(network, low, tile))
        if hr.ndim == 2:
            return rounded(sr.mean(2) / 255), hr
        return to_y(sr, "classic").astype(np.uint8), to_y(hr, "classic").astype(np.uint8)
    hr = np.ascontiguousarray(_three(hr))
    most = np.iinfo(hr.dtype).max
    small = imresize(hr, 1 / scale) if lr is None else _three(lr)
    if network is None:
        return imresize(small, scale), hr
    if network.color == "rgb":
        return rounded(_run(network, small / most, tile), hr.dtype), hr
    ycc = to_ycbcr(small / most)
    up = imresize(ycc, scale)
    up[..., :1] = _run(network, ycc[..., :1], tile)
    return rounded(from_ycbcr(up), hr.dtype), hr


def _run(network: Descriptor, low: np.ndarray, tile: int | None) -> np.ndarray:
    """LR [h, w, C] in [0, 1] -> SR [H, W, C] float64."""
    parameter = next(iter(network.model.parameters()), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    x = torch.from_numpy(np.ascontiguousarray(low.transpose(2, 0, 1))).float()[None].to(device)
    with torch.inference_mode():
        sr = super_resolve(network, x, tile)
    return sr[0].double().cpu().numpy().transpose(1, 2, 0)


def _three(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


TILE = 32
"""Side of a tile in HR pixels; tiles do not overlap, and lie inside the border that the metrics leave out."""
STRATA = ("easy", "middle", "hard")
"""Thirds of the tiles of a test set, by the squared error of bicubic up-sampling."""
FLAT = 8.0
"""Tiles of the stratum "flat" have a mean of 0.5 |Gx| + 0.5 |Gy| (3 x 3 Sobel on Y) below this: skies, walls, blur."""


@dataclass(frozen=True)
class TileError:
    """The squared error of the tiles of one stratum of one image."""

    image: str
    stratum: str
    pixels: int
    mse: float


def evaluate_tiles(model: Model, files: Sequence[str], s: EvaluateSettings) -> tuple[Evaluation, list[TileError]]:
    """An evaluation, and the errors on tiles, without a border as wide as the scale; scale and protocol are given.
    Raises KeyboardInterrupt between two images after an interrupt, since an evaluation of minutes is no step to be
    finished."""
    scale, protocol = s.scale or 2, s.protocol or "classic"
    strata = _strata(tuple(files), scale, protocol)
    rows: list[TileError] = []

    def inspect(name: str, sr: np.ndarray, hr: np.ndarray) -> None:
        if interrupted():
            raise KeyboardInterrupt
        error = _tile_means(_squared_error(sr, hr, scale, protocol))
        for stratum, tiles in strata[name].items():
            if tiles.any():
                inside = error[tiles]
                rows.append(TileError(name, stratum, inside.size * TILE**2, float(inside.mean())))

    return evaluate_by(dataclasses.replace(s, inspect=inspect), model, files), rows


@lru_cache(maxsize=8)
def _strata(files: tuple[str, ...], scale: int, protocol: Protocol) -> dict[str, dict[str, np.ndarray]]:
    """For each image the tiles of each stratum, as masks [rows, columns]."""
    errors: dict[str, np.ndarray] = {}
    gradients: dict[str, np.ndarray] = {}

    def inspect(name: str, sr: np.ndarray, hr: np.ndarray) -> None:
        errors[name] = _tile_means(_squared_error(sr, hr, scale, protocol))
        y = torch.from_numpy(_inner(to_y(hr, protocol), scale).copy())
        gradients[name] = _tile_means(reference.sobel_map(y[None, ..., None])[0].numpy())

    evaluate("bicubic", files, scale=cast(Any, scale), protocol=protocol, inspect=inspect)
    every = np.concatenate([e.ravel() for e in errors.values()])
    low, high = np.quantile(every, (1 / 3, 2 / 3)) if every.size else (0.0, 0.0)
    return {
        name: {"easy": e <= low, "middle": (e > low) & (e <= high), "hard": e > high, "flat": gradients[name] < FLAT}
        for name, e in errors.items()
    }


def _inner(plane: np.ndarray, shave: int) -> np.ndarray:
    return plane[shave : plane.shape[0] - shave, shave : plane.shape[1] - shave]


def _squared_error(sr: np.ndarray, hr: np.ndarray, scale: int, protocol: Protocol) -> np.ndarray:
    return _inner((to_y(sr, protocol) - to_y(hr, protocol)) ** 2, scale)


def _tile_means(plane: np.ndarray) -> np.ndarray:
    """Means of the whole tiles of [H, W]: [H // TILE, W // TILE]."""
    rows, columns = (n // TILE for n in plane.shape)
    cut = plane[: rows * TILE, : columns * TILE]
    return cut.reshape(rows, TILE, columns, TILE).mean((1, 3))
