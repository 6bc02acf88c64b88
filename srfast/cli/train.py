"""``srfast train``, ``eval`` of what it trained, and ``compare`` of what was measured."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from srfast.cli.options import Aliased, answer, emit, in_options, json_option, quiet, row_of, say, settings
from srfast.errors import InputError
from srfast.evaluation.settings import EvaluateSettings
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


@click.command()
@click.argument("model")
@click.option("--data", required=True, multiple=True, metavar="PATH", help="HR images, or folders of them. Repeatable.")
@settings(EvaluateSettings)
@click.option("--json", "json_file", metavar="FILE",
    help="JSON file to write the result to; with -, only the JSON is printed, on stdout.")  # fmt: skip
def evaluate(model: str, data: tuple[str, ...], json_file: str | None, **options: Any) -> None:
    """Measure PSNR and SSIM of MODEL on Y, and perceptual measures with --measures.

    MODEL is bicubic, srcnn, a file of weights (docs/models.md lists which), the folder of a training, or FILE.py:NAME.
    """
    from srfast.data.files import check_output, output_file
    from srfast.data.provenance import generator

    settings = EvaluateSettings(**options)
    given = [*data, *([str(settings.lr_images)] if settings.lr_images else [])]
    for path in given:
        if not os.path.exists(path):
            raise InputError(f"{path}: no such file or folder")
    from srfast.evaluation.evaluator import evaluate_by

    inputs = [*given, model]
    if json_file and json_file != "-":
        check_output(json_file, "evaluation", inputs)
    result = evaluate_by(settings, model, data)
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
    for name in ("PSNR (dB)", "SSIM", *result.measures):
        table.add_column(name, justify="right")
    for name, psnr, more in result.rows():
        if name == "mean":
            table.add_section()
        table.add_row(*row_of([name, f"{psnr:.2f}", *(f"{v:.4f}" for v in more)]))
    Console().print(table)


@click.command()
@click.argument("evaluations", nargs=-1, required=True)
@click.option("--metric", default="psnr", show_default=True,
    help="Metric to compare: psnr, ssim, a perceptual measure or a column of the files.")  # fmt: skip
@click.option("--lower-is-better", is_flag=True,
    help="Take lower values as better. For lpips, lpips-vgg and dists they always are.")  # fmt: skip
@click.option("--dataset", metavar="NAME", help="Test set to compare on, such as BSD100.  [default: all together]")
@click.option(
    "--scale", type=click.IntRange(1, 4), help="Scale to compare at, where evaluations of several scales are given."
)
@click.option("--protocol", type=click.Choice(["classic", "rgb"]),
    help="Protocol to compare by, where evaluations of both are given, as in a study of Y and RGB models.")  # fmt: skip
@json_option("the findings")
def compare(evaluations: tuple[str, ...], metric: str, as_json: bool, **options: Any) -> None:
    """Compare EVALUATIONS of the same images, and show their differences with confidence intervals.

    Each of EVALUATIONS is a JSON file of `srfast eval --json`, a CSV file with the columns image and psnr, ssim or any
    other metric (and seed, for several trainings), or the folder of a study, whose arms are compared one by one.
    Trainings of one model that differ only by their seed are given together: `NAME=a0.json,a1.json,a2.json`. The
    result also says which evaluations cannot be distinguished from the best. An evaluation that has two trainings or
    more in common with the best, by their seeds, is tested over trainings and images. Any other is tested over
    images alone, which says nothing about other trainings.
    """
    from srfast.evaluation.comparing import compare

    runs: dict[str, list[str]] = {}
    for text in evaluations:
        name, sources = text, [text]
        if not Path(text).exists() and "=" in text:
            name, _, files = text.partition("=")
            sources = files.split(",")
        if not name:
            raise InputError(f"compare: expected a name before '=', got {text!r}")
        if name in runs:
            raise InputError(f"compare: expected evaluations with different names, got {name!r} twice")
        runs[name] = sources
    contest = compare(runs, metric, **options)
    answer(as_json, contest.to_dict(), in_options(str(contest)))
