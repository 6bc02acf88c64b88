"""The folder of a study: its cells, how far they are, and their results gathered into three tables."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from srfast.data.provenance import kind_of
from srfast.errors import InputError, RunError
from srfast.ops.device import resolve_device
from srfast.runtime.progress import clock
from srfast.runtime.threads import cores
from srfast.scoring.metadata import read_meta
from srfast.study import pool, results
from srfast.study.cell import running
from srfast.study.description import Study, cells
from srfast.study.results import CELLS, Results, finished_cells, place_of
from srfast.training import checkpoint

KIND = "study"
ABOUT = "about.json"
"""File in a study's folder with more metadata of its results, for what runs studies by rules of its own."""
_SHOWN = 8
"""Number of cells of a kind that ``Status`` lists as text, so that it fits on a screen."""


def begun(folder: Path) -> bool:
    """Whether a study has been run into the folder, or finished cells were brought together in it."""
    return kind_of(folder) == KIND or any((folder / CELLS).glob(f"*/{results.SETTINGS}"))


def is_run(folder: Path) -> bool:
    """Whether a study was run into the folder; published results are not a run."""
    return (folder / CELLS).is_dir() and begun(folder)


def described(folder: Path) -> Study:
    """The study that is run into the folder, by its results.parquet, which a run writes first. Raises InputError if it
    is missing."""
    return results.from_plain(read_meta(folder / results.RESULTS)["study"])


def gather(study: Study, out: str | os.PathLike[str]) -> Results:
    """Gathers the results of all finished cells anew, also while the study runs, and again if a cell finished
    meanwhile, whose own process may have gathered before this one wrote. Raises InputError if no study has been run
    into ``out``."""
    folder = Path(out)
    if not begun(folder):
        raise InputError(f"{out}: expected the folder of a study")
    while True:
        results = collect(study, folder)
        results.write(folder)
        if finished_cells(cells(study), folder) <= set(results.meta["cells"]):
            return results


def collect(study: Study, folder: Path) -> Results:
    """The results of all finished cells; nothing is written."""
    scoring = []
    for number, scale in product(range(len(study.scorers)), study.scales):
        table = pool.scores_file(folder, number, scale)
        if (about := table.with_suffix(".json")).exists():
            known, own = results.read_json(about), {"scorer": Path(study.scorers[number]).name, "scale": scale}
            quantiles = {"loss_quantiles": pool.loss_quantiles(table)}
            scoring.append({**own, **{k: known[k] for k in ("patches", "seconds")}, **quantiles})
    collected = results.gather(results.as_plain(study), [place_of(folder, c) for c in cells(study)], scoring)
    if (folder / ABOUT).exists():
        collected.meta.update(results.read_json(folder / ABOUT))
    return collected


def results_of(folder: Path) -> Results:
    """The results of the finished cells of a run by its folder alone, those of results.parquet if more cells are in it.
    Nothing is written."""
    collected, written = collect(described(folder), folder), Results.read(folder)
    # The folders of cells may have been removed.
    return max(collected, written, key=lambda r: len(r.meta["cells"]))


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
    jobs, every = jobs or default_jobs(study), {c.name: c for c in cells(study)}
    place = {name: place_of(Path(out), c) for name, c in every.items()}
    done = [name for name in every if results.finished(place[name])]
    at_work = [name for name in every if name not in done and running(place[name])]
    left = [name for name in every if name not in done and name not in at_work]
    made = {name: results.training_steps(place[name]) for name in at_work}
    # Cells that were taken over have no weights, and took their time on another machine.
    own = [name for name in done if (place[name] / checkpoint.MODEL).exists()]
    spent = {name: results.read_json(place[name] / results.SETTINGS)["seconds"] for name in own}
    known = {**made, **{name: (every[name].updates, s["train"]) for name, s in spent.items()}}

    def pace(names: Sequence[str]) -> float | None:
        """Seconds of an update."""
        steps, seconds = (sum(known[name][i] for name in names) for i in (0, 1))
        return seconds / steps if steps else None

    needed, overall = None, pace(list(known))
    if overall is not None:
        # Updates cost what they cost for that model, evaluations the same.
        evaluating = sum(s["evaluate"] for s in spent.values()) / max(1, len(spent))
        paces = {model: pace([n for n in known if every[n].model == model]) or overall for model in study.models}
        open_ = [(every[name], 1 - made.get(name, (0, 0.0))[0] / every[name].updates) for name in (*at_work, *left)]
        needed = sum(part * (evaluating + c.updates * paces[c.model]) for c, part in open_)
    steps = {name: f"{made[name][0]}/{every[name].updates}" for name in at_work}
    return Status(done, at_work, left, None if needed is None else needed / jobs, jobs, steps)


def default_jobs(study: Study) -> int:
    """One process on a GPU, otherwise one per core that this process may use (affinity, control group,
    OMP_NUM_THREADS)."""
    try:
        return 1 if resolve_device(study.device) == "cuda" else cores()
    except RunError:
        return 1  # of a run on another machine, which had a GPU
