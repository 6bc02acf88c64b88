"""The work on one image, on whatever machine: decode it, and score its patches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa

from srfast.data.grid import Grid
from srfast.data.images import ImageFile, read_hashed, read_noted
from srfast.data.lowres import LowRes, check_size
from srfast.data.shrink import shrunk
from srfast.errors import InputError
from srfast.ops.blockiness import blockiness
from srfast.scoring.backends.choice import make_engine, make_pair_engine
from srfast.scoring.backends.protocol import Engine, Scores, TakesSeveral, check_finite
from srfast.scoring.defect_columns import choose, measure
from srfast.scoring.metadata import Outcome
from srfast.scoring.network import Network, load_network
from srfast.scoring.settings import AUTO, ScoreSettings
from srfast.scoring.table import arrow, nullable, repeated, schema_with

LARGE = 1 << 23
"""Pixels from which on all workers score one image together instead of each its own. The memory for it is that of one
image at work, and of the next as it ends."""


def open_job(settings: ScoreSettings, workers: int) -> tuple[Network, Job]:
    """Loads the network and makes the engine. Raises InputError if ``load_network`` or ``make_engine`` refuses the
    settings, and RunError if the network or the engine cannot be used."""
    network = load_network(settings.scorer, settings.scale)
    make = make_engine if settings.lr_images is None else make_pair_engine
    return network, Job(make(network, settings, threads=workers), settings, workers)


@dataclass(frozen=True)
class Sized:
    """An image at one of the sizes at which it is scored, and its given LR image, if there is one."""

    size: str
    """The size as a fraction; "1" is the image as it is."""
    hr: np.ndarray
    grid: Grid
    lr: np.ndarray | None = None
    more: dict[str, np.ndarray] | None = None
    """Further columns of the windows: ``blockiness``, or defects."""


@dataclass
class Decoded:
    """An image at those of its sizes that are not smaller than a patch, the largest first; none if it is unreadable."""

    outcome: Outcome
    """The outcome without its rows; what it says of sizes is complete once all sizes were made."""
    sizes: Iterable[Sized] = ()


@dataclass(frozen=True)
class Job:
    """One engine, and the settings of its work."""

    engine: Engine
    settings: ScoreSettings
    workers: int

    def open(self, file: ImageFile) -> Decoded:
        """The image, each size of which is made on demand."""
        try:
            hr, hashes = read_noted(file.path)
            lr = None
            if self.settings.lr_images is not None:
                path = LowRes(Path(self.settings.lr_images), self.settings.lr_template).find(file.name)
                lr, hashes["lr_sha256"] = read_hashed(path)
                check_size(path, lr.shape[:2], file.path, hr.shape[:2], self.settings.scale)
        except InputError as error:
            return Decoded(Outcome(file, skipped=str(error)))
        outcome = Outcome(file, hashes=hashes)
        if self.settings.shrink == (AUTO,):
            return Decoded(outcome, self._chosen(outcome, hr))
        every = (self._sized(outcome, hr, lr, str(size)) for size in self.settings.shrink)
        return Decoded(outcome, (sized for sized in every if sized is not None))

    def decode(self, file: ImageFile) -> Decoded:
        """Opens an image with all sizes made."""
        image = self.open(file)
        return Decoded(image.outcome, list(image.sizes))

    def _chosen(self, outcome: Outcome, whole: np.ndarray) -> Iterator[Sized]:
        """The sizes that the rule of ``choose`` takes."""
        made: dict[str, Sized] = {}

        def measured(size: str) -> dict[str, np.ndarray] | None:
            if (sized := self._sized(outcome, whole, None, size)) is not None:
                made[size] = sized
            return None if sized is None else sized.more

        chosen = choose(measured)
        outcome.tried.update(chosen.tried)
        if chosen.sizes:
            outcome.small.clear()  # smaller sizes that hold no patch need no mention
        yield from (made[size] for size in chosen.sizes)

    def _sized(self, outcome: Outcome, whole: np.ndarray, lr: np.ndarray | None, size: str) -> Sized | None:
        """The image at a size; None if it is smaller than a patch there."""
        hr = shrunk(whole, float(Fraction(size)))
        h, w = hr.shape[:2]
        grid = self.settings.grid(h, w)
        if not grid:
            outcome.small[size if self.settings.several_sizes else ""] = h, w
            return None
        # By the workers, where the engine runs on the calling thread.
        threads = self.workers if h * w > LARGE else 1
        return Sized(size, hr, grid, lr, self.more(outcome.file if hr is whole else None, hr, grid, threads, lr))

    def more(
        self, file: ImageFile | None, hr: np.ndarray, grid: Grid, threads: int, lr: np.ndarray | None = None
    ) -> dict[str, np.ndarray] | None:
        """The columns beside the scores, by name; ``file`` is None if the image differs from its file."""
        if self.settings.defects:
            path = None if file is None else file.path
            return measure(hr, path, grid, threads=threads, lr=lr, scale=self.settings.scale)
        if self.settings.blockiness:
            return {"blockiness": blockiness(hr, grid.xs, grid.ys, grid.size, threads)}
        return None

    def score(self, image: Decoded, threads: int) -> Outcome:
        """Returns the outcome of an image with its rows."""
        run = self.engine.dense if self.settings.mode == "dense" else self.engine.windows
        rows = []
        for sized in image.sizes:
            several = self.workers if sized.hr.shape[0] * sized.hr.shape[1] > LARGE else threads
            rows.append(self._scored(image.outcome.file, sized, run(sized.hr, sized.grid, several, sized.lr)))
        return _with_rows(image.outcome, rows)

    def submit(self, group: list[Decoded]) -> Callable[[], Iterator[Outcome]]:
        """Starts several images by one call of an engine that takes several; the returned function waits for their
        outcomes. The images may be freed after the call."""
        assert isinstance(self.engine, TakesSeveral)
        sizes = [sized for image in group for sized in image.sizes]
        images, grids = [sized.hr for sized in sizes], [sized.grid for sized in sizes]
        wait_for_scores = self.engine.submit(images, grids, self.settings.mode == "dense") if sizes else list
        none = np.zeros((0, 0, 3), np.uint8)
        light = [(image.outcome, [replace(s, hr=none, lr=None) for s in image.sizes]) for image in group]

        def wait() -> Iterator[Outcome]:
            scores = iter(wait_for_scores())
            for outcome, sizes in light:
                yield _with_rows(outcome, [self._scored(outcome.file, sized, next(scores)) for sized in sizes])

        return wait

    def _scored(self, file: ImageFile, sized: Sized, scores: Scores) -> pa.Table:
        """The rows of an image at one size. Raises RunError if a loss is not finite."""
        check_finite(scores.loss, str(file.path))
        grid, n, several = sized.grid, len(sized.grid), self.settings.several_sizes
        more = sized.more or {}
        columns = [
            repeated(file.name, n),
            arrow(np.tile(grid.xs, len(grid.ys)), np.int32),
            arrow(np.repeat(grid.ys, len(grid.xs)), np.int32),
            arrow(np.full(n, grid.size), np.int32),
            *([arrow(np.full(n, float(Fraction(sized.size))), np.float32)] if several else []),
            *(arrow(column, np.float32) for column in (scores.loss, scores.bicubic, scores.sobel)),
            *map(nullable, more.values()),
        ]
        return pa.Table.from_arrays(columns, schema=schema_with(more, several))


def _with_rows(outcome: Outcome, rows: list[pa.Table]) -> Outcome:
    outcome.rows = pa.concat_tables(rows) if rows else None
    return outcome


def pipelined(waits: Iterator[Callable[[], Iterable[Outcome]]]) -> Iterator[Outcome]:
    """Yields the outcomes of groups of images, each after the next group is submitted, so that the device works while
    scores are fetched. If submitting fails, the previous group comes first."""
    behind = next(waits, None)
    while behind is not None:
        try:
            ahead = next(waits, None)
        except Exception:
            yield from behind()
            raise
        yield from behind()
        behind = ahead
