"""Runs the remaining cells of a study, in one process or several."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from srfast.data.atomic import atomic_path
from srfast.data.files import output_folder
from srfast.data.scratch import scratch_folder
from srfast.errors import InputError, RunError
from srfast.ops.device import resolve_device
from srfast.runtime.interrupts import finishing, interrupted, kept_from_children, obey
from srfast.runtime.progress import clock
from srfast.runtime.threads import cores
from srfast.study import pool, results
from srfast.study.cells import Cell, cells, pick, serves
from srfast.study.description import Study, read_study
from srfast.study.gathering import KIND, ROUNDS, begun, collect, gather_all, gather_at_the_end, rounds_of
from srfast.study.naming import name_claims
from srfast.study.ready_made import find_runnable
from srfast.study.results import CELLS, Results, finished_cells, place_of
from srfast.study.running import Outcome, run_cell, running
from srfast.study.taken_over import Known, take_over
from srfast.training import checkpoint

Progress = Callable[[Outcome, int, int], None]
"""A function that is called after each cell with its outcome, the number of finished cells and the number of all."""
_SHOWN = 8
"""Number of cells of a kind that ``Status`` lists as text, so that it fits on a screen."""


def run_study(
    study: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    images: Sequence[str | os.PathLike[str]] = (),
    test: Mapping[str, str | os.PathLike[str]] | None = None,
    jobs: int | None = 1,
    only: str | None = None,
    shard: tuple[int, int] | None = None,
    known: Sequence[str | os.PathLike[str]] = (),
    until_decided: bool = False,
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
        known: Folders with results of other runs, or published ones. A cell that has finished there, with the same
            settings and data, is taken from there instead of run; it has no weights.
        until_decided: Whether to run seed after seed, and of each only the cells that an undecided claim compares,
            until every claim about a test set is decided: detected, or shown to be as good. O'Brien and Fleming's
            bounds at 5 % over the number of claims account for looking after every seed; the file's ``seeds`` are the
            largest number.
        progress: Function that is called after every cell.

    Returns:
        The results of all finished cells.

    Raises:
        InputError: the study or an argument is wrong, or results in ``output`` were made with other settings.
        RunError: a cell failed (the others were run), or an extra is missing.
    """
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise InputError(f"jobs: expected at least 1, got {jobs!r}")
    path, own = Path(study), [Path(i) for i in images]
    described = read_study(find_runnable(path, own), own, {k: Path(v) for k, v in (test or {}).items()})
    primary = [c for c in described.claims if not c.stratum]
    if until_decided and not primary:
        raise InputError(f"until_decided: expected [[claim]] without a stratum in {study}, got none")
    jobs = jobs or default_jobs(described)
    every = cells(described)
    chosen = pick(every, only, shard)
    known_results = [Results.read(k) for k in known]
    data = pool.find_data(described)
    for claim in primary if until_decided else ():
        if claim.dataset and claim.dataset not in data.test:
            raise InputError(
                f"until_decided: expected [[claim]] about one of {', '.join(data.test)}, got {claim.dataset!r}"
            )
    folder = _folder(output)
    _check_rounds(described, folder)
    finished = finished_cells(every, folder)
    before = [c for c in every if c.name in finished]
    for cell in before:
        results.check_finished(place_of(folder, cell), results.settings_of(described, cell, data.test))
    for scorer, scale in dict.fromkeys((c.scorer, c.scale) for c in before):
        pool.check_scored(described, data, folder, scorer, scale)
    if until_decided:
        with atomic_path(folder / ROUNDS) as temporary:
            rounds = {"seeds": len(described.seeds), "which": described.seeds}
            temporary.write_text(json.dumps(rounds), encoding="utf-8")
    todo = [c for c in chosen if c.name not in finished]
    sources = [Known(r) for r in known_results]
    taken = [{c.name for c in every if k.has_alike(described, c, data.test)} for k in sources]
    most = len(described.seeds) if until_decided else 0
    name_claims(folder, described, every, list(zip(known_results, taken, strict=True)), most)
    gather_all(described, every, folder)  # from here on the folder tells what is run in it
    failures = []
    try:
        with _terminated_is_interrupted():
            scored = {
                key: pool.score_pool(described, data, folder, *key, jobs)
                for key in dict.fromkeys((c.scorer, c.scale) for c in todo)
            }
            if sources:
                places = {c.name: place_of(folder, c) for c in todo}
                todo = take_over(sources, described, todo, data.test, scored, places)
            done = len(chosen) - len(todo)
            for some in _rounds(described, every, todo, folder) if until_decided else [todo]:
                tasks = [(described, c, scored[c.scorer, c.scale], data.test, place_of(folder, c)) for c in some]
                for outcome in _outcomes(tasks, jobs):
                    done += 1
                    if outcome.state == "failed":
                        failures.append(outcome)
                    if progress:
                        progress(outcome, done, len(chosen))
    finally:
        found = gather_at_the_end(described, every, folder)
    if failures:
        raise RunError(f"{len(failures)} of {len(chosen)} cells failed; {failures[0].cell.name}: {failures[0].text}")
    return found


