"""``srfast eval``."""

from __future__ import annotations

from typing import Any

import click

from srfast.cli.options import row_of, settings
from srfast.evaluation.settings import EvaluateSettings


@click.command()
@click.argument("model")
@click.option("--data", required=True, multiple=True, metavar="PATH", help="HR images, or folders of them. Repeatable.")
@settings(EvaluateSettings)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    help="JSON file to write the result to; with -, only the JSON is printed, on stdout.",
)
def command(model: str, data: tuple[str, ...], json_file: str | None, **options: Any) -> None:
    """Measure PSNR and SSIM of MODEL on Y, and perceptual measures with --measures.

    MODEL is bicubic, srcnn, a file of weights (docs/models.md lists which), the folder of a training, or FILE.py:NAME.
    """
    import json
    import os

    from srfast.data.files import check_output, output_file
    from srfast.data.provenance import generator
    from srfast.errors import InputError

    settings = EvaluateSettings(**options)
    given = [*data, *([str(settings.lr_images)] if settings.lr_images else [])]
    for path in given:
        if not os.path.exists(path):
            raise InputError(f"{path}: no such file or folder")
    from srfast.evaluation.evaluator import evaluate

    inputs = [*given, model]
    if json_file and json_file != "-":
        check_output(json_file, "evaluation", inputs)
    result = evaluate(model, data, **options)
    if json_file:
        text = json.dumps({"generator": generator("evaluation"), **result.to_dict()}, indent=2, allow_nan=False)
        if json_file == "-":
            click.echo(text)
            return
        with output_file(json_file, "evaluation", inputs) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    _print(result)


def _print(result) -> None:  # type: ignore[no-untyped-def]
    from rich.console import Console
    from rich.table import Table

    kind = "" if result.window == "wang" else ", SSIM window 7 x 7"
    title = row_of([f"{result.model} x{result.scale}, {result.protocol} protocol{kind}"])[0]
    table = Table(title=title, title_justify="left")
    table.add_column("image", overflow="fold")
    table.add_column("PSNR (dB)", justify="right")
    table.add_column("SSIM", justify="right")
    for name in result.measures:
        table.add_column(name, justify="right")
    for i in result.images:
        table.add_row(*row_of([i.image, f"{i.psnr:.2f}", *(f"{v:.4f}" for v in (i.ssim, *i.measures.values()))]))
    table.add_section()
    means = (result.ssim, *(about["mean"] for about in result.measures.values()))
    table.add_row("mean", f"{result.psnr:.2f}", *(f"{v:.4f}" for v in means))
    Console().print(table)
