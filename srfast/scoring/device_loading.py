"""Scoring images that NVIDIA DALI decodes on the GPU: ``--loader dali``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from srfast.data.grid import grid
from srfast.data.images import ImageFile, read_rgb
from srfast.errors import InputError, RunError
from srfast.ops.blockiness import blockiness
from srfast.scoring.parts import Outcome
from srfast.scoring.per_image import scored
from srfast.scoring.settings import ScoreSettings

COMPARED_EVERY = 64
"""Files from one whose pixels are compared with those of srfast's decoder to the next."""


def check_loader(engine: Any, settings: ScoreSettings, files: Sequence[ImageFile]) -> None:
    """Refuses what DALI cannot do, or would not do faster."""
    if not hasattr(engine, "on_device"):
        raise InputError(f"loader: dali decodes for --device cuda with triton or native, but {engine.name} scores here")
    if settings.skip_bad:
        raise InputError("loader: dali stops at a file that it cannot read, leave --skip-bad out")
    for file in files:
        if file.path.suffix.lower() not in (".jpg", ".jpeg"):
            raise InputError(f"loader: dali decodes JPEG on the GPU, all else on the CPU, as srfast does: {file.path}")


def outcomes(engine: Any, settings: ScoreSettings, files: Sequence[ImageFile], threads: int) -> Iterator[Outcome]:
    """The outcomes of the files, in order.

    Raises:
        RunError: DALI is not installed, a file cannot be decoded, or the decoder's pixels differ from srfast's.
    """
    from srfast.data.dali import PatchStream

    if not files:
        return
    device_id = (engine.device.index or 0) if engine.device.type == "cuda" else None
    size, scale, step = settings.patch, settings.scale, settings.step
    stream = PatchStream(files, scale=scale, patch=size, stride=step, device_id=device_id, threads=threads)
    for number, image in stream.images():
        file = files[number]
        if number % COMPARED_EVERY == 0 and not np.array_equal(image.cpu().numpy(), read_rgb(file.path)):
            raise RunError(
                f"loader: dali decodes {file.path} to other pixels than srfast, so scores would differ: leave it out"
            )
        xs, ys = grid(image.shape[0], image.shape[1], scale, size, step)
        if not (len(xs) and len(ys)):
            yield Outcome(file, small=(image.shape[0], image.shape[1]))
            continue
        scores = engine.on_device(image, xs, ys, size, settings.mode)
        blocks = blockiness(image.cpu().numpy(), xs, ys, size, threads) if settings.blockiness else None
        yield scored(file, xs, ys, size, scores, blocks)
