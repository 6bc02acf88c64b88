"""``srfast manifest``."""

from __future__ import annotations

from typing import Any

import click

from srfast.cli.options import emit, flag_of, json_option, quiet, result, say, settings
from srfast.coreset.settings import ManifestArguments
from srfast.report.content import count


@click.command()
@click.argument("coreset", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="Folder to write.")
@settings(ManifestArguments)
@json_option()
def command(coreset: str, output: str, as_json: bool, **options: Any) -> None:
    """Write which images and patches CORESET holds, by hash and without pixels, as a folder to publish.

    `srfast rebuild` makes the core-set again from the images, whatever their names. An interrupted command continues
    when it is run again.
    """
    ManifestArguments(**options)  # before anything heavy is imported
    from srfast.coreset.publishing import manifest

    made = manifest(coreset, output, progress=not quiet(), **options)
    if as_json:
        emit(
            {
                "output": output, "root_sha256": made.root, "patches": made.patches, "images": made.images,
                "rejected": made.rejected, "bytes": made.bytes,
            }
        )  # fmt: skip
        return
    rejected = count(made.rejected, "rejected image")
    result(f"{count(made.patches, 'patch')} of {count(made.images, 'image')}, {rejected} -> {output}")
    result(f"root hash {made.root}")
    lacking = [name for name in ("licence", "url", "creator", "published") if options[name] is None]
    if lacking:
        say(f"Croissant requires {', '.join(flag_of(name) for name in lacking)} too; give them before you publish")
