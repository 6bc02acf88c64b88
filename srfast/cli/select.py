"""``srfast select``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from srfast.cli.options import emit

F = TypeVar("F", bound=Callable[..., Any])


def selecting(function: F) -> F:
    """The options of ``srfast.select``."""
    options = [
        click.option("--keep", type=float, default=0.5, show_default=True, help="Fraction of all patches to keep."),
        click.option(
            "--order", type=click.Choice(["des", "asc"]), default="des", show_default=True,
            help="des: the hardest; asc: the easiest.",
        ),
        click.option(
            "--drop-hardest", type=float, default=0.0, show_default=True,
            help="Fraction of all patches to drop first, the hardest; 0.05 is the paper's refined core-set.",
        ),
        click.option(
            "--method", type=click.Choice(["loss", "sobel", "random", "stratified"]), default="loss", show_default=True,
            help="What to sort or draw by.",
        ),
        click.option("--max-per-image", type=int, default=None, help="At most this many patches of one image."),
        click.option("--seed", type=int, default=0, show_default=True, help="Of random and stratified."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@click.command("select", short_help="Pick a core-set from score tables.")
@click.argument("scores", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="Where coreset.parquet goes.")
@selecting
@click.option("--json", "as_json", is_flag=True, help="Print a summary as one JSON object on stdout.")
def command(scores: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Pick a core-set from SCORES: one table, or all the shards of a dataset."""
    from srfast.coreset.selection import select

    coreset = select(list(scores), **options)
    coreset.write(output)
    report(coreset, output, as_json)


def report(coreset: Any, output: str, as_json: bool) -> None:
    """What was selected, for a person or for a program."""
    selection = coreset.meta["selection"]
    loss = coreset.column("loss")
    if as_json:
        emit({"output": output, **selection, "loss": {"min": float(loss.min()), "max": float(loss.max())}})
    else:
        span = f"loss {loss.min():.4g} to {loss.max():.4g}"
        click.echo(f"{selection['kept']:,} of {selection['patches']:,} patches kept, {span} -> {output}")
