"""Score, select and report in one go."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srfast.coreset.selection import CoreSet, select
from srfast.coreset.settings import ARGUMENTS, Selection
from srfast.data.files import output_folder
from srfast.errors import InputError
from srfast.report.writing import write_report
from srfast.scoring.pipeline import Progress, Summary, write_scores
from srfast.scoring.settings import ScoreSettings
from srfast.scoring.table import ScoreTable

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from srfast.coreset.settings import SelectOptions
    from srfast.scoring.settings import ScoreOptions

    class PruneOptions(ScoreOptions, SelectOptions, total=False):
        """Every argument of ``srfast.score`` and of ``srfast.select``."""


FILES = {"scores.parquet": "score table", "coreset.parquet": "core-set", "report.html": "report"}


@dataclass(frozen=True)
class Pruned:
    """What ``prune`` wrote."""

    folder: Path
    summary: Summary
    """Of the scores."""
    coreset: CoreSet

    @property
    def report(self) -> Path:
        return self.folder / "report.html"


def prune(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    progress: Progress | None = None,
    scored: Callable[[Summary], None] | None = None,
    **options: Unpack[PruneOptions],
) -> Pruned:
    """Scores images, selects a core-set and writes a report: what ``srfast prune`` does.

    Args:
        images: Files and folders, as for ``srfast.score``.
        output: Folder for scores.parquet, coreset.parquet and report.html; each appears whole or not at all.
        resume: Continue an interrupted run.
        progress: As for ``srfast.score``.
        scored: Called when the scores are written.
        **options: The arguments of ``srfast.score`` and of ``srfast.select`` by their names.

    Returns:
        Where the files are, and the core-set.

    Raises:
        InputError: as ``srfast.score`` and ``srfast.select`` do, and for an argument that neither has. RunError: the
            backend cannot be used, or the disk is full.
    """
    given: dict[str, Any] = dict(options)
    known = [f.name for f in dataclasses.fields(ScoreSettings)]
    for name in given:
        if name not in (*known, *ARGUMENTS):
            near = difflib.get_close_matches(name, [*known, *ARGUMENTS], 1)
            raise InputError(f"{name}: no such argument" + (f"; did you mean {near[0]}?" if near else ""))
    selection = {k: v for k, v in given.items() if k in ARGUMENTS}
    Selection(**selection).checked()
    settings = ScoreSettings(**{k: v for k, v in given.items() if k in known})
    folder = Path(output)
    scores, coreset, report = (folder / n for n in FILES)
    inputs = [images] if isinstance(images, (str, os.PathLike)) else list(images)
    with output_folder(folder, "prune", inputs, FILES):
        summary = write_scores(inputs, scores, settings, resume=resume, progress=progress)
        if scored:
            scored(summary)
        table = ScoreTable.read(scores)
        chosen = select(table, **selection)
        chosen.write(coreset)
        write_report(table, chosen, report)
    return Pruned(folder, summary, chosen)
