"""One cell: its training, its evaluations with the errors of tiles, and the results in its folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from srfast.data.atomic import checksum
from srfast.errors import InputError, RunError
from srfast.evaluation.evaluator import evaluate
from srfast.evaluation.metrics import Protocol, protocol_of
from srfast.models.registry import describe
from srfast.ops import reference
from srfast.ops.color import to_y
from srfast.ops.device import resolve_device
from srfast.runtime.interrupts import interrupted
from srfast.runtime.locks import Lock, Taken, is_taken
from srfast.study import pool, results
from srfast.study.cells import Cell
from srfast.study.description import DEGRADED, Study
from srfast.training import checkpoint
from srfast.training.loop import train
from srfast.training.plan import Plan

LOCK = "lock"
LOG_EVERY = 100
_READERS = 4  # threads that read images ahead of a GPU


@dataclass(frozen=True)
class CellOutcome:
    """The outcome of a cell."""

    cell: Cell
    state: str
    """"done", "elsewhere" (another process runs it), "interrupted" or "failed"."""
    text: str = ""
    """Mean PSNR on each test set, or the reason of a failure."""
    seconds: float = 0.0
    """Seconds of this call."""


def run_cell(study: Study, cell: Cell, scored: pool.Scored, test: Mapping[str, list[str]], folder: Path) -> CellOutcome:
    """Runs a cell into its folder on one thread, or continues it where it stopped. ``scored`` are the scores of the
    pool by its scorer, and ``test`` the files of each test set."""
    began = time.perf_counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with cell_folder(folder):
            text = "finished before" if results.finished(folder) else _run(study, cell, scored, test, folder)
    except Taken:
        return CellOutcome(cell, "elsewhere")
    except (InputError, RunError, OSError) as error:
        return CellOutcome(cell, "failed", " ".join(str(error).split()))
    finally:
        torch.set_num_threads(threads)
    return CellOutcome(cell, "done", text, time.perf_counter() - began)


@contextmanager
def cell_folder(folder: Path) -> Iterator[None]:
    """The folder of a cell, held by this process; raises Taken while another one holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with Lock.take(folder / LOCK, folder):
        yield


def _run(study: Study, cell: Cell, scored: pool.Scored, test: Mapping[str, list[str]], folder: Path) -> str:
    began = time.perf_counter()
    coreset = pool.select_cell(cell, pool.scores(scored.table))
    selecting = time.perf_counter() - began
    store = pool.store_of(cell, coreset, study, scored.table)
    plan = Plan(
        study.network(cell.model),
        cell.scale,
        cell.updates,
        study.recipe_of(cell.arm, cell.model, cell.scale),
        cell.seed,
        study.precision,
        study.options.get(cell.model, {}),
        redraw=cell.keep if cell.arm.redraw == "pass" else 1.0,
    )
    threads = _READERS if resolve_device(study.device) == "cuda" else 1
    trained = train(
        plan, store, folder, resume=True, log_every=LOG_EVERY, save_every=study.save_every, device=study.device,
        threads=threads, quiet=True,
    )  # fmt: skip
    protocol = protocol_of(describe(study.network(cell.model)).color)
    scoring = scored.seconds + scored.targets.get(cell.arm.column, 0.0)
    # Whether scoring is part of the cost of the cell; bicubic and Sobel are columns of the same table.
    scored_for = cell.arm.of_loss or (cell.keep < 1 and dict(cell.arm.select) != {"method": "random"})
    fixed = {
        **{name: getattr(cell, name) for name in ("model", "scale", "keep", "updates", "seed", "pool")},
        "cell": cell.name,
        "arm": cell.arm.name,
        "seconds": results.training_steps(folder)[1],
        "scoring_seconds": scoring + selecting if scored_for else 0.0,
        "scorer": Path(scored.scorer).name,
        "patches": len(coreset),
    }
    rows, strata, text = [], [], []
    evaluating = time.perf_counter()
    for name, files in test.items():
        errors = TileErrors(files, cell.scale, protocol)

        def inspect(*image: Any, errors: TileErrors = errors) -> None:
            if interrupted():  # an evaluation of minutes is no step to be finished
                raise KeyboardInterrupt
            errors.inspect(*image)

        evaluation = evaluate(
            trained.weights, files, scale=cell.scale, protocol=protocol, device=study.device, inspect=inspect,
            degradation=study.degradation if study.degradation and name.endswith(DEGRADED) else None,
        )  # fmt: skip
        rows += [{**fixed, "dataset": name, **asdict(image)} for image in evaluation.images]
        strata += [{"cell": cell.name, "dataset": name, **asdict(row)} for row in errors.rows]
        text.append(f"{name} {evaluation.psnr:.3f} dB")
    about = {
        "protocol": protocol,
        "loss": trained.loss,
        "weights": checksum(trained.weights),
        "seconds": {
            "train": fixed["seconds"],
            "select": round(selecting, 3),
            "evaluate": round(time.perf_counter() - evaluating, 2),
        },
    }
    results.write_cell(folder, results.settings_of(study, cell, dict(test)), about, rows, strata)
    # A finished cell is never run again; its weights and log stay.
    (folder / checkpoint.LAST).unlink(missing_ok=True)
    return ", ".join(text)


def running(folder: Path) -> bool:
    """Whether a process is running this cell."""
    return is_taken(folder / LOCK)


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


class TileErrors:
    """Collects the errors of a model while ``evaluate`` goes over a test set; a border as wide as the scale is left
    out."""

    def __init__(self, files: Sequence[str], scale: int, protocol: Protocol) -> None:
        self.rows: list[TileError] = []
        self._scale = scale
        self._protocol = protocol
        self._strata = _strata(tuple(files), scale, protocol)

    def inspect(self, name: str, sr: np.ndarray, hr: np.ndarray) -> None:
        error = _tile_means(_squared_error(sr, hr, self._scale, self._protocol))
        for stratum, tiles in self._strata[name].items():
            if tiles.any():
                inside = error[tiles]
                self.rows.append(TileError(name, stratum, inside.size * TILE**2, float(inside.mean())))


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
