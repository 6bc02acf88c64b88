"""Runs a study whose claims are pre-registered: ``python -m experiments.preregistered STUDY.toml -o OUT``.

It runs what ``srfast study`` runs, and keeps in the folder when each claim was named: before its trainings, or when
some of them could have been looked at. ``claims.json`` has the record, ``about.json`` what the results say of it.
``--known DIR`` (repeatable) takes finished cells of the same settings and data from other results.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from srfast.data.atomic import atomic_path
from srfast.errors import InputError
from srfast.runtime.locks import Lock, Taken
from srfast.scoring.metadata import read_meta
from srfast.study import pool, results
from srfast.study.cell import CellOutcome, cell_folder
from srfast.study.description import Cell, Study, cells, pick
from srfast.study.folder import ABOUT, gather
from srfast.study.publication import publish
from srfast.study.results import CELLS, RESULTS, Results, finished_cells, place_of
from srfast.study.runner import Progress, Run
from srfast.training.log import COLUMNS, NAME

RECORD = "claims.json"
_ALIKE = 1e-3
"""Relative and absolute difference of losses that instruction sets and decoders may make. Those of another scorer
differ by far more."""


def run(
    study: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    images: Sequence[str | os.PathLike[str]] = (),
    test: Mapping[str, str | os.PathLike[str]] | None = None,
    jobs: int | None = 1,
    only: str | None = None,
    known: Sequence[str | os.PathLike[str]] = (),
    progress: Progress | None = None,
) -> Results:
    """As ``srfast.run_study``, with a record of the claims.

    Args:
        known: Folders with results of other runs, or published ones. A cell that has finished there, with the same
            settings and data, is taken from there instead of run; it has no weights.
    """
    whole = Run(study, output, images, test)
    chosen = pick(whole.every, only, None)
    sources = [PreviousRun(Results.read(k)) for k in known]
    whole.begin()
    record_claims(whole, sources)
    gather(whole.study, whole.folder)
    if sources:
        left = whole.left(chosen)
        _take_over(whole, sources, left, whole.scored(left, jobs or 1))
    whole.run(chosen, jobs, progress)
    tell(whole, _entries(whole.folder) or [])
    return gather(whole.study, whole.folder)


@dataclass
class Registration:
    """One claim that the study's file names, or has named."""

    claim: dict[str, Any]
    after: int = 0
    """Number of seeds that had been trained on both sides when it was named."""
    gone: int = 0
    """Number of seeds that had been trained on both sides when it was taken out of the file; 0: it was not."""


def _entries(folder: Path) -> list[Registration] | None:
    """The record of a study's folder; None if it has none."""
    path = folder / RECORD
    return [Registration(**e) for e in results.read_json(path)["entries"]] if path.exists() else None


def record_claims(whole: Run, known: Iterable[PreviousRun]) -> None:
    """Records the claims that are new, or taken out of the file, and what could have been known of them by then.

    Known results that have cells of this study count too, unless they name the claim, and named it in time.
    """
    folder, study = whole.folder, whole.study
    others = [(k.in_time(), {c.name for c in whole.every if k.matches(study, c, whole.data.test)}) for k in known]
    with Lock.wait((folder / RECORD).with_suffix(".lock"), folder / RECORD):
        plain, entries = results.as_plain(study), _entries(folder)
        claims = [_resolved(claim, plain) for claim in plain["claims"]]
        finished = finished_cells(whole.every, folder)
        then = [(whole.every, finished)]
        if (folder / RESULTS).exists():
            old = cells(results.from_plain(read_meta(folder / RESULTS)["study"]))
            then.append((old, finished_cells(old, folder)))
        elif entries is None:
            finished = set()  # cells that were brought together from other machines tell nothing of their claims
        for entry in entries or ():
            seen = 0 if entry.claim in claims else max(_trained(study, entry.claim, *those) for those in then)
            entry.gone = max(entry.gone, seen) if entry.claim not in claims else 0
        entries = [e for e in entries or () if e.gone or e.claim in claims]
        for claim in claims:
            if claim not in [e.claim for e in entries]:
                seen_too = finished.union(*(names for early, names in others if claim not in early))
                entries.append(Registration(claim, _trained(study, claim, whole.every, seen_too)))
        _write(folder / RECORD, {"entries": [asdict(e) for e in entries]})
        tell(whole, entries)


def tell(whole: Run, entries: Sequence[Registration]) -> None:
    """Writes what the results say of their claims."""
    late = [e for e in entries if e.after and not e.gone]
    gone = sum(e.gone > 0 for e in entries)
    named = {c.name for c in whole.every}
    others = sum(p.parent.name not in named for p in (whole.folder / CELLS).glob(f"*/{RESULTS}"))
    sides = "{arm} {keep:g} against {against} {against_keep:g}"
    remarks = [
        f"The claim {sides.format(**e.claim)}{e.claim['stratum'] and ' on ' + e.claim['stratum'] + ' tiles'} was "
        f"named after {_count(e.after, 'seed')}."
        for e in late
    ]
    if whole.study.claims:
        remarks.append(f"{'The other claims' if late else 'All claims'} were pre-registered.")
    if gone:
        remarks.append(f"{_count(gone, 'claim')} more had been named and taken out after trainings of both sides.")
    if others:
        remarks.append(f"The folder holds {_count(others, 'training')} that the file does not name, in no table.")
    about = {"remarks": remarks, "late": [e.claim for e in late], "withdrawn_claims": gone}
    _write(whole.folder / ABOUT, about)


