"""What is done with one image, wherever it is done: decode it, score its patches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from srfast.data.grid import grid
from srfast.data.images import ImageFile, read_rgb
from srfast.data.lowres import LowRes, read_lr
from srfast.errors import InputError
from srfast.ops.blockiness import blockiness
from srfast.scoring.backends.base import Engine, Scores, TakesSeveral, check_finite
from srfast.scoring.backends.choice import make_engine, make_pair_engine
from srfast.scoring.network import Network, load_network
from srfast.scoring.parts import Outcome
from srfast.scoring.settings import ScoreSettings
from srfast.scoring.table import image_rows

LARGE = 1 << 23
"""Pixels from which the workers score one image together instead of each its own: memory for one, not for each."""


def open_job(settings: ScoreSettings, workers: int) -> tuple[Network, Job]:
    """Loads the network and makes the engine.

    Raises:
        InputError, RunError: as ``load_network`` and ``make_engine``.
    """
    network = load_network(settings.scorer, settings.scale)
    make = make_engine if settings.lr_images is None else make_pair_engine
    return network, Job(make(network, settings, threads=workers), settings, workers)


@dataclass(frozen=True)
class Decoded:
    """An image, and its LR image where that exists already."""

    hr: np.ndarray
    lr: np.ndarray | None = None
    blocks: np.ndarray | None = None
    """``blockiness`` of the windows."""


Read: TypeAlias = "tuple[ImageFile, Decoded | Outcome]"


@dataclass(frozen=True)
class Job:
    """One engine, and what it shall do."""

    engine: Engine
    settings: ScoreSettings
    workers: int
    _whole: threading.Lock = field(default_factory=threading.Lock)

    def grid(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows of the windows of an image."""
        return grid(image.shape[0], image.shape[1], self.settings.scale, self.settings.patch, self.settings.step)

    def decode(self, file: ImageFile) -> Decoded | Outcome:
        """The image, or why there is nothing to score."""
        try:
            hr = read_rgb(file.path)
            lr = None
            if self.settings.lr_images is not None:
                pairs = LowRes(Path(self.settings.lr_images), self.settings.lr_template)
                lr = read_lr(pairs.find(file.name), hr, file.path, self.settings.scale)
        except InputError as error:
            return Outcome(file, skipped=str(error))
        xs, ys = self.grid(hr)
        if not (len(xs) and len(ys)):
            return Outcome(file, small=(hr.shape[0], hr.shape[1]))
        blocks = None
        if self.settings.blockiness:  # by the workers, where the engine runs on the calling thread
            threads = self.workers if hr.shape[0] * hr.shape[1] > LARGE else 1
            blocks = blockiness(hr, xs, ys, self.settings.patch, threads)
        return Decoded(hr, lr, blocks)

    def score(self, file: ImageFile, image: Decoded | Outcome, threads: int) -> Outcome:
        """The rows of an image."""
        if isinstance(image, Outcome):
            return image
        hr = image.hr
        if threads < self.workers and hr.shape[0] * hr.shape[1] > LARGE:
            with self._whole:
                return self.score(file, image, self.workers)
        xs, ys = self.grid(hr)
        size, dense = self.settings.patch, self.settings.mode == "dense"
        given = {} if image.lr is None else {"lr": image.lr}
        scores = (self.engine.dense if dense else self.engine.windows)(hr, xs, ys, size, threads, **given)
        return scored(file, xs, ys, size, scores, image.blocks)

    def score_together(self, group: list[Read]) -> Iterator[Outcome]:
        """The outcomes of several images by one call of an engine that has ``windows_of``."""
        assert isinstance(self.engine, TakesSeveral)
        images = [image.hr for _, image in group if isinstance(image, Decoded)]
        grids = [self.grid(image) for image in images]
        size = self.settings.patch
        found = iter(zip(self.engine.windows_of(images, grids, size) if images else [], grids, strict=True))
        for file, image in group:
            if isinstance(image, Outcome):
                yield image
                continue
            scores, (xs, ys) = next(found)
            yield scored(file, xs, ys, size, scores, image.blocks)


def scored(
    file: ImageFile, xs: np.ndarray, ys: np.ndarray, size: int, scores: Scores, blocks: np.ndarray | None
) -> Outcome:
    """The rows of an image; RunError where a loss is not finite."""
    check_finite(scores.loss, str(file.path))
    return Outcome(file, image_rows(file.name, xs, ys, size, scores.loss, scores.bicubic, scores.sobel, blocks))
