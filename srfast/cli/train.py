"""``srfast train``."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from srfast.cli.options import Aliased, emit, in_options, json_option, quiet, say, settings
from srfast.training.recipes import Recipe
from srfast.training.settings import TrainArguments


class TrainCommand(click.Command):
    """A command whose help ends with the list of models, made on demand."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from srfast.models.registry import describe, names
        from srfast.training.recipes import recipe

        rows = []
        for name in names():
            network, r = describe(name), recipe(name)
            about = f"{r.loss}, {r.optimizer} {r.lr:g} {r.schedule}, {r.batch} crops of {r.lr_patch} x {r.lr_patch}"
            about += f", ema {r.ema:g}" if r.ema else ""
            about += "; --recipe paper" if network.papers_recipe else ""
            rows.append((name, f"{network.paper}: {about}"))
        with formatter.section("Models and their recipes at x2, with crops in LR pixels"):
            formatter.write_dl(rows)


@click.command(cls=TrainCommand)
@click.argument("model", required=False)
@click.option(
    "--data", multiple=True, metavar="PATH", help="Images, folders of them, or one core-set or score table. Repeatable."
)
@click.option("-o", "--output", cls=Aliased, aliases=["--out"], required=True, metavar="RUN",
    help="Folder of the run, for last.pt, model.safetensors, log.csv and run.json.")  # fmt: skip
@settings(TrainArguments, *Recipe.__dataclass_fields__)
@settings(Recipe)
@click.option("-q", "--quiet", "silent", is_flag=True, help="Write only errors to stderr.")
@json_option("the result of the run")
@click.pass_context
def command(
    ctx: click.Context, /, model: str | None, output: str, resume: bool, silent: bool, as_json: bool, **options: Any
) -> None:
    """Train MODEL on images or on a core-set.

    MODEL is one of the models below, a class or function of your own as FILE.py:NAME, or the folder or the weights
    of another training, from which this one starts.

    The length of a training is its number of optimiser updates (--steps), and schedules are fractions of it. Ctrl-C
    leaves a checkpoint, from which `srfast train --resume -o RUN` continues. To train on several GPUs, run torchrun
    --nproc-per-node N -m srfast train MODEL ...
    """
    import os

    from srfast.training import arguments

    given = {k: v for k, v in options.items() if ctx.get_parameter_source(k) is not ParameterSource.DEFAULT}
    data = given.pop("data", None)
    arguments.gather(model, data, output, resume, given)  # before anything heavy is loaded
    from srfast.workflows.training import train

    result = train(
        model,
        data,
        output,
        resume=resume,
        quiet=silent or quiet(),
        say=lambda line: None if silent else say(in_options(line)),
        **given,
    )
    if int(os.environ.get("RANK", "0")):
        return
    if as_json:
        emit(
            {
                "output": output, "weights": str(result.weights), "step": result.step, "loss": result.loss,
                "psnr": result.psnr, "ssim": result.ssim, "seconds": result.seconds,
                "data_seconds": result.data_seconds,
            }
        )  # fmt: skip
        return
    if silent:
        return
    scores = f", PSNR {result.psnr:.2f} dB, SSIM {result.ssim:.4f}" if result.psnr is not None else ""
    waited = 100 * result.data_seconds / max(result.seconds, 1e-9)
    say(f"{result.step} steps, {result.seconds:.1f} s, {waited:.1f} % of it for data, loss {result.loss:.6g}{scores}")
    say(f"{result.weights}")
