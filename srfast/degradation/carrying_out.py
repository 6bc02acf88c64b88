"""Carries out what was drawn: steps, which are numbers, on the pixels of an image."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, features

from srfast.degradation.operations import Step
from srfast.errors import InputError
from srfast.ops import degrade
from srfast.ops.functional import imresize

_PILLOWS = {"444": 0, "422": 1, "420": 2}


def carry_out(
    image: np.ndarray, steps: Sequence[Step], key: np.ndarray, *, threads: int = 1, isa: str | None = None
) -> np.ndarray:
    """The LR image uint8 [h, w, 3] of an HR image uint8 [H, W, 3], cropped to a multiple of the scale, by the steps
    that ``Degradation.draw`` drew by ``key``, from which the noise comes too. The result depends neither on threads nor
    on ``isa``."""
    how = {"threads": threads, "isa": isa}
    for step in steps:
        image = _STEPS[step["operation"]](image, step, key, how)
    return _bytes(image)


# Between two steps an image is bytes [H, W, 3] or planes float32 [3, H, W].
def _bytes(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else degrade.bytes_of(image)


def _planes(image: np.ndarray) -> np.ndarray:
    return degrade.planes_of(image) if image.dtype == np.uint8 else image


def _blur(image: np.ndarray, step: Step, key: np.ndarray, how: Any) -> np.ndarray:
    kind, size = step["kind"], step["size"]
    if kind == "gaussian" and step["sigma_x"] == step["sigma_y"]:
        row = degrade.gaussian_row(size, step["sigma_x"])
        return degrade.blur_separable(_planes(image), row, row, **how)
    shape = {} if kind == "sinc" else {k: step[k] for k in ("sigma_x", "sigma_y", "angle")}
    return degrade.blur(_planes(image), degrade.kernel(kind, size, shape=step["shape"], **shape), **how)


def _resize(image: np.ndarray, step: Step, key: np.ndarray, how: Any) -> np.ndarray:
    planes, size, distance = _planes(image), (step["height"], step["width"]), (step["step_y"], step["step_x"])
    if planes.shape[1:] == size and distance == (1.0, 1.0):
        return image  # each filter is the identity there, up to the sign of zero
    return degrade.resize(planes, *size, step["filter"], antialias=step["antialias"], step=distance, **how)


def _bicubic(image: np.ndarray, step: Step, key: np.ndarray, how: Any) -> np.ndarray:
    image = _bytes(image)
    scale = round(image.shape[0] / step["height"])
    if image.shape[:2] != (scale * step["height"], scale * step["width"]):
        raise InputError(
            f"bicubic: expected an image {scale} times as large as {step['width']} x {step['height']}, "
            f"got {image.shape[1]} x {image.shape[0]}",
            hint="leave out what resizes before it",
        )
    return imresize(image, 1 / scale)


def _noise(image: np.ndarray, step: Step, key: np.ndarray, how: Any) -> np.ndarray:
    planes = _planes(image)
    kind = step["operation"].partition("-")[0]
    degrade.add_noise(planes, kind, step["strength"], key, step["slot"], gray=step["gray"], **how)
    return planes


def _webp(image: np.ndarray, step: Step, key: np.ndarray, how: Any) -> np.ndarray:
    pixels = _bytes(image)
    if max(pixels.shape) > 16383:
        raise InputError(f"webp: expected at most 16383 pixels a side, got {max(pixels.shape)}")
    return _coded(pixels, "WEBP", quality=step["quality"], method=4)


def _coded(image: np.ndarray, kind: str, **how: Any) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(_bytes(image)).save(file, kind, **how)
    with Image.open(file, formats=[kind]) as decoded:
        return np.array(decoded)


_STEPS: dict[str, Callable[[np.ndarray, Step, np.ndarray, Any], np.ndarray]] = {
    "blur": _blur, "resize": _resize, "bicubic": _bicubic, "gaussian-noise": _noise, "poisson-noise": _noise,
    # Not simplejpeg, which takes the fast DCT below a quality of 96: it differs between processors.
    "jpeg": lambda image, step, key, how: _coded(
        image, "JPEG", quality=step["quality"], subsampling=_PILLOWS[step["subsampling"]]
    ),
    "webp": _webp,
    "unsharp": lambda image, step, key, how: degrade.unsharp(
        _planes(image), step["size"], step["sigma_x"], step["strength"], step["shape"], **how
    ),
    "thick-lines": lambda image, step, key, how: degrade.thick_lines(_planes(image), threads=how["threads"]),
}  # fmt: skip


def encoders() -> dict[str, Any]:
    """The versions of the encoders, on which the pixels of JPEG and WebP depend."""
    return {name: features.version(name) for name in ("libjpeg_turbo", "webp")}
