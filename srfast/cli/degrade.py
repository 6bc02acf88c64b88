"""``srfast degrade``."""

from __future__ import annotations

from typing import Any

import click

from srfast.cli.options import emit, json_option, quiet, result, settings
from srfast.degradation.settings import DegradeArguments
from srfast.report.content import count


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(), metavar="IMAGES...")
@click.option("-o", "--output", type=click.Path(file_okay=False), help="Folder to write.")
@settings(DegradeArguments)
@json_option()
def command(images: tuple[str, ...], output: str | None, as_json: bool, **options: Any) -> None:
    """Write LR images of IMAGES, and OUTPUT/degradation.parquet with the random draws of each.

    The same images, degradation and seed give the same bytes, on any processor and with any number of threads.
    docs/degradation.md describes the file of a degradation.
    """
    DegradeArguments(**options)  # before anything heavy is imported
    from srfast.workflows.degrading import degrade

    done = degrade(images, output, progress=not quiet(), **options)
    if as_json:
        emit({"output": output, "images": done.images, "written": done.written, "show": options.get("show")})
        return
    if output is not None:
        result(f"{count(done.written, 'LR image')} of {count(done.images, 'image')}, x{options['scale']} -> {output}")
    if options.get("show"):
        result(f"a sheet of draws -> {options['show']}")