def _check_rounds(study: Study, folder: Path) -> None:
    """Refuses other seeds than those of the rounds that the folder was run in."""
    known = rounds_of(folder)
    if known and known["seeds"] != len(study.seeds):
        raise InputError(
            f"training.seeds: expected {known['seeds']}, the most of the rounds that {folder} was run in, got "
            f"{len(study.seeds)}; run the study into another folder"
        )
    if (which := known.get("which")) is not None and which != list(study.seeds):
        raise InputError(
            f"training.seeds: expected {which}, those of the rounds that {folder} was run in, got "
            f"{list(study.seeds)}; run the study into another folder"
        )


def _rounds(study: Study, every: Sequence[Cell], todo: Sequence[Cell], folder: Path) -> Iterator[list[Cell]]:
    """The cells of one seed after another that claims need which earlier seeds have not decided."""
    from srfast.study.claims import judged

    for seed in study.seeds:
        found = collect(study, every, folder)
        decided = [j.claim for j in judged(found) if not j.stratum and j.decided]
        undecided = [c for c in found.meta["study"]["claims"] if not c["stratum"] and c not in decided]
        names = {c.name for claim in undecided for c in every if serves(study, c, claim)}
        some = [c for c in todo if c.seed == seed and c.name in names]
        if not names:
            return
        yield some


@dataclass(frozen=True)
class Status:
    """The progress of a study."""

    done: list[str]
    running: list[str]
    left: list[str]
    seconds: float | None
    """Left, by the pace so far and for that many jobs; None while nothing has made a step."""
    jobs: int
    steps: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Steps of the running cells by their logs, such as "700/1951"."""

    def __str__(self) -> str:
        left = f", about {clock(self.seconds)} left with {self.jobs} jobs" if self.seconds else ""
        lines = [f"{len(self.done)} done, {len(self.running)} running, {len(self.left)} left{left}"]
        for word, names in (("running", self.running), ("next", self.left)):
            lines += [f"{word}: {name} {self.steps.get(name, '')}".rstrip() for name in names[:_SHOWN]]
            if len(names) > _SHOWN:
                lines.append(f"{word}: {len(names) - _SHOWN} more")
        return "\n".join(lines)


def status(study: Study, out: str | os.PathLike[str], jobs: int | None = None) -> Status:
    """The progress of a study, by the files in its folder."""
    jobs, folder = jobs or default_jobs(study), Path(out)
    every = cells(study)
    done = [c for c in every if results.finished(place_of(folder, c))]
    open_ = [c for c in every if c not in done]
    at_work = [c for c in open_ if running(place_of(folder, c))]
    made = {c.name: results.training_steps(place_of(folder, c)) for c in at_work}
    # Cells that were taken over have no weights, and took their time on another machine.
    ran = [place for c in done if ((place := place_of(folder, c)) / checkpoint.MODEL).exists()]
    pace = _pace(ran) or _first_pace(made.values())
    seconds = sum(pace(c) * (1 - made.get(c.name, (0, 0.0))[0] / c.updates) for c in open_) / jobs if pace else None
    left = [c for c in open_ if c not in at_work]
    names = [[c.name for c in some] for some in (done, at_work, left)]
    steps = {c.name: f"{made[c.name][0]}/{c.updates}" for c in at_work}
    return Status(names[0], names[1], names[2], seconds, jobs, steps)


def _first_pace(made: Iterable[tuple[int, float]]) -> Callable[[Cell], float] | None:
    """While no cell has finished: by the steps of those that run."""
    known = [(step, seconds) for step, seconds in made if step]
    if not known:
        return None
    mean = sum(s for _, s in known) / sum(n for n, _ in known)
    return lambda c: c.updates * mean


def _pace(folders: Sequence[Path]) -> Callable[[Cell], float] | None:
    """Seconds of a cell, from the finished ones: updates cost what they cost for that model, evaluations the same."""
    if not folders:
        return None
    updates: dict[str, float] = {}
    training: dict[str, float] = {}
    evaluating = 0.0
    for place in folders:
        known = results.read_json(place / results.SETTINGS)
        model = known["settings"]["model"]
        updates[model] = updates.get(model, 0) + known["settings"]["updates"]
        training[model] = training.get(model, 0) + known["seconds"]["train"]
        evaluating += known["seconds"]["evaluate"] / len(folders)
    mean = sum(training.values()) / sum(updates.values())
    return lambda c: evaluating + c.updates * (training[c.model] / updates[c.model] if c.model in updates else mean)


def default_jobs(study: Study) -> int:
    """One process on a GPU, otherwise one per core that this process may use (affinity, control group,
    OMP_NUM_THREADS)."""
    try:
        return 1 if resolve_device(study.device) == "cuda" else cores()
    except RunError:
        return 1  # of a run on another machine, which had a GPU


def _folder(out: str | os.PathLike[str]) -> Path:
    """The study's folder: an earlier, a new or an empty one. Several machines may share it, since cells have locks."""
    folder = Path(os.path.abspath(out))
    if not begun(folder):
        with output_folder(folder, KIND, shared=True):
            (folder / CELLS).mkdir(exist_ok=True)
    return folder


