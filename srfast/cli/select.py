"""``srfast select``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from srfast.cli.options import emit, say, shown
from srfast.coreset.settings import ENGINES, METHODS, ORDERS, PER_IMAGE, Engine, Selection

F = TypeVar("F", bound=Callable[..., Any])


def _window(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        low, high = (float(part) for part in value.split(":"))
    except ValueError:
        raise click.BadParameter(f"expected LO:HI, for example 0.05:0.55, got {value!r}", ctx, param) from None
    return low, high


def selecting(function: F) -> F:
    """The options of ``srfast.select``."""
    options = [
        click.option("--keep", type=float, default=None,
            help="Fraction of all patches to keep.  [default: 0.5, or all of --window]"),
        click.option("--order", type=click.Choice(list(ORDERS)), default="des", show_default=True,
            help=f"What is kept first; {_listed(ORDERS)}."),
        click.option("--drop-hardest", type=float, default=0.0, show_default=True,
            help="Fraction of all patches to drop first, the hardest; 0.05 is the paper's refined core-set."),
        click.option("--method", default="loss", show_default=True, metavar="|".join([*METHODS, "COLUMN"]),
            help=f"What to sort or draw by. {_listed(METHODS)}; COLUMN: any numeric column of the table."),
        click.option("--where", metavar="EXPR", default=None,
            help="Only patches for which this holds, and fractions are of these: a condition in SQL on the columns, "
            "for example 'bicubic > 0.5 and x < 2000'."),
        click.option("--window", metavar="LO:HI", callback=_window, default=None,
            help="Only patches whose rank by the method lies between these fractions, for example 0.05:0.55."),
        click.option("--max-per-image", type=int, default=None, help="At most this many patches of one image."),
        click.option("--per-image", type=click.Choice(list(PER_IMAGE)), default=None, help=f"{_listed(PER_IMAGE)}."),
        click.option("--nms", type=float, metavar="IOU", default=None,
            help="No two kept patches of an image overlap (intersection over union) by more than this."),
        click.option("--flat-floor", type=float, default=0.0, show_default=True,
            help="This fraction of what is kept is the easiest patches, whatever the method."),
        click.option("--seed", type=int, default=0, show_default=True, help="Of what is random."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def _listed(choices: dict[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in choices.items())


@click.command("select", short_help="Pick a core-set from score tables.")
@click.argument("scores", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="Where coreset.parquet goes.")
@selecting
@click.option("--root", type=click.Path(file_okay=False), default=None,
    help="The folder of the images, if it has moved since scoring; hdc and diverse read them.")  # fmt: skip
@click.option(
    "--engine", type=click.Choice(list(ENGINES)), default="auto", show_default=True, help=f"{_listed(ENGINES)}."
)
@click.option("--json", "as_json", is_flag=True, help="Print a summary as one JSON object on stdout.")
def command(
    scores: tuple[str, ...], output: str, root: str | None, engine: Engine, as_json: bool, **options: Any
) -> None:
    """Pick a core-set from SCORES: one table (a file, or a folder of parts), or all the shards of a dataset."""
    Selection(**{**options, "method": "loss"}).checked()  # before anything heavy is imported; columns need the table
    from srfast.coreset.writing import write_selection

    done = write_selection(scores, output, Selection(**options), root=root, engine=engine)
    tell(done.selection, done.lowest, done.highest, output, as_json)


def report(coreset: Any, output: str, as_json: bool) -> None:
    """What was selected, of a core-set in memory."""
    loss = coreset.column("loss")
    tell(coreset.meta["selection"], float(loss.min()), float(loss.max()), output, as_json)


def tell(selection: dict[str, Any], lowest: float, highest: float, output: str, as_json: bool) -> None:
    """What was selected, for a person or for a program."""
    if selection["short"]:
        say(f"srfast: {selection['short']}")
    if as_json:
        emit({"output": output, **selection, "loss": {"min": lowest, "max": highest}})
    else:
        span = f"loss {lowest:.4g} to {highest:.4g}"
        click.echo(shown(f"{selection['kept']:,} of {selection['patches']:,} patches kept, {span} -> {output}"))
