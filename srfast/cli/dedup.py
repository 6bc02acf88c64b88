"""``srfast dedup``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from srfast.cli.options import emit, json_option, one_line, result, root_option, shards_option
from srfast.report.content import count

_SHOWN = 20


@click.command()
@click.argument("scores", type=click.Path())
@click.argument("more", nargs=-1, type=click.Path(), metavar="")
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False), help="Score table to write, with its marks."
)
@click.option(
    "--against",
    multiple=True,
    metavar="DIR...",
    type=click.Path(),
    help="Test images, or folders of them, to look for among the patches. Repeatable.",
)
@click.option(
    "--alike",
    type=float,
    default=0.93,
    show_default=True,
    help="Smallest concordance of two patches that count as the same, at most 1.",
)
@root_option
@shards_option
@json_option("the findings")
def command(
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
    if as_json:
        emit(
            {
                "output": output, "patches": len(repeats.table), "duplicates": repeats.duplicates,
                "groups": repeats.groups, "flat": repeats.flat, "leaking": repeats.leaking, "leaks": repeats.leaks,
                "not_compared": repeats.not_compared,
                "images": [dict(zip(("image", "like", "shared", "of"), p, strict=True)) for p in repeats.images],
            }
        )  # fmt: skip
        return
    for line in _lines(repeats, bool(against)):
        result(one_line(line))
    result(f"-> {output}")


def _lines(repeats: Any, against: bool) -> list[str]:
    lines = [
        f"{repeats.duplicates:,} of {len(repeats.table):,} patches repeat one that is kept, "
        f"in {repeats.groups:,} groups; {repeats.flat:,} are too flat to tell"
    ]
    lines += [f"  {a} repeats {b}: {n} of {of} patches" for a, b, n, of in repeats.images[:_SHOWN]]
    if len(repeats.images) > _SHOWN:
        lines.append(f"  and {len(repeats.images) - _SHOWN:,} more pairs of images")
    if against:
        lines.append(f"{count(repeats.leaking, 'patch')} {'is' if repeats.leaking == 1 else 'are'} in test images")
        leaks = [(test, train, n) for test, of in repeats.leaks.items() for train, n in of.items()]
        lines += [f"  {test}: {n} of {train}" for test, train, n in leaks[:_SHOWN]]
        if len(leaks) > _SHOWN:
            lines.append(f"  and {len(leaks) - _SHOWN:,} more")
    return lines
