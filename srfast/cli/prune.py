"""``srfast prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from srfast.cli import score as score_command
from srfast.cli import select as select_command
from srfast.cli.options import scoring, scoring_progress
from srfast.scoring.settings import ScoreSettings

FILES = {"scores.parquet": "score table", "coreset.parquet": "core-set", "report.html": "report"}


@click.command("prune", short_help="Score, select and report in one go.")
@scoring
@select_command.selecting
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="Folder for the three files.")
@click.option("--resume", is_flag=True, help="Continue an interrupted run; images that changed are scored again.")
def command(images: tuple[str, ...], output: str, **options: Any) -> None:
    """Score IMAGES, select a core-set and write a report: OUTPUT/scores.parquet, coreset.parquet and report.html."""
    run(images, Path(output), **options)


def run(images: tuple[str, ...], folder: Path, **options: Any) -> Path:
    """Does it, and returns the path of the report."""
    from srfast.coreset.selection import select
    from srfast.coreset.settings import ARGUMENTS, Selection
    from srfast.data.files import output_folder
    from srfast.report.writing import write_report
    from srfast.scoring.pipeline import write_scores
    from srfast.scoring.table import ScoreTable

    selection = {k: options.pop(k) for k in ARGUMENTS if k in options}
    Selection(**selection).checked()
    resume = options.pop("resume", False)
    settings = ScoreSettings(**options)
    scores, coreset, report = (folder / n for n in FILES)
    with output_folder(folder, "prune", images, FILES):
        with scoring_progress("scoring") as progress:
            summary = write_scores(images, scores, settings, resume=resume, progress=progress)
        score_command.report(summary, str(scores), as_json=False)
        table = ScoreTable.read(scores)
        chosen = select(table, **selection)
        chosen.write(coreset)
        select_command.report(chosen, str(coreset), as_json=False)
        write_report(table, chosen, report)
    click.echo(f"report -> {report}")
    return report
