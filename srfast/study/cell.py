"""One cell: its training, its evaluations with the errors of tiles, and the results in its folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from srfast.data.atomic import checksum
from srfast.errors import InputError, RunError
from srfast.evaluation.evaluator import evaluate_tiles
from srfast.evaluation.metrics import protocol_of
from srfast.evaluation.settings import EvaluateSettings
from srfast.ops.device import resolve_device
from srfast.runtime.locks import Lock, Taken, is_taken
from srfast.scoring.table import ScoreTable
from srfast.study import pool, results
from srfast.study.description import DEGRADED, Cell, Study, plan_of
from srfast.training import checkpoint
from srfast.training.loop import train

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
    plan, settings = plan_of(study, cell), results.settings_of(study, cell, dict(test))
    began = time.perf_counter()
    coreset, weights = pool.weighted_cell(cell, ScoreTable.read(scored.table))
    selecting = time.perf_counter() - began
    store = pool.store_of(plan, coreset, study, scored.table, weights)
    threads = _READERS if resolve_device(study.device) == "cuda" else 1
    trained = train(
        plan, store, folder, resume=True, log_every=LOG_EVERY, save_every=study.save_every, device=study.device,
        threads=threads, quiet=True,
    )  # fmt: skip
    fixed = {
        **{name: getattr(cell, name) for name in ("model", "scale", "keep", "updates", "seed", "pool")},
        "cell": cell.name,
        "arm": cell.arm.name,
        "seconds": results.training_steps(folder)[1],
        "scoring_seconds": scored.seconds_of(cell.arm) + selecting if cell.needs_scores else 0.0,
        "scorer": Path(scored.scorer).name,
        "patches": len(coreset),
    }
    protocol = protocol_of(plan.color)
    rows, strata, text = [], [], []
    evaluating = time.perf_counter()
    for name, files in test.items():
        degradation = study.degradation if study.degradation and name.endswith(DEGRADED) else None
        how = EvaluateSettings(scale=cell.scale, protocol=protocol, device=study.device, degradation=degradation)
        evaluation, errors = evaluate_tiles(trained.weights, files, how)
        rows += [{**fixed, "dataset": name, **asdict(image)} for image in evaluation.images]
        strata += [{"cell": cell.name, "dataset": name, **asdict(row)} for row in errors]
        text.append(f"{name} {evaluation.psnr:.3f} dB")
    seconds = {
        "train": fixed["seconds"],
        "select": round(selecting, 3),
        "evaluate": round(time.perf_counter() - evaluating, 2),
    }
    about = {"protocol": protocol, "loss": trained.loss, "weights": checksum(trained.weights), "seconds": seconds}
    results.write_cell(folder, settings, about, rows, strata)
    # A finished cell is never run again; its weights and log stay.
    (folder / checkpoint.LAST).unlink(missing_ok=True)
    return ", ".join(text)


def running(folder: Path) -> bool:
    """Whether a process is running this cell."""
    return is_taken(folder / LOCK)
