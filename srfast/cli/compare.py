"""``srfast compare``."""

from __future__ import annotations

from pathlib import Path

import click

from srfast.cli.options import emit, result


@click.command("compare", short_help="Tell which evaluations differ, and which cannot be told from the best.")
@click.argument("evaluations", nargs=-1, required=True)
@click.option(
    "--metric", default="psnr", show_default=True, help="What is compared: psnr, ssim or a column of the files."
)
@click.option("--lower-is-better", is_flag=True, help="Take lower values for better, as of LPIPS.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as one JSON object on stdout.")
def command(evaluations: tuple[str, ...], metric: str, lower_is_better: bool, as_json: bool) -> None:
    """Compare EVALUATIONS of the same images: their differences with intervals, and which cannot be told from the best.

    Each is a JSON file of `srfast eval --json`, a CSV file made anywhere (image and psnr, ssim or any other column;
    seed where there are several trainings), or the folder of a study, whose arms then count one by one. Trainings of
    one model that differ by their seed alone are given together: `NAME=a0.json,a1.json,a2.json`.
    """
    from srfast.errors import InputError
    from srfast.evaluation.comparing import compare

    runs: dict[str, list[str]] = {}
    for text in evaluations:
        name, found = text, [text]
        if not Path(text).exists() and "=" in text:
            name, _, files = text.partition("=")
            found = files.split(",")
        if not name or name in runs:
            raise InputError(f"compare: expected evaluations of names that differ, got {name!r} twice")
        runs[name] = found
    contest = compare(runs, metric, lower_is_better=lower_is_better)
    if as_json:
        emit(contest.to_dict())
    else:
        result(str(contest))
