"""``srfast export``, ``manifest`` and ``rebuild``: what is written of a core-set, and read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from srfast.cli.options import answer, emit, flag_of, json_option, one_line, output_option, quiet, result, say, settings
from srfast.coreset.settings import ManifestArguments, RebuildArguments
from srfast.exporting.settings import ExportArguments
from srfast.report.content import count

if TYPE_CHECKING:
    from srfast.coreset.rebuilding import Rebuilt


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


@click.command()
@click.argument("coreset", type=click.Path())
@output_option("Folder to write.", folder=True)
@settings(ManifestArguments)
@json_option()
def manifest(coreset: str, output: str, as_json: bool, **options: Any) -> None:
    """Write which images and patches CORESET holds, by hash and without pixels, as a folder to publish.

    `srfast rebuild` makes the core-set again from the images, whatever their names. An interrupted command continues
    when it is run again.
    """
    ManifestArguments(**options)  # before anything heavy is imported
    from srfast.coreset.publishing import manifest

    made = manifest(coreset, output, progress=not quiet(), **options)
    counts = {name: getattr(made, name) for name in ("patches", "images", "rejected", "bytes")}
    held = f"{count(made.patches, 'patch')} of {count(made.images, 'image')}, {count(made.rejected, 'rejected image')}"
    data = {"output": output, "root_sha256": made.root, **counts}
    answer(as_json, data, f"{held} -> {output}", f"root hash {made.root}")
    lacking = [name for name in ("licence", "url", "creator", "published") if options[name] is None]
    if lacking and not as_json:
        say(f"Croissant requires {', '.join(flag_of(name) for name in lacking)} too; give them before you publish")


@click.command()
@click.argument("manifest", type=click.Path())
@click.option("--images", required=True, multiple=True, metavar="DIR...", type=click.Path(),
    help="Images, or folders of them, to search for those of MANIFEST. Repeatable.")  # fmt: skip
@settings(RebuildArguments, output={"short": ["-o"]})
@json_option()
def rebuild(manifest: str, images: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Make the core-set of MANIFEST, a folder of `srfast manifest`, from copies of its images.

    Images are found by their contents, whatever their names, and each patch is verified. Images that are missing,
    have other pixels or occur twice are listed. Nothing is written then, unless --partial is given.
    """
    RebuildArguments(**options)  # before anything heavy is imported
    from srfast.coreset.rebuilding import ImagesMismatch, rebuild

    try:
        made = rebuild(manifest, images, progress=not quiet(), **options)
    except ImagesMismatch as error:
        _print_result(error.rebuilt, as_json, options["output"])
        raise
    _print_result(made, as_json, options["output"])
    if not as_json:
        done = f"-> {options['output']}" if options["output"] else "are as the manifest has them"
        result(one_line(f"{count(made.patches, 'patch')} of {count(made.images, 'image')} {done}"))


def _print_result(made: Rebuilt, as_json: bool, output: str | None) -> None:
    if as_json:
        problems = [vars(problem) for problem in made.problems]
        about = {"output": output if made.coreset is not None else None, "root_sha256": made.root}
        emit({**about, "images": made.images, "patches": made.patches, "problems": problems})
        return
    for problem in made.problems:
        say(str(problem))
