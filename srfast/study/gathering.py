"""The folder of a study: its cells, and their results gathered into three tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from srfast.data.provenance import kind_of
from srfast.errors import InputError
from srfast.scoring.metadata import read_meta
from srfast.study import pool, results
from srfast.study.cells import Cell, cells
from srfast.study.description import Study
from srfast.study.naming import AFTER, name_claims, with_naming, withdrawn
from srfast.study.results import CELLS, Results, finished_cells, place_of

ROUNDS = "rounds.json"
KIND = "study"


def begun(folder: Path) -> bool:
    """Whether a study has been run into the folder: it has the mark, or is older than the mark and has a
    finished cell."""
    return kind_of(folder) == KIND or any((folder / CELLS).glob(f"*/{results.SETTINGS}"))


def rounds_of(folder: Path) -> dict[str, Any]:
    """Of a study that was run in rounds: ``seeds``, the largest number, and ``which`` (left out by older versions)."""
    place = folder / ROUNDS
    return dict(results.read_json(place)) if place.exists() else {}


def gather(study: Study, out: str | os.PathLike[str]) -> Results:
    """Gathers the results of all finished cells anew, also while the study runs.

    Raises:
        InputError: no study has been run into ``out``.
    """
    folder, every = Path(out), cells(study)
    if not begun(folder):
        raise InputError(f"{out}: expected the folder of a study")
    name_claims(folder, study, every)
    return gather_all(study, every, folder)


def gather_all(study: Study, every: Sequence[Cell], folder: Path) -> Results:
    """Gathers, and again if a cell finished meanwhile: its own process may have gathered before this one wrote."""
    while True:
        found = collect(study, every, folder)
        found.write(folder)
        if finished_cells(every, folder) <= set(found.meta["cells"]):
            return found


def gather_at_the_end(study: Study, every: Sequence[Cell], folder: Path) -> Results:
    """Gathers when a run ends. If another one has meanwhile begun in the folder with another file, that file says what
    the results are of."""
    there = (
        read_meta(folder / results.RESULTS)["study"] if (folder / results.RESULTS).exists() else results.as_plain(study)
    )
    there["claims"] = [{k: v for k, v in claim.items() if k != AFTER} for claim in there["claims"]]
    if there != results.as_plain(study):
        study = results.from_plain(there)
        every = cells(study)
    return gather_all(study, every, folder)


def collect(study: Study, every: Sequence[Cell], folder: Path) -> Results:
    """The results of all finished cells; nothing is written."""
    scoring = []
    for number, scale in product(range(len(study.scorers)), study.scales):
        table = pool.scores_file(folder, number, scale)
        about = table.with_suffix(".json")
        if about.exists():
            known = results.read_json(about)
            scoring.append(
                {
                    "scorer": Path(study.scorers[number]).name,
                    "scale": scale,
                    **{k: known[k] for k in ("patches", "seconds")},
                    "loss_quantiles": pool.loss_quantiles(table),
                }
            )
    plain = results.as_plain(study)
    plain["claims"] = with_naming(folder, plain)
    found = results.gather(plain, [place_of(folder, c) for c in every], scoring)
    named = {c.name for c in every}
    others = sum(p.parent.name not in named for p in (folder / CELLS).glob(f"*/{results.RESULTS}"))
    more = {"rounds": rounds_of(folder).get("seeds"), "withdrawn_claims": withdrawn(folder), "other_cells": others}
    found.meta.update({name: count for name, count in more.items() if count})
    return found
