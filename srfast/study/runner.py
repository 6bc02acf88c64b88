"""Running a study: what is left of it, in one process or several."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from srfast.data.files import output_folder
from srfast.data.provenance import kind_of
from srfast.errors import InputError, RunError
from srfast.ops.device import resolve_device
from srfast.study import pool, results
from srfast.study.cells import Cell, cells, pick
from srfast.study.description import Study, read_study
from srfast.study.ready_made import find_runnable
from srfast.study.results import Results
from srfast.study.running import Outcome, run_cell, running
from srfast.study.taken_over import Known, take_over

Progress = Callable[[Outcome, int, int], None]
"""Called after each cell with how it ended, the number of cells done and the number of all."""
CELLS = "cells"
KIND = "study"


def run_study(
    study: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    images: Sequence[str | os.PathLike[str]] = (),
    test: Mapping[str, str | os.PathLike[str]] | None = None,
    jobs: int | None = 1,
    only: str | None = None,
    shard: tuple[int, int] | None = None,
    known: Sequence[str | os.PathLike[str]] = (),
    progress: Progress | None = None,
) -> Results:
    """Runs a study, or what is left of it: a grid of selections, models, budgets and seeds.

    Every cell (one training and its evaluations) has a folder of its own under ``out``/cells and is never run again
    once it has finished; one that was killed goes on from its last checkpoint, with the results of an undisturbed run.
    The last weights are evaluated, not the best ones.

    Args:
        study: The TOML file, or the name of a ready-made one (``how-much.toml``), which then needs ``images``.
        out: Folder of the study: cells/, scores of the pool, and the gathered results.parquet, strata.parquet and
            log.parquet. Several machines may share it.
        images: Training images instead of those of the file; a part of them (``data.holdout``) is then the test set,
            unless ``test`` names one.
        test: Test sets instead of those of the file: name to folder.
        jobs: Processes, each with one thread; results do not depend on how many. None: one a core, on a GPU one.
        only: Pattern of cell names.
        shard: (i, n): only every n-th cell from the i-th on.
        known: Folders with results of other runs, or published ones: a cell that has finished there, with the same
            settings and data, is taken over instead of run. It comes without weights.
        progress: Called after every cell.

    Returns:
        The results of all finished cells.

    Raises:
        InputError: a wrong study or argument, or results in ``out`` that were made with other settings.
        RunError: a cell failed (the others were run), or an extra is missing.
    """
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise InputError(f"jobs: expected at least 1, got {jobs!r}")
    path, own = Path(study), [Path(i) for i in images]
    described = read_study(find_runnable(path, own), own, {k: Path(v) for k, v in (test or {}).items()})
    jobs = jobs or default_jobs(described)
    every = cells(described)
    chosen = pick(every, only, shard)
    elsewhere = [Known(Results.read(k)) for k in known]
    data = pool.find_data(described)
    folder = _folder(out)
    for cell in every:
        if results.finished(place := place_of(folder, cell)):
            results.check_finished(place, results.settings_of(described, cell, data.test))
    todo = [c for c in chosen if not results.finished(place_of(folder, c))]
    failures = []
    try:
        with _terminated_is_interrupted():
            scored = {
                key: pool.score_pool(described, data, folder, *key, jobs)
                for key in dict.fromkeys((c.scorer, c.scale) for c in todo)
            }
            if elsewhere:
                places = {c.name: place_of(folder, c) for c in todo}
                todo = take_over(elsewhere, described, todo, data.test, scored, places)
            tasks = [(described, c, scored[c.scorer, c.scale], data.test, place_of(folder, c)) for c in todo]
            for done, outcome in enumerate(_outcomes(tasks, jobs), len(chosen) - len(todo) + 1):
                if outcome.state == "failed":
                    failures.append(outcome)
                if progress:
                    progress(outcome, done, len(chosen))
    finally:
        found = _gather(described, every, folder)
    if failures:
        raise RunError(f"{len(failures)} of {len(chosen)} cells failed; {failures[0].cell.name}: {failures[0].text}")
    return found


@dataclass(frozen=True)
class Status:
    """How far a study is."""

    done: list[str]
    running: list[str]
    left: list[str]
    seconds: float | None
    """Left, by the pace of the cells that are done and for that many jobs; None while nothing is done."""
    jobs: int


def status(study: Study, out: str | os.PathLike[str], jobs: int | None = None) -> Status:
    """How far a study is, by the files in its folder."""
    jobs = jobs or default_jobs(study)
    every = cells(study)
    folder = Path(out)
    done = [c for c in every if results.finished(place_of(folder, c))]
    open_ = [c for c in every if c not in done]
    at_work = [c for c in open_ if running(place_of(folder, c))]
    pace = _pace([place_of(folder, c) for c in done])
    seconds = sum(pace(c) for c in open_) / jobs if pace else None
    return Status(_names(done), _names(at_work), _names([c for c in open_ if c not in at_work]), seconds, jobs)


def _names(some: Sequence[Cell]) -> list[str]:
    return [c.name for c in some]


def _pace(folders: Sequence[Path]) -> Callable[[Cell], float] | None:
    """Seconds of a cell, from the finished ones: updates cost what they cost for that model, evaluations the same."""
    if not folders:
        return None

    updates: dict[str, float] = {}
    training: dict[str, float] = {}
    evaluating = 0.0
    for place in folders:
        known = json.loads((place / results.SETTINGS).read_text())
        model = known["settings"]["model"]
        updates[model] = updates.get(model, 0) + known["settings"]["updates"]
        training[model] = training.get(model, 0) + known["seconds"]["train"]
        evaluating += known["seconds"]["evaluate"] / len(folders)
    mean = sum(training.values()) / sum(updates.values())
    return lambda c: evaluating + c.updates * (training[c.model] / updates[c.model] if c.model in updates else mean)


def gather(study: Study, out: str | os.PathLike[str]) -> Results:
    """Gathers the results of all finished cells anew, also while the study runs.

    Raises:
        InputError: no study has been run into ``out``.
    """
    if not begun(Path(out)):
        raise InputError(f"{out}: expected the folder of a study")
    return _gather(study, cells(study), Path(out))


def default_jobs(study: Study) -> int:
    """One process on a GPU, else one a core that this process may use."""
    if resolve_device(study.device) == "cuda":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def place_of(folder: Path, cell: Cell) -> Path:
    """The folder of a cell."""
    return folder / CELLS / cell.name


def _folder(out: str | os.PathLike[str]) -> Path:
    """The study's folder: an earlier one, a new or an empty one. Several machines share it; cells have locks."""
    folder = Path(os.path.abspath(out))
    if not begun(folder):
        with output_folder(folder, KIND, shared=True):
            (folder / CELLS).mkdir(exist_ok=True)
    return folder


