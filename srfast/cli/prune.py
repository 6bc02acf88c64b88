"""``srfast prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from srfast.cli import score as score_command
from srfast.cli import select as select_command
from srfast.cli.options import emit, json_option, quiet, result, settings
from srfast.coreset.settings import Selection
from srfast.scoring.settings import ScoreRun


@click.command("prune", short_help="Score images, select a core-set and write a report.")
@click.argument("images", nargs=-1, required=True, type=click.Path())
@settings(ScoreRun, "shard")
@settings(Selection)
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="Folder to write into.")
@json_option()
def command(images: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Score IMAGES (files and folders), select a core-set and write a report.

    The command writes OUTPUT/scores.parquet, OUTPUT/coreset.parquet and OUTPUT/report.html. When it is run again, for
    example with another --keep, it uses the scores that are already there.
    """
    run(images, Path(output), as_json, **options)


def run(images: tuple[str, ...], folder: Path, as_json: bool = False, **options: Any) -> Path:
    """Scores, selects and reports, and returns the path of the report."""
    from srfast.workflows.pruning import prune

    scores = str(folder / "scores.parquet")
    done = prune(
        images,
        folder,
        progress=not quiet(),
        scored=None if as_json else lambda s: score_command.report(s, scores, as_json=False),
        **options,
    )
    if as_json:
        emit(
            {
                "output": str(folder), "scores": scores, "coreset": str(folder / "coreset.parquet"),
                "report": str(done.report), "patches": done.summary.patches, "kept": len(done.coreset),
                "skipped": done.summary.meta["skipped"], "small": done.summary.meta["small"],
                "passed_over": done.summary.meta.get("passed_over", {}),
            }
        )  # fmt: skip
        return done.report
    select_command.report(done.coreset, str(folder / "coreset.parquet"), as_json=False)
    result(f"report -> {done.report}")
    return done.report
