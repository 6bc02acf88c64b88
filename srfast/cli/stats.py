"""``srfast stats``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import click

from srfast.cli.options import emit, json_option, row_of, shards_option


@click.command()
@click.argument("scores", nargs=-1, required=True, type=click.Path())
@click.option("--images", type=click.IntRange(0), default=5, show_default=True,
    help="Number of the hardest images to list, and of the easiest.")  # fmt: skip
@shards_option
@json_option("all statistics", ", with every image")
def command(scores: tuple[str, ...], images: int, allow_missing_shards: bool, as_json: bool) -> None:
    """Show quantiles, shares of the error, agreement of the columns, and the hardest and easiest images of SCORES.

    SCORES is one score table, all shards of one, or a core-set.
    """
    from srfast.scoring.statistics import summary
    from srfast.scoring.stored import opened_rows

    table = opened_rows(scores, allow_missing_shards=allow_missing_shards)
    statistics = summary(table)
    if "rank" not in table.columns:
        from srfast.workflows.recommendation import recommend

        statistics["recommendation"] = recommend(table).as_dict()
    if as_json:
        emit(statistics)
    else:
        _print(statistics, images)


def _print(statistics: dict[str, Any], images: int) -> None:
    from rich.console import Console

    # A file or a pipe gets lines as long as they are.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)

    def table(title: str, heads: list[str], rows: Iterable[Iterable[str]]) -> None:
        from rich.table import Table

        shown = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False)
        for i, head in enumerate(heads):
            shown.add_column(head, justify="right" if i else "left", overflow="fold")
        for row in rows:
            shown.add_row(*row_of(row))
        console.print(shown)
        console.print()

    quantiles = [f"{100 * float(q):g} %" for q in statistics["columns"]["loss"]["quantiles"]][1:-1]
    table(
        f"{statistics['patches']:,} patches of {statistics['images']:,} images",
        ["", "mean", "lowest", *quantiles, "highest", "missing"],
        (
            [name, _short(of["mean"]), *map(_short, of["quantiles"].values()), f"{of['missing']:,}"]
            for name, of in statistics["columns"].items()
        ),
    )
    if "sizes" in statistics:
        table(
            "Patches by the size of the image",
            ["", "patches", "share", "of those there were"],
            (
                [size, f"{of['patches']:,}", f"{100 * of['share']:.1f} %",
                 f"{100 * of['patches'] / of['of']:.1f} %" if of.get("of") else "-"]
                for size, of in statistics["sizes"].items()
            ),
        )  # fmt: skip
    if "recommendation" in statistics:
        from srfast.report.report import known

        advised = statistics["recommendation"]
        console.print("Recommended")
        for part in ("left_out", "sizes", "ratio"):
            console.print(f"  {advised[part]['sentence']}")
        console.print(f"  {known(advised)}")
        console.print()
    shares = statistics["share_of_error"]
    table(
        "Share of the summed loss in the hardest patches",
        ["kept", *(f"{100 * float(k):g} %" for k in shares)],
        [["loss", *(f"{100 * v:.1f} %" for v in shares.values())]],
    )
    table(
        "Agreement with loss",
        ["", "Spearman", "hardest half shared"],
        (
            [name, _short(of["spearman"], ".4f"), _short(of["top_half"] and 100 * of["top_half"], ".1f")]
            for name, of in statistics["agreement"].items()
        ),
    )
    ranked = sorted(statistics["per_image"].items(), key=lambda item: -item[1]["mean"])
    if not images:
        return
    shown = ranked if len(ranked) <= 2 * images else [*ranked[:images], ("...", {}), *ranked[-images:]]
    table(
        "Images by mean loss" + ("" if len(shown) == len(ranked) else f", the {images} highest and lowest"),
        ["", "patches", "mean", "median", "largest"],
        (
            [name, *([f"{of['patches']:,}", *(_short(of[k]) for k in ("mean", "median", "largest"))] if of else [])]
            for name, of in shown
        ),
    )


def _short(value: float | None, form: str = ",.4g") -> str:
    return "-" if value is None else format(value, form)
