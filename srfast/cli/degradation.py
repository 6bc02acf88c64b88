"""``srfast degrade``, and ``srfast degradation``: import, export and fit."""

from __future__ import annotations

from typing import Any

import click

from srfast.cli.options import answer, json_option, quiet, settings
from srfast.degradation.settings import TRAINERS, DegradeArguments, FitArguments
from srfast.report.content import count

_FILE = click.Path(dir_okay=False)


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(), metavar="IMAGES...")
@click.option("-o", "--output", type=click.Path(file_okay=False), help="Folder to write.")
@settings(DegradeArguments)
@json_option()
def degrade(images: tuple[str, ...], output: str | None, as_json: bool, **options: Any) -> None:
    """Write LR images of IMAGES, and OUTPUT/degradation.parquet with the random draws of each.

    The same images, degradation and seed give the same bytes, on any processor and with any number of threads.
    docs/degradation.md describes the file of a degradation.
    """
    DegradeArguments(**options)  # before anything heavy is imported
    from srfast.workflows.degrading import degrade

    done = degrade(images, output, progress=not quiet(), **options)
    show, counts = options.get("show"), f"{count(done.written, 'LR image')} of {count(done.images, 'image')}"
    lines = [f"{counts}, x{options['scale']} -> {output}"] if output is not None else []
    lines += [f"a sheet of draws -> {show}"] if show else []
    answer(as_json, {"output": output, "images": done.images, "written": done.written, "show": show}, *lines)


@click.group("degradation", context_settings={"help_option_names": ["-h", "--help"]})
def degradation() -> None:
    """Read and write files of degradations."""


@degradation.command("import", short_help="Read the degradation of a trainer's configuration.")
@click.argument("configuration", type=_FILE)
@click.option("-o", "--output", required=True, type=_FILE, help="TOML file to write.")
@click.option(
    "--trainer", type=click.Choice(TRAINERS), help="Whose configuration it is.  [default: recognised by its keys]"
)
@json_option()
def import_(configuration: str, output: str, trainer: str | None, as_json: bool) -> None:
    """Write the degradation of CONFIGURATION (BasicSR, Real-ESRGAN or traiNNer-redux: .yml; neosr: .toml) as a file.

    Settings without a counterpart are listed.
    """
    from pathlib import Path

    from srfast.data.files import output_file
    from srfast.degradation.exchange import read_trainer
    from srfast.degradation.plan import Degradation, written

    origin, exchanged = read_trainer(Path(configuration), trainer)
    degradation = Degradation.of(configuration, {**exchanged.content, "source": configuration})
    with output_file(output, "degradation", [configuration]) as temporary:
        temporary.write_text(written(degradation.content()), encoding="utf-8")
    data = {"output": output, "trainer": origin, "lost": exchanged.lost}
    answer(as_json, data, *exchanged.lost, f"the degradation of {origin} -> {output}")


@degradation.command("export", short_help="Write a degradation as part of a trainer's configuration.")
@click.argument("degradation")
@click.option("-o", "--output", required=True, type=_FILE, help="File to write: .yml, or .toml for neosr.")
@click.option("--to", "trainer", required=True, type=click.Choice(TRAINERS), help="Trainer to write for.")
@click.option("--scale", type=click.IntRange(1, 8), default=4, show_default=True,
    help="Side of an HR image over that of its LR image.")  # fmt: skip
@json_option()
def export(degradation: str, output: str, trainer: str, scale: int, as_json: bool) -> None:
    """Write DEGRADATION (a TOML file or a preset) as the keys of a trainer's configuration.

    Settings without a counterpart are listed, in the file as well.
    """
    import os

    from srfast.data.files import output_file
    from srfast.degradation.exchange_out import trainer_text
    from srfast.degradation.plan import Degradation

    text, lost = trainer_text(Degradation.read(degradation), trainer, scale)
    with output_file(output, "degradation", [degradation] if os.path.isfile(degradation) else []) as temporary:
        temporary.write_text(text, encoding="utf-8")
    data = {"output": output, "trainer": trainer, "lost": lost}
    answer(as_json, data, *lost, f"{degradation} for {trainer} -> {output}")


@degradation.command("fit", short_help="Find a degradation whose LR images are like yours.")
@click.argument("images", nargs=-1, required=True, type=click.Path(), metavar="IMAGES...")
@click.option("-o", "--output", required=True, type=_FILE, help="TOML file to write.")
@settings(FitArguments, like={"required": True})
@json_option()
def fit(images: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Measure the noise, blur and JPEG quality of LR images, and find a degradation that gives IMAGES (HR) the same.

    The quantiles of each measure are printed before and after.
    """
    FitArguments(**options)  # before anything heavy is imported
    from srfast.workflows.fitting import QUANTILES, fit_degradation

    done = fit_degradation(images, output, progress=not quiet(), **options)
    measured = {"given": done.given, "before": done.before, "after": done.after}
    plain = {name: {m: q.tolist() for m, q in measures.items()} for name, measures in measured.items()}
    data = {"output": output, "quantiles": list(QUANTILES), **plain}
    answer(as_json, data, *done.lines, f"a degradation -> {output}")
