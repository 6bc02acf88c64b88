"""``srfast compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from srfast.cli.options import emit, in_options, json_option, result


@click.command()
@click.argument("evaluations", nargs=-1, required=True)
@click.option(
    "--metric",
    default="psnr",
    show_default=True,
    help="Metric to compare: psnr, ssim, a perceptual measure or a column of the files.",
)
@click.option(
    "--lower-is-better",
    is_flag=True,
    help="Take lower values as better. For lpips, lpips-vgg and dists they always are.",
)
@click.option("--dataset", metavar="NAME", help="Test set to compare on, such as BSD100.  [default: all together]")
@click.option(
    "--scale", type=click.IntRange(1, 4), help="Scale to compare at, where evaluations of several scales are given."
)
@click.option(
    "--protocol",
    type=click.Choice(["classic", "rgb"]),
    help="Protocol to compare by, where evaluations of both are given, as in a study of Y and RGB models.",
)
@json_option("the findings")
def command(
    evaluations: tuple[str, ...],
    metric: str,
    lower_is_better: bool,
    dataset: str | None,
    scale: int | None,
    protocol: Literal["classic", "rgb"] | None,
    as_json: bool,
) -> None:
    """Compare EVALUATIONS of the same images, and show their differences with confidence intervals.

    Each of EVALUATIONS is a JSON file of `srfast eval --json`, a CSV file with the columns image and psnr, ssim or any
    other metric (and seed, for several trainings), or the folder of a study, whose arms are compared one by one.
    Trainings of one model that differ only by their seed are given together: `NAME=a0.json,a1.json,a2.json`. The
    result also says which evaluations cannot be distinguished from the best. An evaluation that has two trainings or
    more in common with the best, by their seeds, is tested over trainings and images. Any other is tested over
    images alone, which says nothing about other trainings.
    """
    from srfast.errors import InputError
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
    contest = compare(runs, metric, lower_is_better=lower_is_better, dataset=dataset, scale=scale, protocol=protocol)
    if as_json:
        emit(contest.to_dict())
    else:
        result(in_options(str(contest)))
