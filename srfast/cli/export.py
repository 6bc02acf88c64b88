"""``srfast export``."""

from __future__ import annotations

from typing import Any

import click

from srfast.cli.options import Aliased, emit, scoring_progress, shown
from srfast.coreset.export.settings import ENCODINGS, TARGETS


@click.command("export", short_help="Write a core-set as files that a trainer reads.")
@click.argument("coreset", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="The folder to make.")
@click.option(
    "--to",
    required=True,
    type=click.Choice(TARGETS),
    help="folder: HR/ and LRx2/ (KAIR, traiNNer-redux, neosr, BasicSR). basicsr: the same and meta_info.txt. "
    "lmdb: HR.lmdb/ and LRx2.lmdb/ (BasicSR, neosr). hf: metadata.parquet (Hugging Face datasets). "
    "webdataset: .tar shards. list: coreset.txt, for those who crop themselves.",
)
@click.option("--scale", type=click.IntRange(2, 4), help="HR / LR.  [default: that of the scores]")
@click.option(
    "--lr",
    type=click.Choice(["yes", "no"]),
    default="yes",
    show_default=True,
    help="Write LR patches too, cropped from MATLAB's bicubic of the whole image, or the LR images that were scored.",
)
@click.option("--format", type=click.Choice(ENCODINGS), default="png", show_default=True, help="Both lossless.")
@click.option("--embed", is_flag=True, help="With --to hf: the images inside parquet files.")
@click.option(
    "--root", type=click.Path(), help="The folder the images lie in now, where they have moved since scoring."
)
@click.option("--lr-root", type=click.Path(), help="The same for the LR images that were scored.")
@click.option(
    "--existing",
    type=click.Path(),
    help="An LMDB or a folder that holds the HR patches as files already: hard-linked and listed, not encoded again.",
)
@click.option("--existing-lr", type=click.Path(), help="The same for the LR patches.")
@click.option("--threads", "workers", cls=Aliased, alias="--workers", type=click.IntRange(1),
    help="CPU threads.  [default: one a core]")  # fmt: skip
@click.option("--check", is_flag=True, help="Read everything back the way the trainer does; compare a sample's pixels.")
@click.option("--resume", is_flag=True, help="Continue an interrupted export.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as one JSON object on stdout.")
def command(coreset: str, output: str, lr: str, as_json: bool, **options: Any) -> None:
    """Write CORESET (coreset.parquet) as files that a trainer reads, and the configuration to read them with.

    While it runs, what is finished lies in OUTPUT.parts; --resume continues from it after a crash.
    """
    from srfast.coreset.export.job import export

    with scoring_progress("exporting") as progress:
        done = export(coreset, output, lr=lr == "yes", progress=progress, **options)
    if as_json:
        emit(
            {
                "output": output, "patches": done.patches, "images": done.images, "scale": done.scale,
                "linked": done.linked, "compared": done.compared,
                "configurations": [str(done.path / n) for n in done.snippets],
            }
        )  # fmt: skip
        return
    click.echo(shown(f"{done.patches:,} patches of {done.images:,} images, x{done.scale} -> {output}"))
    if done.linked:
        click.echo(f"{done.linked:,} HR files are hard links to files of the dataset")
    if done.compared:
        click.echo(f"checked: everything reads, {done.compared:,} pairs equal their source in every pixel")
    for name, text in done.snippets.items():
        click.echo(f"\n{done.path / name}:\n{text.rstrip()}")
