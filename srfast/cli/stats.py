"""``srfast stats``."""

from __future__ import annotations

from typing import Any

import click

from srfast.cli.options import emit


@click.command("stats", short_help="Quantiles, shares of error and agreement of a score table.")
@click.argument("scores", nargs=-1, required=True, type=click.Path())
@click.option(
    "--images",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Lines of the hardest and the easiest images.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print everything as one JSON object on stdout, every image included."
)
def command(scores: tuple[str, ...], images: int, as_json: bool) -> None:
    """What SCORES (one table, or all the shards of a dataset, or a core-set) say of the dataset."""
    from srfast.coreset.selection import CoreSet
    from srfast.coreset.statistics import summary
    from srfast.scoring.table import ScoreTable, join, read_parquet

    if len(scores) == 1 and "selection" in read_parquet(scores[0])[1]:
        found = summary(CoreSet.read(scores[0]))
    else:
        found = summary(join([ScoreTable.read(path) for path in scores], list(scores)))
    if as_json:
        emit(found)
    else:
        click.echo("\n".join(_lines(found, images)))


def _lines(found: dict[str, Any], images: int) -> list[str]:
    lines = [f"{found['patches']:,} patches of {found['images']:,} images", ""]
    quantiles = list(found["columns"]["loss"]["quantiles"])
    heads = ["", "mean", "lowest", *(f"{100 * float(q):g} %" for q in quantiles[1:-1]), "highest", "missing"]
    lines += _aligned(
        [
            heads,
            *(
                [name, _short(of["mean"]), *(_short(v) for v in of["quantiles"].values()), f"{of['missing']:,}"]
                for name, of in found["columns"].items()
            ),
        ]
    )
    shares = found["share_of_error"]
    lines += ["", "Share of the summed loss in the hardest patches"]
    lines += _aligned(
        [["kept", *(f"{100 * float(k):g} %" for k in shares)], ["loss", *(f"{100 * v:.1f} %" for v in shares.values())]]
    )
    lines += ["", "Agreement with loss"]
    lines += _aligned(
        [["", "Spearman", "hardest half shared"]]
        + [
            [
                name,
                "-" if of["spearman"] is None else f"{of['spearman']:.4f}",
                "-" if of["top_half"] is None else f"{100 * of['top_half']:.1f} %",
            ]
            for name, of in found["agreement"].items()
        ]
    )
    ranked = sorted(found["per_image"].items(), key=lambda item: -item[1]["mean"])
    if images:
        shown = ranked if len(ranked) <= 2 * images else [*ranked[:images], None, *ranked[-images:]]
        lines += [
            "",
            "Images by mean loss" + ("" if len(shown) == len(ranked) else f", the {images} highest and lowest"),
        ]
        rows = [["", "patches", "mean", "median", "largest"]]
        for item in shown:
            rows.append(
                ["...", "", "", "", ""]
                if item is None
                else [item[0], f"{item[1]['patches']:,}", *(_short(item[1][k]) for k in ("mean", "median", "largest"))]
            )
        lines += _aligned(rows)
    return lines


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"


def _aligned(rows: list[list[str]]) -> list[str]:
    """Columns of text: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]
