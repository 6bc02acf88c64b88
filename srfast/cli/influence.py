"""``srfast influence``."""

from __future__ import annotations

from pathlib import Path

import click

from srfast.cli.options import emit, json_option, result, root_option, shards_option


@click.command()
@click.argument("scores", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="Score table to write.")
@click.option(
    "--target",
    multiple=True,
    required=True,
    metavar="DIR",
    type=click.Path(),
    help="Images that a model should reconstruct well, or folders of them. Repeatable.",
)
@click.option(
    "--scorer",
    default="srcnn",
    show_default=True,
    help="SRCNN whose loss is predicted: srcnn, which comes with srfast, or a file of weights.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Random seed of the estimate.")
@root_option
@shards_option
@json_option()
def command(
    scores: str,
    output: str,
    target: tuple[str, ...],
    scorer: str,
    seed: int,
    root: Path | None,
    allow_missing_shards: bool,
    as_json: bool,
) -> None:
    """Add a column influence to SCORES: how much a patch is predicted to lower the loss on the target's images.

    The column is computed once; `srfast select --method influence` then selects by it at any --keep.
    """
    from srfast.coreset.influence import COLUMN, influence
    from srfast.data.files import check_output

    check_output(output, "score table", [scores, *target])
    scored = influence(scores, target, scorer=scorer, root=root, seed=seed, allow_missing_shards=allow_missing_shards)
    scored.write(output)
    helping = int((scored.column(COLUMN) > 0).sum())
    if as_json:
        emit({"output": output, "patches": len(scored), "helping": helping, **scored.meta[COLUMN]})
    else:
        result(f"{helping:,} of {len(scored):,} patches are predicted to lower the loss on the target -> {output}")
