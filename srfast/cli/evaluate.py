"""``srfast eval``."""

from __future__ import annotations

import click


@click.command()
@click.argument("model")
@click.option("--data", required=True, multiple=True, metavar="PATH", help="HR images or folders of them; repeatable.")
@click.option("--scale", type=int, help="2, 3 or 4.  [default: the model's, else 2]")
@click.option(
    "--protocol",
    type=click.Choice(["classic", "rgb"]),
    help="[default: classic for Y models and bicubic, rgb for RGB models]",
)
@click.option("--lr-data", metavar="DIR", help="LR images to use instead of making them, below the same folders as HR.")
@click.option(
    "--lr-template", default="{}", show_default=True, help="Name of an LR image after its HR image's, such as {}x4."
)
@click.option(
    "--tile",
    type=int,
    metavar="N",
    help="LR pixels; 0 runs images whole [default: 192 for large images where it is exact].",
)
@click.option("--ssim", "window", type=click.Choice(["wang", "skimage"]), default="wang", show_default=True,
              help="Window of SSIM: 11 x 11 Gaussian, or scikit-image's 7 x 7 default.")  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    help="Write the scores as JSON; - writes them, and nothing else, to stdout.",
)
def command(model, data, scale, protocol, lr_data, lr_template, tile, window, device, json_file) -> None:  # type: ignore[no-untyped-def]
    """PSNR and SSIM on Y of MODEL: bicubic, srcnn, a weights file (foreign ones through spandrel), or a run's folder.

    classic: float LR, Y rounded, what SRCNN and FSRCNN print. rgb: 8-bit LR, Y not rounded, what EDSR and
        SwinIR print.
    Numbers of the two are not comparable.
    """
    import json
    import os

    from srfast.data.files import check_output, output_file
    from srfast.data.provenance import generator
    from srfast.errors import InputError
    from srfast.ops.checks import check_scale

    if scale is not None:
        check_scale(scale)
    for path in [*data, *([lr_data] if lr_data else [])]:
        if not os.path.exists(path):
            raise InputError(f"{path}: no such file or folder")
    from srfast.evaluation.evaluator import evaluate

    inputs = [*data, *([lr_data] if lr_data else []), model]
    if json_file and json_file != "-":
        check_output(json_file, "evaluation", inputs)
    result = evaluate(
        model, data, scale, protocol, lr_data=lr_data, lr_template=lr_template, tile=tile, window=window, device=device
    )
    if json_file:
        text = json.dumps({"generator": generator("evaluation"), **result.to_dict()}, indent=2, allow_nan=False)
        if json_file == "-":
            click.echo(text)
            return
        with output_file(json_file, "evaluation", inputs) as temporary:
            temporary.write_text(text + "\n")
    _print(result)


def _print(result) -> None:  # type: ignore[no-untyped-def]
    from rich.console import Console
    from rich.table import Table

    kind = "" if result.window == "wang" else ", SSIM window 7 x 7"
    table = Table(title=f"{result.model} x{result.scale}, {result.protocol} protocol{kind}", title_justify="left")
    table.add_column("image", overflow="fold")
    table.add_column("PSNR (dB)", justify="right")
    table.add_column("SSIM", justify="right")
    for i in result.images:
        table.add_row(i.image, f"{i.psnr:.2f}", f"{i.ssim:.4f}")
    table.add_section()
    table.add_row("mean", f"{result.psnr:.2f}", f"{result.ssim:.4f}")
    Console().print(table)
