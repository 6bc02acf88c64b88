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


class _Canvas:
    """The image between two steps: bytes [H, W, 3], or planes float32 [3, H, W], made from the other when needed."""

    def __init__(self, image: np.ndarray, key: np.ndarray, threads: int, isa: int | None) -> None:
        self._bytes: np.ndarray | None = image
        self._planes: np.ndarray | None = None
        self.key = key
        self.how: dict[str, Any] = {"threads": threads, "isa": isa}

    @property
    def bytes(self) -> np.ndarray:
        if self._bytes is None:
            assert self._planes is not None
            self._bytes = degrade.bytes_of(self._planes)
        return self._bytes

    @bytes.setter
    def bytes(self, image: np.ndarray) -> None:
        self._bytes, self._planes = image, None

    @property
    def planes(self) -> np.ndarray:
        if self._planes is None:
            assert self._bytes is not None
            self._planes = degrade.planes_of(self._bytes)
        return self._planes

    @planes.setter
    def planes(self, planes: np.ndarray) -> None:
        self._bytes, self._planes = None, planes


def carry_out(
    image: np.ndarray, steps: Sequence[Step], key: np.ndarray, *, threads: int = 1, isa: int | None = None
) -> np.ndarray:
    """The LR image uint8 [h, w, 3] of an HR image uint8 [H, W, 3], cropped to a multiple of the scale, by the steps
    that ``Degradation.draw`` drew by ``key``, from which the noise comes too. The result depends neither on threads nor
    on ``isa``."""
    canvas = _Canvas(image, key, threads, isa)
    for step in steps:
        _STEPS[step["operation"]](canvas, step)
    return canvas.bytes


def _blur(canvas: _Canvas, step: Step) -> None:
    kind, size = step["kind"], step["size"]
    if kind == "gaussian" and step["sigma_x"] == step["sigma_y"]:
        row = degrade.gaussian_row(size, step["sigma_x"])
        canvas.planes = degrade.blur_separable(canvas.planes, row, row, **canvas.how)
        return
    shape = {} if kind == "sinc" else {k: step[k] for k in ("sigma_x", "sigma_y", "angle")}
    canvas.planes = degrade.blur(canvas.planes, degrade.kernel(kind, size, shape=step["shape"], **shape), **canvas.how)


def _resize(canvas: _Canvas, step: Step) -> None:
    planes = canvas.planes
    distance = (step["step_y"], step["step_x"])
    if planes.shape[1:] == (step["height"], step["width"]) and distance == (1.0, 1.0):
        return  # each filter is the identity there, up to the sign of zero
    canvas.planes = degrade.resize(
        planes, step["height"], step["width"], step["filter"], antialias=step["antialias"], step=distance, **canvas.how
    )


def _bicubic(canvas: _Canvas, step: Step) -> None:
    image = canvas.bytes
    scale = round(image.shape[0] / step["height"])
    if image.shape[:2] != (scale * step["height"], scale * step["width"]):
        raise InputError(
            f"bicubic: expected an image {scale} times as large as {step['width']} x {step['height']}, "
            f"got {image.shape[1]} x {image.shape[0]}",
            hint="leave out what resizes before it",
        )
    canvas.bytes = imresize(image, 1 / scale)


def _noise(canvas: _Canvas, step: Step) -> None:
    planes = np.array(canvas.planes)  # the planes may be another's
    kind = step["operation"].partition("-")[0]
    degrade.add_noise(planes, kind, step["strength"], canvas.key, step["slot"], gray=step["gray"], **canvas.how)
    canvas.planes = planes


def _jpeg(canvas: _Canvas, step: Step) -> None:
    # Not simplejpeg, which takes the fast DCT below a quality of 96: it differs between processors.
    file = io.BytesIO()
    Image.fromarray(canvas.bytes).save(file, "JPEG", quality=step["quality"], subsampling=_PILLOWS[step["subsampling"]])
    canvas.bytes = _decoded(file)


def _webp(canvas: _Canvas, step: Step) -> None:
    if max(canvas.bytes.shape) > 16383:
        raise InputError(f"webp: expected at most 16383 pixels a side, got {max(canvas.bytes.shape)}")
    file = io.BytesIO()
    Image.fromarray(canvas.bytes).save(file, "WEBP", quality=step["quality"], method=4)
    canvas.bytes = _decoded(file)


def _decoded(file: io.BytesIO) -> np.ndarray:
    with Image.open(file, formats=("JPEG", "WEBP")) as image:
        return np.array(image)


def _unsharp(canvas: _Canvas, step: Step) -> None:
    canvas.planes = degrade.unsharp(
        canvas.planes, step["size"], step["sigma_x"], step["strength"], step["shape"], **canvas.how
    )


def _thick_lines(canvas: _Canvas, step: Step) -> None:
    canvas.planes = degrade.thick_lines(canvas.planes, threads=canvas.how["threads"])


_STEPS: dict[str, Callable[[_Canvas, Step], None]] = {
    "blur": _blur, "resize": _resize, "bicubic": _bicubic, "gaussian-noise": _noise, "poisson-noise": _noise,
    "jpeg": _jpeg, "webp": _webp, "unsharp": _unsharp, "thick-lines": _thick_lines,
}  # fmt: skip


def encoders() -> dict[str, Any]:
    """The versions of the encoders, on which the pixels of JPEG and WebP depend."""
    return {name: features.version(name) for name in ("libjpeg_turbo", "webp")}
