"""Scoring, selection and report in one call."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, Protocol, cast

from srfast.coreset.selection import CoreSet, select
from srfast.coreset.settings import Selection
from srfast.data.files import output_folder
from srfast.report.writing import write_report
from srfast.scoring.pipeline import Images, Summary, write_scores
from srfast.scoring.settings import ANY, ScoreArguments, ScoreRun
from srfast.scoring.table import ScoreTable
from srfast.settings import documented, setting

P = ParamSpec("P")


@dataclass(frozen=True, kw_only=True)
class PruneArguments(ScoreRun, Selection):
    """The settings of ``srfast.score`` and of ``srfast.select``, and one that concerns the call."""

    scored: Callable[[Summary], None] | None = setting(
        None, "Function that is called with the summary of the scores when they are written.", ANY, python=True
    )


FILES = {"scores.parquet": "score table", "coreset.parquet": "core-set", "report.html": "report"}


@dataclass(frozen=True)
class Pruned:
    """The result of ``prune``."""

    folder: Path
    summary: Summary
    """Summary of the scores."""
    coreset: CoreSet

    @property
    def report(self) -> Path:
        return self.folder / "report.html"


class _Prune(Protocol[P]):
    """``prune`` as type checkers see it."""

    def __call__(self, images: Images, output: str | os.PathLike[str], *args: P.args, **kwargs: P.kwargs) -> Pruned: ...


def _typed(settings: Callable[P, PruneArguments]) -> Callable[[Callable[..., Pruned]], _Prune[P]]:
    return cast(Any, documented(cast(Any, settings)))


@_typed(PruneArguments)
def prune(images: Images, output: str | os.PathLike[str], **options: Any) -> Pruned:
    """Scores images, selects a core-set and writes a report, as ``srfast prune`` does.

    Args:
        images: Files and folders, as for ``srfast.score``.
        output: Folder for scores.parquet, coreset.parquet and report.html. Each file appears whole or not at all.
            Scores of the same images and settings that are there already are used again.
        **options: settings

    Returns:
        The folder, the summary of the scores, the core-set and the path of the report.

    Raises:
        InputError: ``srfast.score`` or ``srfast.select`` would raise it, or an argument is one of neither.
        RunError: the backend cannot be used, or the disk is full.
    """
    asked = PruneArguments.of({**options, **({"defects": True} if options.get("clean") else {})})
    folder = Path(output)
    scores, coreset, report = (folder / n for n in FILES)
    inputs = [images] if isinstance(images, (str, os.PathLike)) else list(images)
    with output_folder(folder, "prune", inputs, FILES):
        summary = write_scores(inputs, scores, replace(asked.part(ScoreArguments), resume=asked.resume or None))
        if asked.scored:
            asked.scored(summary)
        table = ScoreTable.read(scores)
        chosen = select(table, **vars(asked.part(Selection)))
        chosen.write(coreset)
        write_report(table, chosen, report)
    return Pruned(folder, summary, chosen)