def begun(folder: Path) -> bool:
    """Whether a study has been run into the folder: it is marked, or older than the mark and has a finished cell."""
    return kind_of(folder) == KIND or any((folder / CELLS).glob(f"*/{results.SETTINGS}"))


def _gather(study: Study, every: Sequence[Cell], folder: Path) -> Results:

    scoring = []
    for number, scale in product(range(len(study.scorers)), study.scales):
        table = pool.scores_file(folder, number, scale)
        about = table.with_suffix(".json")
        if about.exists():
            known = json.loads(about.read_text())
            quantiles = np.quantile(pool.scores(str(table)).column("loss"), np.linspace(0, 1, 101))
            scoring.append(
                {
                    "scorer": Path(study.scorers[number]).name,
                    "scale": scale,
                    **{k: known[k] for k in ("patches", "seconds")},
                    "loss_quantiles": [float(f"{q:.6g}") for q in quantiles],
                }
            )
    found = results.gather(study, [place_of(folder, c) for c in every], scoring)
    found.write(folder)
    return found


def _outcomes(tasks: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[Outcome]:
    """Runs cells as processes become free, in the order of the tasks."""
    if jobs == 1 or len(tasks) < 2:
        yield from (run_cell(*task) for task in tasks)
        return
    try:
        import joblib
    except ImportError:
        raise RunError("jobs: several processes need joblib: pip install 'srfast[study]'") from None
    _check_semaphores()
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs, batch_size=1)
        yield from parallel(joblib.delayed(_of_parent)(os.getpid(), *task) for task in tasks)


def _of_parent(parent: int, *task: Any) -> Outcome:
    """``run_cell`` in a process that ends with its parent: after a kill nobody would wait for its cell."""
    _ends_with(parent)
    return run_cell(*task)


@lru_cache(maxsize=1)
def _ends_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        # As a kill: the cell goes on from its last checkpoint.
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _check_semaphores() -> None:
    """Where there are none, joblib takes threads without a word, and the cells would share torch's settings."""
    try:
        multiprocessing.get_context("spawn").Semaphore()
    except OSError as error:
        raise RunError(f"jobs: several processes need semaphores ({error.strerror}: /dev/shm); or --jobs 1") from None


@contextlib.contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """SIGTERM ends a study as Ctrl-C does: results are gathered, processes are ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


def clock(seconds: float) -> str:
    """A duration for a person."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{max(1, minutes)} min"
