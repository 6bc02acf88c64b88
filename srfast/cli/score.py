"""``srfast score``."""

from __future__ import annotations

from typing import Any

import click

from srfast.cli.options import emit, say, scoring, scoring_progress, shard, shown
from srfast.scoring.settings import ScoreSettings


@click.command("score", short_help="Score every patch of a set of images.")
@scoring
@click.option("-o", "--output", required=True, type=click.Path(),
    help="Where scores.parquet goes; a name that ends in / becomes a folder of parts.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Continue an interrupted run; images that changed are scored again.")
@shard
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="local: this machine. ray: the actors of a Ray cluster, each of --workers cores (1) and, on CUDA, one GPU.",
)
@click.option(
    "--address", metavar="ADDRESS", help="Of the Ray cluster.  [default: RAY_ADDRESS, or one on this machine]"
)
@click.option("--json", "as_json", is_flag=True, help="Print a summary as one JSON object on stdout.")
def command(
    images: tuple[str, ...], output: str, resume: bool, engine: Any, address: str | None, as_json: bool, **options: Any
) -> None:
    """Score every patch of IMAGES (files and folders) and write one table.

    While it runs, finished parts lie in OUTPUT.parts; --resume continues from them after a crash.
    """
    settings = ScoreSettings(**options)
    from srfast.scoring.pipeline import write_scores

    with scoring_progress("scoring") as progress:
        summary = write_scores(
            images, output, settings, resume=resume, progress=progress, engine=engine, address=address
        )
    report(summary, output, as_json)


def report(summary: Any, output: str, as_json: bool) -> None:
    """What was scored, for a person or for a program."""
    meta, n = summary.meta, summary.patches
    skipped, small = meta["skipped"], meta["small"]
    for entry in skipped:
        say(f"srfast: skipped {entry['reason']}")
    for entry in small[:5]:
        size = f"{entry['width']} x {entry['height']}"
        say(f"srfast: {entry['image']} is {size}, smaller than the patch of {meta['patch']} pixels")
    if len(small) > 5:
        say(f"srfast: {len(small) - 5} more images are smaller than the patch")
    if as_json:
        emit(
            {
                "output": output,
                "patches": n,
                "images": len(meta["images"]),
                "skipped": skipped,
                "small": small,
                "scale": meta["scale"],
                "patch": meta["patch"],
                "stride": meta["stride"],
                "mode": meta["mode"],
                "scorer": meta["scorer"],
                "backend": meta["backend"],
                "precision": meta["precision"],
                "loss": {
                    "min": summary.lowest if n else None,
                    "mean": summary.total / n if n else None,
                    "max": summary.highest if n else None,
                },
            }
        )
    else:
        click.echo(shown(f"{n:,} patches of {len(meta['images']):,} images -> {output}"))
