"""Options that several commands share, and the progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Shard(click.ParamType):
    """i/n."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        parts = str(value).split("/")
        if len(parts) != 2 or not all(p.isdigit() for p in parts):
            self.fail(f"expected i/n, for example 0/4, got {value!r}", param, ctx)
        return int(parts[0]), int(parts[1])


def scoring(function: F) -> F:
    """The arguments and options of ``srfast.score``."""
    options = [
        click.argument("images", nargs=-1, required=True, type=click.Path()),
        click.option("--scale", type=click.IntRange(2, 4), default=2, show_default=True, help="HR / LR."),
        click.option("--patch", type=int, default=96, show_default=True, help="Side of a patch in HR pixels."),
        click.option("--stride", type=int, default=None, help="Step of the grid in HR pixels.  [default: the patch]"),
        click.option(
            "--mode", type=click.Choice(["patch", "dense"]), default="patch", show_default=True,
            help="patch: each patch is degraded by itself (the paper). dense: each image once, for all its patches.",
        ),
        click.option(
            "--scorer", default="srcnn", show_default=True, metavar="srcnn|bicubic|PATH",
            help="The network: shipped, none, or a .safetensors, .pth or .onnx file.",
        ),
        click.option(
            "--backend", type=click.Choice(["auto", "native", "triton", "torch", "onnx"]), default="auto",
            show_default=True, help="The implementation; a named one works or ends with the reason.",
        ),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
        click.option(
            "--precision", type=click.Choice(["fp32", "fast"]), default="fp32", show_default=True,
            help="fast: reduced precision where the machine has it; the ranking stays, the digits do not.",
        ),
        click.option("--workers", type=click.IntRange(1), default=None, help="Threads.  [default: one a core]"),
        click.option("--skip-bad", is_flag=True, help="Go on after unreadable files, and list them in the table."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def emit(data: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(data, sort_keys=True))


@contextmanager
def scoring_progress(title: str) -> Iterator[Callable[[int, int, int], None]]:
    """A bar over images with the patch rate and the time left, on stderr, silent when that is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total, patches: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images  {task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, rate="")

        def update(done: int, total: int, patches: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0
            rate = f"{patches / elapsed:,.0f} patches/s" if elapsed > 0.5 else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield update


def say(text: str) -> None:
    """A line for a person, on stderr."""
    click.echo(text, err=True)
