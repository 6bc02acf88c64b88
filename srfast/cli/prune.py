"""``srfast prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from srfast.cli import score as score_command
from srfast.cli import select as select_command
from srfast.cli.options import scoring, scoring_progress


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
    from srfast.workflows.pruning import prune

    with scoring_progress("scoring") as progress:
        scores = str(folder / "scores.parquet")
        done = prune(
            images,
            folder,
            progress=progress,
            scored=lambda s: score_command.report(s, scores, as_json=False),
            **options,
        )
    select_command.report(done.coreset, str(folder / "coreset.parquet"), as_json=False)
    click.echo(f"report -> {done.report}")
    return done.report
