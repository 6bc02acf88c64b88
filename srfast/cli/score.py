"""``srfast score``."""

from __future__ import annotations

from typing import Any

import click

from srfast.cli.options import Grouped, answer, json_option, quiet, say, settings
from srfast.report.content import count
from srfast.scoring.settings import ScoreArguments

GROUPS = {
    "Patches": ("scale", "patch", "stride", "mode", "shrink", "lr_images"),
    "Scores": ("scorer", "defects", "precision"),
    "The run": ("output", "resume", "skip_bad", "threads", "device", "shard", "as_json"),
}


@click.command(cls=Grouped, groups=GROUPS)
@click.argument("images", nargs=-1, required=True, type=click.Path())
@settings(ScoreArguments, output={"short": ["-o"], "required": True, "metavar": "OUTPUT"})
@json_option()
def command(images: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Score every patch of IMAGES (files and folders) and write one table.

    During the run, finished parts lie in OUTPUT.parts; after a crash, --resume continues from them.
    """
    settings = ScoreArguments(**options, progress=not quiet())
    from srfast.scoring.pipeline import write_scores

    report(write_scores(images, output, settings), output, as_json)


def report(summary: Any, output: str, as_json: bool) -> None:
    """Prints what was scored, for a person or for a program."""
    meta, n = summary.meta, summary.patches
    skipped, small = meta["skipped"], meta["small"]
    for entry in skipped:
        say(f"srfast: skipped {entry['reason']}")
    for entry in small[:5]:
        size = f"{entry['width']} x {entry['height']}" + (f" at {entry['shrink']}" if "shrink" in entry else "")
        say(f"srfast: {entry['image']} is {size}, smaller than the patch of {meta['patch']} pixels")
    several = any("shrink" in entry for entry in small)
    if len(small) > 5:
        say(f"srfast: {len(small) - 5} more {'sizes of images' if several else 'images'} are smaller than the patch")
    from srfast.scoring.metadata import reduced

    known = ("scale", "patch", "stride", "mode", "scorer", "backend", "precision")
    lowest, mean, highest = (summary.lowest, summary.total / n, summary.highest) if n else (None, None, None)
    data = {
        "output": output, "patches": n, "images": len(meta["images"]), "skipped": skipped, "small": small,
        "passed_over": meta.get("passed_over", {}), "reduced": reduced(meta), **{name: meta[name] for name in known},
        "shrink": meta.get("shrink", ["1"]), "loss": {"min": lowest, "mean": mean, "max": highest},
    }  # fmt: skip
    answer(as_json, data, f"{count(n, 'patch')} of {count(len(meta['images']), 'image')} -> {output}")
