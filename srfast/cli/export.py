"""``srfast export``."""

from __future__ import annotations

from typing import Any

import click

from srfast.cli.options import answer, json_option, output_option, quiet, settings
from srfast.exporting.settings import ExportArguments
from srfast.report.content import count


@click.command()
@click.argument("coreset", type=click.Path())
@output_option("Folder to write.", folder=True)
@settings(ExportArguments, to={"required": True})
@click.option("--all", "everything", is_flag=True,
    help="Write every patch of a score table. Otherwise a score table is written with --to list only.")  # fmt: skip
@json_option()
def command(coreset: str, output: str, everything: bool, as_json: bool, **options: Any) -> None:
    """Write the patches of CORESET (coreset.parquet) as files that a trainer reads, with a configuration for it.

    During the run, finished files lie in OUTPUT.parts; after a crash, --resume continues from them.
    """
    from srfast.data.provenance import kind_of
    from srfast.errors import InputError
    from srfast.exporting.formats import find
    from srfast.exporting.job import export

    if not everything and find(options["to"]).pixels and kind_of(coreset) == "score table":
        raise InputError(
            f"{coreset}: expected a core-set, got a score table, of which every patch would be written",
            hint="select from it first, or pass --all",
        )
    done = export(coreset, output, progress=not quiet(), **{k: v for k, v in options.items() if v is not None})
    data = {name: getattr(done, name) for name in ("patches", "images", "scale", "linked", "compared")}
    data |= {"output": output, "configurations": [str(done.path / n) for n in done.snippets]}
    lines = [f"{count(done.patches, 'patch')} of {count(done.images, 'image')}, x{done.scale} -> {output}"]
    if done.linked:
        files = f"{done.linked:,} HR files are hard links to files of {options['existing'] or 'the dataset'}"
        lines.append(files if find(done.to).files else "The databases are hard links to the existing ones")
    if done.compared:
        what, but = "pairs", ""
        if options["existing"] is not None:
            what, but = "HR patches", "; existing LR patches were not compared"
        lines.append(f"checked: everything reads, {done.compared:,} {what} equal their source in every pixel{but}")
    answer(as_json, data, *lines, *(f"\n{done.path / name}:\n{text.rstrip()}" for name, text in done.snippets.items()))