def _outcomes(tasks: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[Outcome]:
    """Runs cells as processes become free, in the order of the tasks.

    Signals do not reach the processes: the first one makes a file, at which they finish their step and write a
    checkpoint, and which keeps the remaining cells from being begun.
    """
    if jobs == 1 or len(tasks) < 2:
        yield from (run_cell(*task) for task in tasks)
        return
    try:
        import joblib
        from joblib.externals.loky import get_reusable_executor
    except ImportError:
        raise RunError(
            "jobs: several processes need joblib, which is not installed: pip install 'srfast[study]'"
        ) from None
    _check_semaphores()
    with scratch_folder(None, "study") as place, finishing((stop := place / "stop").touch) as asked:
        calls = (joblib.delayed(_of_parent)(os.getpid(), str(stop), *task) for task in tasks if not asked())
        with joblib.parallel_config("loky", inner_max_num_threads=1), kept_from_children(), _tidied_quietly():
            how: dict[str, Any] = {"return_as": "generator_unordered", "pre_dispatch": jobs, "batch_size": 1}
            outcomes = joblib.Parallel(n_jobs=jobs, **how)(calls)
        yield from (outcome for outcome in outcomes if outcome.state != "interrupted")
        if asked():
            get_reusable_executor(reuse=True).shutdown(kill_workers=True)  # they have nothing left to do


@contextlib.contextmanager
def _tidied_quietly() -> Iterator[None]:
    """Has joblib's process that outlives a killed parent, to remove what that left, do so without a warning."""
    known = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (known, "ignore:resource_tracker")))
    try:
        yield
    finally:
        if known is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = known


def _of_parent(parent: int, stop: str, *task: Any) -> Outcome:
    """``run_cell`` in a process that stops at its parent's file, and ends with its parent; after a kill nobody would
    wait for its cell."""
    _ends_with(parent)
    obey(stop)
    try:
        if not interrupted():
            return run_cell(*task)
    except KeyboardInterrupt:
        pass
    return Outcome(task[1], "interrupted")


@lru_cache(maxsize=1)
def _ends_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        # As a kill: the cell goes on from its last checkpoint.
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _check_semaphores() -> None:
    """Refuses machines without semaphores, where joblib would silently take threads and cells would share torch's
    settings."""
    try:
        multiprocessing.get_context("spawn").Semaphore()
    except OSError as error:
        raise RunError(f"jobs: several processes need semaphores ({error.strerror}: /dev/shm); or `jobs` 1") from None


@contextlib.contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """Makes SIGTERM end a study like Ctrl-C: a training finishes its step, results are gathered, processes end.

    The command line and programs with handlers of their own have taken SIGTERM over already.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