def _write(path: Path, known: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n > 1 else ''}"


def _trained(study: Study, claim: Mapping[str, Any], every: Iterable[Cell], finished: set[str]) -> int:
    """The number of seeds with which both sides of a claim have been trained; the claim as ``_resolved`` gives it."""
    sides = ((claim["arm"], claim["keep"]), (claim["against"], claim["against_keep"]))
    wanted = (1, 0, claim["scale"], claim["model"], claim["updates"])
    trained = Counter(
        c.seed
        for c in every
        if c.name in finished
        and (c.pool, c.scorer, c.scale, c.model, c.updates) == wanted
        and (c.arm.name, c.keep) in sides
    )
    return sum(count > 1 for count in trained.values())


def _resolved(claim: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """A claim with what it leaves to its study, whose file may change, so that claims of the same trainings are the
    same."""
    left = {"model": plain["models"][0], "updates": plain["updates"], "scale": plain.get("scales", [0])[0]}
    return {**claim, **{name: claim.get(name) or value for name, value in left.items()}}


def _rows(table: pa.Table, cell: Cell) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.filter(pc.field("cell") == cell.name).to_pylist()
    return rows


class PreviousRun:
    """Results of another run, or published ones, by cell.

    A cell of a study is one of them if its name, all its settings, the names of the training images' folders, the
    number of patches of the pool and the names of the test images are the same, and, if its selection depends on the
    scorer, the quantiles of the losses. A training on one thread of the CPU gives the same bits wherever the
    instruction set is the same.
    """

    def __init__(self, results: Results) -> None:
        self._known, self._meta = results, results.meta
        self._scoring = {(s["scorer"], s.get("scale")): s for s in results.meta["scoring"]}

    def in_time(self) -> list[dict[str, Any]]:
        """The pre-registered claims; of a run that took claims out, none were."""
        if self._meta.get("withdrawn_claims"):
            return []
        plain = self._meta["study"]
        claims = [_resolved(claim, plain) for claim in plain.get("claims", ())]
        return [c for c in claims if c not in self._meta.get("late", [])]

    def matches(self, study: Study, cell: Cell, test: Mapping[str, list[str]]) -> bool:
        """Whether a cell of these settings has finished there, trained and tested on images of the same names."""
        known = self._meta["cells"].get(cell.name)
        if known is None or results.other_settings(known["settings"], results.settings_of(study, cell, dict(test))):
            return False
        images = {(name, Path(f).stem) for name, files in test.items() for f in files}
        return (
            self._meta["study"]["train"] == results.as_plain(study)["train"]
            and {(r["dataset"], Path(r["image"]).stem) for r in _rows(self._known.table, cell)} == images
        )

    def has(self, study: Study, cell: Cell, test: Mapping[str, list[str]], whole: pool.Scored) -> bool:
        """Whether this very cell has finished there; ``whole`` is the scored pool."""
        scored = self._scored(study, cell)
        if scored.get("patches") != whole.patches or not self.matches(study, cell, test):
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
                writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
                writer.writeheader()
                writer.writerows(_rows(self._known.log, cell))
            known = dict(self._meta["cells"][cell.name])
            less = self._scored(study, cell)["seconds"] - seconds
            rows = [
                {**row, "scoring_seconds": max(0.0, row["scoring_seconds"] - less) if row["scoring_seconds"] else 0.0}
                for row in _rows(self._known.table, cell)
            ]
            results.write_cell(folder, known.pop("settings"), known, rows, _rows(self._known.strata, cell))


def _take_over(
    whole: Run, known: Sequence[PreviousRun], todo: Sequence[Cell], scored: Mapping[Any, pool.Scored]
) -> None:
    """Takes the cells that known results have, looking in them in this order."""
    for cell in todo:
        own = scored[cell.scorer, cell.scale]
        source = next((k for k in known if k.has(whole.study, cell, whole.data.test, own)), None)
        try:
            if source is not None:
                source.write(whole.study, cell, place_of(whole.folder, cell), own.seconds)
        except Taken:
            pass  # another process runs it


@click.command()
@click.argument("study")
@click.option("-o", "--output", required=True)
@click.option("--images", multiple=True)
@click.option("--test", multiple=True, metavar="NAME=DIR")
@click.option("--jobs", type=int)
@click.option("--only")
@click.option("--known", multiple=True)
def main(study: str, output: str, test: tuple[str, ...], **how: Any) -> None:
    """Run STUDY, whose claims are pre-registered."""

    def progress(outcome: CellOutcome, done: int, total: int) -> None:
        print(f"[{done}/{total}] {outcome.cell.name} {outcome.state}: {outcome.text}", file=sys.stderr)

    try:
        tests = dict(pair.split("=", 1) for pair in test)
        print(publish(run(study, output, test=tests, **how, progress=progress), None))
    except InputError as error:
        raise click.UsageError(str(error)) from None


if __name__ == "__main__":
    main()
