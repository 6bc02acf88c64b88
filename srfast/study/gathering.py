"""The folder of a study: its cells, and their results gathered into three tables."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from srfast.data.provenance import kind_of
from srfast.errors import InputError
from srfast.study import pool, results
from srfast.study.cells import Cell, cells
from srfast.study.description import Study
from srfast.study.naming import with_naming, withdrawn
from srfast.study.results import Results

CELLS = "cells"
ROUNDS = "rounds.json"
KIND = "study"


def place_of(folder: Path, cell: Cell) -> Path:
    """The folder of a cell."""
    return folder / CELLS / cell.name


def begun(folder: Path) -> bool:
    """Whether a study has been run into the folder: it has the mark, or is older than the mark and has a
    finished cell."""
    return kind_of(folder) == KIND or any((folder / CELLS).glob(f"*/{results.SETTINGS}"))


def finished_cells(every: Sequence[Cell], folder: Path) -> set[str]:
    """Names of the cells that have all their results."""
    return {c.name for c in every if results.finished(place_of(folder, c))}


def rounds_of(folder: Path) -> int:
    """The largest number of seeds of the rounds that a study was run in; 0: it was not."""
    place = folder / ROUNDS
    return int(json.loads(place.read_text(encoding="utf-8"))["seeds"]) if place.exists() else 0


def gather(study: Study, out: str | os.PathLike[str]) -> Results:
    """Gathers the results of all finished cells anew, also while the study runs.

    Raises:
        InputError: no study has been run into ``out``.
    """
    if not begun(Path(out)):
        raise InputError(f"{out}: expected the folder of a study")
    return gather_all(study, cells(study), Path(out))


def gather_all(study: Study, every: Sequence[Cell], folder: Path) -> Results:
    """Gathers, and again if a cell finished meanwhile: its own process may have gathered before this one wrote."""
    while True:
        found = collect(study, every, folder)
        found.write(folder)
        if finished_cells(every, folder) <= set(found.meta["cells"]):
            return found


def collect(study: Study, every: Sequence[Cell], folder: Path) -> Results:
    """The results of all finished cells; nothing is written."""
    scoring = []
    for number, scale in product(range(len(study.scorers)), study.scales):
        table = pool.scores_file(folder, number, scale)
        about = table.with_suffix(".json")
        if about.exists():
            known = json.loads(about.read_text(encoding="utf-8"))
            quantiles = np.quantile(pool.scores(str(table)).column("loss"), np.linspace(0, 1, 101))
            scoring.append(
                {
                    "scorer": Path(study.scorers[number]).name,
                    "scale": scale,
                    **{k: known[k] for k in ("patches", "seconds")},
                    "loss_quantiles": [float(f"{q:.6g}") for q in quantiles],
                }
            )
    plain = results.as_plain(study)
    plain["claims"] = with_naming(folder, plain["claims"])
    found = results.gather(plain, [place_of(folder, c) for c in every], scoring)
    if most := rounds_of(folder):
        found.meta["rounds"] = most
    if gone := withdrawn(folder, results.as_plain(study)["claims"]):
        found.meta["withdrawn_claims"] = gone
    return found
