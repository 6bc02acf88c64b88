"""What the folder of a run tells without the study's file: how far the run is, and the results of its finished cells.

Nothing is written, so that this can be asked while the run goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from srfast.scoring.metadata import read_meta
from srfast.study import results, runner
from srfast.study.cells import cells
from srfast.study.description import Study
from srfast.study.gathering import begun, collect
from srfast.study.results import CELLS, Results
from srfast.study.runner import Status
from srfast.study.running import running


def is_run(folder: Path) -> bool:
    """Whether a study was run into the folder; published results are not a run."""
    return (folder / CELLS).is_dir() and begun(folder)


def described(folder: Path) -> Study | None:
    """The study that is run into the folder, by its results.parquet; None if there is none yet."""
    if not (folder / results.RESULTS).exists():
        return None
    return results.from_plain(read_meta(folder / results.RESULTS)["study"])


def status_of(folder: Path, jobs: int | None = None) -> Status:
    """The progress of a run. Without results.parquet, cells that have not begun are unknown."""
    if (study := described(folder)) is not None:
        return runner.status(study, folder, jobs)
    places = _places(folder)
    done = [p.name for p in places if results.finished(p)]
    at_work = [p.name for p in places if p.name not in done and running(p)]
    left = [p.name for p in places if p.name not in {*done, *at_work}]
    steps = {name: f"{results.training_steps(folder / CELLS / name)[0]} updates" for name in at_work}
    return Status(done, at_work, left, None, jobs or max(1, len(at_work)), steps)


def results_of(folder: Path) -> Results:
    """The results of the finished cells, those of results.parquet alone if more cells are in it."""
    study = described(folder)
    if study is None:
        done = [p for p in _places(folder) if results.finished(p)]
        return results.gather(_by_cells(folder.resolve().name, done), done, [])
    found, written = collect(study, cells(study), folder), Results.read(folder)
    # The folders of cells may have been removed.
    return max(found, written, key=lambda r: len(r.meta["cells"]))


def _places(folder: Path) -> list[Path]:
    return sorted(p for p in (folder / CELLS).iterdir() if p.is_dir())


def _by_cells(title: str, done: list[Path]) -> dict[str, Any]:
    """What tables need of a study's description, by the settings of its finished cells; claims are unknown."""
    known = [results.read_json(p / results.SETTINGS)["settings"] for p in done]
    arms = {k["arm"]["name"]: k["arm"] for k in known}
    return {
        "title": title,
        "arms": list(arms.values()),
        "models": list(dict.fromkeys(k["model"] for k in known)),
        "seeds": sorted({k["seed"] for k in known}),
        "updates": max((k["updates"] for k in known), default=0),
        "claims": [],
    }
