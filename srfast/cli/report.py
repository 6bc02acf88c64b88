"""``srfast report``: the HTML report of a score table and its core-set."""

from __future__ import annotations

from pathlib import Path

import click

from srfast.cli.options import emit


@click.command(short_help="Write a self-contained HTML report.")
@click.argument("scores", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--coreset",
    type=click.Path(path_type=Path),
    help="The core-set selected from SCORES.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The HTML file to write.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="The folder the images lie in now, where they have moved since scoring.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON object on stdout.")
def command(scores: tuple[Path, ...], coreset: Path | None, output: Path, root: Path | None, as_json: bool) -> None:
    """Writes one HTML file that shows what SCORES hold (scores.parquet, or all its shards) and what is kept.

    The file opens from disk and needs no network: the sorted loss curve, the hardest, easiest, borderline and
    dropped patches as pictures, counts per image, and how far cheaper scores agree.
    """
    from srfast.coreset.selection import CoreSet
    from srfast.data.files import check_output
    from srfast.report.writing import write_report
    from srfast.scoring.table import ScoreTable, join

    check_output(output, "report", [*scores, *([coreset] if coreset else [])])
    table = join([ScoreTable.read(path) for path in scores], [str(path) for path in scores])
    chosen = None if coreset is None else CoreSet.read(coreset)
    path = write_report(table, chosen, output, root=root, source=[str(path) for path in scores])
    if as_json:
        emit({"output": str(path), "patches": len(table), "kept": None if chosen is None else len(chosen)})
    else:
        click.echo(path)
