"""Finished cells of other results, which are taken over instead of run again."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srfast.data.atomic import atomic_path
from srfast.runtime.locks import Taken
from srfast.scoring.settings import Scale
from srfast.study import pool, results
from srfast.study.cells import Cell
from srfast.study.description import Study
from srfast.study.results import Results
from srfast.study.running import cell_folder
from srfast.training.log import COLUMNS, NAME

_ALIKE = 1e-3
"""Relative and absolute difference of losses that instruction sets and decoders may make. Those of another scorer
differ by far more."""


class Known:
    """Results of another run, or published ones, by cell.

    A cell of a study is one of them if its name, all its settings, the names of the training images' folders, the
    number of patches of the pool and the names of the test images are the same, and, if its selection or its crops
    depend on the scorer, the quantiles of the losses. A training on one thread of the CPU gives the same bits wherever
    the instruction set is the same.
    """

    def __init__(self, found: Results) -> None:
        self._meta = found.meta
        # Results of before scales could differ have none.
        self._scoring = {(s["scorer"], s.get("scale", 2)): s for s in found.meta["scoring"]}
        self._rows, self._strata, self._log = (_by_cell(t) for t in (found.table, found.strata, found.log))

    def has_alike(self, study: Study, cell: Cell, test: Mapping[str, list[str]]) -> bool:
        """Whether a cell of these settings has finished there, trained and tested on images of the same names."""
        known = self._meta["cells"].get(cell.name)
        if known is None or results.other_settings(known["settings"], results.settings_of(study, cell, dict(test))):
            return False
        images = {(name, Path(f).stem) for name, files in test.items() for f in files}
        return (
            self._meta["study"]["train"] == results.as_plain(study)["train"]
            and {(r["dataset"], Path(r["image"]).stem) for r in self._rows[cell.name]} == images
        )

    def has(self, study: Study, cell: Cell, test: Mapping[str, list[str]], whole: pool.Scored) -> bool:
        """Whether this very cell has finished there; ``whole`` is the scored pool."""
        scored = self._scored(study, cell)
        if scored.get("patches") != whole.patches or not self.has_alike(study, cell, test):
            return False
        losses = scored.get("loss_quantiles")
        if losses is None or not ((cell.keep < 1 or cell.arm.of_loss) and cell.arm.asks_scorer):
            return True
        return np.allclose(losses, pool.loss_quantiles(whole.table), rtol=_ALIKE, atol=_ALIKE)

    def _scored(self, study: Study, cell: Cell) -> Mapping[str, Any]:
        return self._scoring.get((Path(study.scorers[cell.scorer]).name, cell.scale), {})

    def write(self, study: Study, cell: Cell, folder: Path, seconds: float) -> None:
        """Writes into the cell's folder what a run writes, except the weights.

        The pool was scored again for this study, in ``seconds``, which replace the seconds of the other run.
        """
        with cell_folder(folder):
            if results.finished(folder):
                return
            with atomic_path(folder / NAME) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows({k: row[k] for k in ("step", "loss", "lr", "seconds")} for row in self._log[cell.name])
            known = dict(self._meta["cells"][cell.name])
            less = self._scored(study, cell)["seconds"] - seconds
            rows = [
                {**row, "scoring_seconds": max(0.0, row["scoring_seconds"] - less) if row["scoring_seconds"] else 0.0}
                for row in self._rows[cell.name]
            ]
            results.write_cell(folder, known.pop("settings"), known, rows, self._strata[cell.name])


def take_over(
    known: Sequence[Known],
    study: Study,
    todo: Sequence[Cell],
    test: Mapping[str, list[str]],
    scored: Mapping[tuple[int, Scale], pool.Scored],
    places: Mapping[str, Path],
) -> list[Cell]:
    """Takes what it can from known results, and returns the cells that remain to be run.

    Args:
        known: Results to look in, in this order.
        study: The study.
        todo: Its cells without results.
        test: Name of a test set -> its files.
        scored: (scorer, scale) -> the scored pool.
        places: Name of a cell -> its folder.
    """
    left = []
    for cell in todo:
        whole = scored[cell.scorer, cell.scale]
        source = next((k for k in known if k.has(study, cell, test, whole)), None)
        try:
            if source is not None:
                source.write(study, cell, places[cell.name], whole.seconds)
                continue
        except Taken:
            pass  # another process runs it
        left.append(cell)
    return left


def _by_cell(table: Any) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        rows[row["cell"]].append(row)
    return rows
