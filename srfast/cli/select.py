"""``srfast select``."""

from __future__ import annotations

import logging
from typing import Any

import click

from srfast.cli.options import Grouped, answer, json_option, output_option, quiet, say, settings
from srfast.coreset.settings import SelectArguments, listed

log = logging.getLogger(__name__)
GROUPS = {
    "How much is kept": ("keep", "keep_loss", "max_per_image", "nms"),
    "Which patches": ("method", "order", "drop_hardest", "target", "sizes", "one_size"),
    "What is left out": ("clean", "reject", "where"),
    "The run": ("output", "seed", "as_json"),
}


@click.command(cls=Grouped, groups=GROUPS, methods=listed)
@click.argument("scores", nargs=-1, required=True, type=click.Path())
@output_option("Core-set to write, such as coreset.parquet.")
@settings(SelectArguments)
@json_option()
def command(scores: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Select a core-set from SCORES: one score table (a file or a folder of parts), or all shards of one."""
    settings = SelectArguments(**options, progress=not quiet())  # before anything heavy is imported
    from srfast.coreset.selection import write_selection

    print_result(*write_selection(scores, output, settings), output, as_json)


def report(coreset: Any, output: str, as_json: bool) -> None:
    """Prints what a core-set in memory holds."""
    loss = coreset.column("loss")
    print_result(coreset.meta["selection"], float(loss.min()), float(loss.max()), output, as_json)


def print_result(selection: dict[str, Any], lowest: float, highest: float, output: str, as_json: bool) -> None:
    """Prints what was selected, for a person or for a program."""
    if "rejected" in selection:
        counts = ", ".join(f"{reason} {n:,}" for reason, n in selection["rejected"].items()) or "nothing"
        say(f"srfast: left out: {counts} (patches; one may have several reasons)")
    if "cleaned" in selection:
        log.info('--clean is --where "%s"', selection["cleaned"])
    if selection["short"]:
        say(f"srfast: {selection['short']}")
    if "larger" in selection:
        larger = selection["larger"]
        say(f"srfast: {larger['larger']:,} of {larger['images']:,} images were larger than their detail")
    held = selection["shares"]["loss"]
    span = f"loss {lowest:.4g} to {highest:.4g}" + ("" if held is None else f", {100 * held:.3g} % of the error")
    answer(
        as_json,
        {"output": output, **selection, "loss": {"min": lowest, "max": highest}},
        f"{selection['kept']:,} of {selection['patches']:,} patches kept, {span} -> {output}",
    )
