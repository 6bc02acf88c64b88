"""``srfast join``, ``influence`` and ``dedup``: columns that are added to a score table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from srfast.cli.options import answer, json_option, one_line, output_option, root_option, shards_option
from srfast.report.content import count

_SHOWN = 20
"""Pairs of images that ``dedup`` lists."""


@click.command()
@click.argument("scores", type=click.Path())
@click.argument("other", type=click.Path())
@output_option()
@click.option(
    "--on",
    default="image",
    show_default=True,
    help="Columns by which rows are matched: image, or image,x,y. Write image=NAME if OTHER calls the column NAME.",
)
@shards_option
@json_option()
def join(scores: str, other: str, output: str, on: str, allow_missing_shards: bool, as_json: bool) -> None:
    """Add the columns of OTHER to SCORES, for use with `srfast select --method` and `--where`.

    OTHER is a .csv file with a header, a .parquet file, or a .txt file with a name and a number on each line. Images
    are matched by path, or else by file name, or else by file name without suffix. Rows of SCORES that OTHER does not
    have get missing values.
    """
    from srfast.coreset.joining import join_columns
    from srfast.data.files import check_output
    from srfast.scoring.table import one_table

    check_output(output, "score table", [scores, other])
    joined = join_columns(one_table(scores, allow_missing_shards=allow_missing_shards), other, on.split(","))
    joined.table.write(output)
    added, by = ", ".join(joined.added), joined.by
    data = {"added": joined.added, "rows": len(joined.table), "matched": joined.matched, "by": by}
    line = f"{added} for {joined.matched:,} of {len(joined.table):,} patches, by {by} -> {output}"
    answer(as_json, {"output": output, **data}, line)


@click.command()
@click.argument("scores", type=click.Path())
@output_option()
@click.option("--target", multiple=True, required=True, metavar="DIR", type=click.Path(),
    help="Images that a model should reconstruct well, or folders of them. Repeatable.")  # fmt: skip
@click.option("--scorer", default="srcnn", show_default=True,
    help="SRCNN whose loss is predicted: srcnn, which comes with srfast, or a file of weights.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Random seed of the estimate.")
@root_option
@shards_option
@json_option()
def influence(scores: str, output: str, target: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Add a column influence to SCORES: how much a patch is predicted to lower the loss on the target's images.

    The column is computed once; `srfast select --method influence` then selects by it at any --keep.
    """
    from srfast.coreset.influence import COLUMN, influence
    from srfast.data.files import check_output

    check_output(output, "score table", [scores, *target])
    scored = influence(scores, target, **options)
    scored.write(output)
    helping = int((scored.column(COLUMN) > 0).sum())
    answer(
        as_json,
        {"output": output, "patches": len(scored), "helping": helping, **scored.meta[COLUMN]},
        f"{helping:,} of {len(scored):,} patches are predicted to lower the loss on the target -> {output}",
    )


@click.command()
@click.argument("scores", type=click.Path())
@click.argument("more", nargs=-1, type=click.Path(), metavar="")
@output_option("Score table to write, with its marks.")
@click.option("--against", multiple=True, metavar="DIR...", type=click.Path(),
    help="Test images, or folders of them, to look for among the patches. Repeatable.")  # fmt: skip
@click.option("--alike", type=float, default=0.93, show_default=True,
    help="Smallest concordance of two patches that count as the same, at most 1.")  # fmt: skip
@root_option
@shards_option
@json_option("the findings")
def dedup(
    scores: str,
    more: tuple[str, ...],
    output: str,
    against: tuple[str, ...],
    alike: float,
    root: Path | None,
    allow_missing_shards: bool,
    as_json: bool,
) -> None:
    """Mark near-duplicates in SCORES: patches that were flipped, rotated, moved by a few pixels or compressed again.

    Three columns are added: duplicate (whether a patch of a better image shows the same content), group (one number
    for all patches of the same content) and leak (the test image with that content). `srfast select --where "not
    duplicate and leak is null"` leaves the marked patches out.
    """
    if more and not against:
        from srfast.cli import UsageError

        raise UsageError(
            f"expected one SCORES, got {scores} and {more[0]}", click.get_current_context(),
            "test images come after --against",
        )  # fmt: skip
    from srfast.coreset.duplicates import find_duplicates
    from srfast.data.files import check_output
    from srfast.scoring.table import one_table

    check_output(output, "score table", [scores, *against, *more])
    table = one_table(scores, allow_missing_shards=allow_missing_shards)
    repeats = find_duplicates(table, [*against, *more], root, alike)
    repeats.table.write(output)
    data = {k: getattr(repeats, k) for k in ("duplicates", "groups", "flat", "leaking", "leaks", "not_compared")}
    images = [dict(zip(("image", "like", "shared", "of"), p, strict=True)) for p in repeats.images]
    lines = [
        f"{repeats.duplicates:,} of {len(repeats.table):,} patches repeat one that is kept, "
        f"in {repeats.groups:,} groups; {repeats.flat:,} are too flat to tell"
    ]
    lines += _first([f"  {a} repeats {b}: {n} of {of} patches" for a, b, n, of in repeats.images], " pairs of images")
    if against:
        lines.append(f"{count(repeats.leaking, 'patch')} {'is' if repeats.leaking == 1 else 'are'} in test images")
        lines += _first([f"  {test}: {n} of {train}" for test, of in repeats.leaks.items() for train, n in of.items()])
    data |= {"output": output, "patches": len(repeats.table), "images": images}
    answer(as_json, data, *map(one_line, lines), f"-> {output}")


def _first(lines: list[str], of: str = "") -> list[str]:
    more = len(lines) - _SHOWN
    return [*lines[:_SHOWN], *([f"  and {more:,} more{of}"] if more > 0 else [])]
