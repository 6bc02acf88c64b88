"""``srfast audit``."""

from __future__ import annotations

from typing import Any

import click

from srfast.cli.options import answer, json_option, output_option, quiet, settings
from srfast.report.content import count
from srfast.workflows.settings import AuditArguments

_DECIDED = ("shard", "mode", "skip_bad", "defects", "blockiness", "resume", "tile_overlap", "precision", "shrink")
"""Settings of scoring that an audit decides by itself."""


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(), metavar="IMAGES_OR_SCORES...")
@output_option("Folder to write into.", folder=True)
@settings(AuditArguments, *_DECIDED)
@click.option(
    "--skip-bad", is_flag=True, expose_value=False, help="Has no effect: audit always continues after bad files."
)
@json_option("the findings")
def command(images: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Judge for each image whether to keep it, by noise, blur, enlargement, JPEG, text, halos and copies.

    Score tables may be given instead of images. The command writes OUTPUT/images.csv (a verdict for each image),
    OUTPUT/rejects.csv (a list to edit, for `srfast select --reject`) and OUTPUT/audit.html (galleries by reason). No
    image is moved or deleted.
    """
    AuditArguments(**options)  # before anything heavy is imported
    from srfast.report.verdict_page import KINDS
    from srfast.scoring.metadata import reduced
    from srfast.workflows.auditing import audit

    done = audit(images, output, progress=not quiet(), **options)
    counts = {kind: sum(v.verdict == kind for v in done.verdicts) for kind in KINDS}
    reasons = done.counts()
    counted = {reason: {"images": whole, "patches": parts} for reason, (whole, parts) in reasons.items()}
    about = {"passed_over": done.table.meta.get("passed_over", {}), "reduced": reduced(done.table.meta)}
    numbers = {"images": len(done.verdicts), **counts, "reasons": counted}
    lines = []
    for reason, (whole, parts) in reasons.items():
        some = f", and {count(parts, 'patch')} of images that are kept" if parts else ""
        lines.append(f"{reason}: {count(whole, 'image')}{some}")
    if counts["shrink"]:
        lines.append(f"to take smaller: {count(counts['shrink'], 'image')}")
    lines.append(f"{counts['keep']:,} of {len(done.verdicts):,} images to keep -> {done.folder / 'audit.html'}")
    if done.rejects.name != "rejects.csv":
        lines.append(f"rejects.csv was edited and stays as it is; the new list -> {done.rejects}")
    answer(as_json, {"output": output, **numbers, "rejects": str(done.rejects), **about}, *lines)
