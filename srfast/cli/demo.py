"""``srfast demo``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo", short_help="Run the main job on photographs that come with the installation.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False), default="srfast-demo", show_default=True,
    help="Folder for the photographs and the results.",
)  # fmt: skip
def command(output: str) -> None:
    """Prune the photographs that scikit-image ships: OUTPUT/photos, scores.parquet, coreset.parquet and report.html."""
    from srfast.cli.prune import run
    from srfast.demo import write_photographs

    folder = Path(output)
    photos = write_photographs(folder / "photos")
    report = run((str(photos),), folder, patch=48, drop_hardest=0.05)
    click.echo(f"open {report.resolve()}")
