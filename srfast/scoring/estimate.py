"""The time that a run in patch mode will take, and that dense mode would, estimated on one image before the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from srfast.data.grid import Grid
from srfast.data.images import ImageFile, image_size, read_rgb
from srfast.data.shrink import side
from srfast.errors import InputError
from srfast.runtime.progress import clock
from srfast.scoring.backends.protocol import Engine
from srfast.scoring.settings import AUTO, ScoreSettings

OVERLAP = 8
"""Times that patch mode computes a pixel, from which on the time is estimated."""
WORTH_SAYING = 30.0
"""Seconds that patch mode must take for dense mode to be proposed."""
_FILES = 32
"""Number of headers that are read to estimate the pixels of a dataset."""
_WINDOWS = 64
"""Number of patches that are timed."""


@dataclass(frozen=True)
class Estimate:
    """Seconds in both modes, without decoding, and the number of patches."""

    patches: int
    patch: float
    dense: float

    def sentence(self) -> str:
        return (
            f"patch mode computes {self.patches:,} overlapping patches one by one, about {clock(self.patch)}; "
            f"`mode` dense takes about {clock(self.dense)} and ranks alike (docs/results/agreement.md)"
        )


def estimate(files: Sequence[ImageFile], engine: Engine, settings: ScoreSettings, workers: int) -> Estimate | None:
    """The estimate; None if patches hardly overlap, or no image can be read."""
    if settings.mode != "patch" or not files or (settings.patch / settings.step) ** 2 < OVERLAP:
        return None
    looked = files[:: max(1, len(files) // _FILES)]
    pixels = windows = 0
    for file in looked:
        try:
            width, height = image_size(file.path)
        except Exception:  # the run itself says what is wrong with a file
            continue
        for factor in (1.0 if size == AUTO else float(Fraction(size)) for size in settings.shrink):
            h, w = side(height, factor), side(width, factor)
            if grid := settings.grid(h, w):
                pixels += h * w
                windows += len(grid)
    sample = _sample(looked, settings)
    if sample is None or not windows:
        return None
    image, grid = sample
    few = Grid(grid.xs[:_WINDOWS], grid.ys[: max(1, _WINDOWS // len(grid.xs))], grid.size)
    each = _seconds(lambda: engine.windows(image, few, 1)) / len(few)
    whole = _seconds(lambda: engine.dense(image, grid, 1)) / (image.shape[0] * image.shape[1])
    share = len(files) / len(looked) / (workers if engine.concurrent else 1)
    return Estimate(round(windows * len(files) / len(looked)), each * windows * share, whole * pixels * share)


def _sample(files: Sequence[ImageFile], settings: ScoreSettings) -> tuple[np.ndarray, Grid] | None:
    """The first image that has patches, cropped to a megapixel, and its grid."""
    for file in files:
        try:
            image = np.ascontiguousarray(read_rgb(file.path)[:1024, :1024])
        except InputError:
            continue
        if grid := settings.grid(*image.shape[:2]):
            return image, grid
    return None


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
