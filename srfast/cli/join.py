"""``srfast join``."""

from __future__ import annotations

import click

from srfast.cli.options import emit, json_option, result, shards_option


@click.command()
@click.argument("scores", type=click.Path())
@click.argument("other", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="Score table to write.")
@click.option(
    "--on",
    default="image",
    show_default=True,
    help="Columns by which rows are matched: image, or image,x,y. Write image=NAME if OTHER calls the column NAME.",
)
@shards_option
@json_option()
def command(scores: str, other: str, output: str, on: str, allow_missing_shards: bool, as_json: bool) -> None:
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
    if as_json:
        counts = {"rows": len(joined.table), "matched": joined.matched, "by": joined.by}
        emit({"output": output, "added": joined.added, **counts})
    else:
        added = ", ".join(joined.added)
        result(f"{added} for {joined.matched:,} of {len(joined.table):,} patches, by {joined.by} -> {output}")
