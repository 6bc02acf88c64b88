"""Runs the remaining cells of a study, in one process or several."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from srfast.data.atomic import scratch_folder
from srfast.data.files import output_folder
from srfast.errors import RunError
from srfast.runtime.interrupts import finishing, interrupted, kept_from_children, obey
from srfast.runtime.optional import needing
from srfast.scoring.settings import Scale
from srfast.settings import whole
from srfast.study import pool, results
from srfast.study.cell import CellOutcome, run_cell
from srfast.study.description import Cell, cells, pick
from srfast.study.file import find_runnable, read_study
from srfast.study.folder import KIND, begun, default_jobs, described, gather
from srfast.study.results import CELLS, Results, place_of

Progress = Callable[[CellOutcome, int, int], None]
"""A function that is called after each cell with its outcome, the number of finished cells and the number of all."""


def run_study(
    study: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    images: Sequence[str | os.PathLike[str]] = (),
    test: Mapping[str, str | os.PathLike[str]] | None = None,
    jobs: int | None = 1,
    only: str | None = None,
    shard: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Results:
    """Runs the remaining cells of a study: a grid of selections, models, budgets and seeds.

    Every cell (one training and its evaluations) has a folder of its own under ``output``/cells and is never run again
    once it has finished. A cell that was killed continues from its last checkpoint and ends with the same results. The
    last weights are evaluated, not the best ones.

    Args:
        study: The TOML file, or the name of a ready-made one (``how-much.toml``), which then needs ``images``.
        output: Folder of the study, for cells/, scores of the pool, and the gathered results.parquet, strata.parquet
            and log.parquet. Several machines may share it.
        images: Training images instead of those of the file; a part of them (``data.holdout``) is then the test set,
            unless ``test`` names one.
        test: Test sets instead of those of the file: name to folder.
        jobs: Number of processes, each with one thread; results do not depend on it. None takes one per core, or one on
            a GPU.
        only: Pattern of cell names, with * and ?.
        shard: (i, n): only every n-th cell, from the i-th on.
        progress: Function that is called after every cell.

    Returns:
        The results of all finished cells.

    Raises:
        InputError: the study or an argument is wrong, or results in ``output`` were made with other settings.
        RunError: a cell failed (the others were run), or an extra is missing.
    """
    if jobs is not None:
        whole(1).check("jobs", jobs)
    run = Run(study, output, images, test)
    chosen = pick(run.every, only, shard)
    run.begin()
    return run.run(chosen, jobs, progress)


class Run:
    """A study that is run into a folder, with the arguments and errors of ``run_study``."""

    def __init__(
        self,
        study: str | os.PathLike[str],
        output: str | os.PathLike[str],
        images: Sequence[str | os.PathLike[str]] = (),
        test: Mapping[str, str | os.PathLike[str]] | None = None,
    ) -> None:
        path, own = Path(study), [Path(i) for i in images]
        self.study = read_study(find_runnable(path, own), own, {k: Path(v) for k, v in (test or {}).items()})
        self.every = cells(self.study)
        self.data = pool.find_data(self.study)
        self.folder = Path(os.path.abspath(output))

    def begin(self) -> None:
        """Makes the folder, or checks that its finished cells are those of this study. Raises InputError if they were
        made with other settings, or of other images."""
        # Several machines may share the folder, since cells have locks.
        if not begun(self.folder):
            with output_folder(self.folder, KIND, shared=True):
                (self.folder / CELLS).mkdir(exist_ok=True)
        before = [c for c in self.every if results.finished(place_of(self.folder, c))]
        for cell in before:
            settings = results.settings_of(self.study, cell, self.data.test)
            results.check_finished(place_of(self.folder, cell), settings)
        for scorer, scale in dict.fromkeys((c.scorer, c.scale) for c in before):
            pool.check_scored(self.study, self.data, self.folder, scorer, scale)

    def left(self, chosen: Sequence[Cell]) -> list[Cell]:
        """Those of some cells that have not finished."""
        return [c for c in chosen if not results.finished(place_of(self.folder, c))]

    def scored(self, some: Sequence[Cell], jobs: int) -> dict[tuple[int, Scale], pool.Scored]:
        """The scores of the pool that some cells need, made if they are missing: (scorer, scale) -> the table."""
        keys = dict.fromkeys((c.scorer, c.scale) for c in some)
        return {key: pool.score_pool(self.study, self.data, self.folder, *key, jobs) for key in keys}

    def run(self, chosen: Sequence[Cell], jobs: int | None = 1, progress: Progress | None = None) -> Results:
        """Runs those of some cells that have not finished, and gathers the results of all."""
        jobs = jobs or default_jobs(self.study)
        gather(self.study, self.folder)  # from here on the folder records what is run in it
        todo, failures = self.left(chosen), []
        done = len(chosen) - len(todo)
        try:
            scored = self.scored(todo, jobs)
            tasks = [(self.study, c, scored[c.scorer, c.scale], self.data.test, place_of(self.folder, c)) for c in todo]
            for outcome in _outcomes(tasks, jobs):
                done += 1
                if outcome.state == "failed":
                    failures.append(outcome)
                if progress:
                    progress(outcome, done, len(chosen))
        finally:
            # Another run may have begun in the folder meanwhile, with another file; it says what the results are of.
            results = gather(described(self.folder), self.folder)
        if failures:
            raise RunError(
                f"{len(failures)} of {len(chosen)} cells failed; {failures[0].cell.name}: {failures[0].text}"
            )
        return results


def _outcomes(tasks: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[CellOutcome]:
    """Runs cells as processes become free, in the order of the tasks.

    Signals do not reach the processes: the first one makes a file, at which they finish their step and write a
    checkpoint, and which keeps the remaining cells from being begun.
    """
    if jobs == 1 or len(tasks) < 2:
        yield from (run_cell(*task) for task in tasks)
        return
    with needing("jobs: a study in several processes"):
        import joblib
        from joblib.externals.loky import get_reusable_executor
        from joblib.externals.loky.process_executor import TerminatedWorkerError
    _check_semaphores()
    with scratch_folder(None, "study") as place, finishing((stop := place / "stop").touch) as stopping:
        calls = (joblib.delayed(_of_parent)(os.getpid(), str(stop), *task) for task in tasks if not stopping())
        with joblib.parallel_config("loky", inner_max_num_threads=1), kept_from_children():
            how: dict[str, Any] = {"return_as": "generator_unordered", "pre_dispatch": jobs, "batch_size": 1}
            outcomes = joblib.Parallel(n_jobs=jobs, **how)(calls)
        try:
            yield from (outcome for outcome in outcomes if outcome.state != "interrupted")
        except TerminatedWorkerError:
            raise RunError(
                "jobs: a process that trained a cell was killed, perhaps for want of memory",
                hint="the same command continues from there, with fewer `jobs` if memory is short",
            ) from None
        if stopping():
            get_reusable_executor(reuse=True).terminate(kill_workers=True)  # they have nothing left to do


def _of_parent(parent: int, stop: str, *task: Any) -> CellOutcome:
    """``run_cell`` in a process that stops at its parent's file, and ends with its parent; after a kill nobody would
    wait for its cell."""
    _ends_with(parent)
    obey(stop)
    try:
        if not interrupted():
            return run_cell(*task)
    except KeyboardInterrupt:
        pass
    return CellOutcome(task[1], "interrupted")


@lru_cache(maxsize=1)
def _ends_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        # As after a kill, the cell continues from its last checkpoint.
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _check_semaphores() -> None:
    """Refuses machines without semaphores, where joblib would silently take threads and cells would share torch's
    settings."""
    try:
        multiprocessing.get_context("spawn").Semaphore()
    except OSError as error:
        raise RunError(
            f"jobs: several processes need semaphores ({error.strerror}: /dev/shm)", hint="`jobs` 1 needs none"
        ) from None
