"""Options that several commands share, and the progress bar."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from srfast.scoring.settings import ScoreSettings

F = TypeVar("F", bound=Callable[..., Any])


class Shard(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs of click 8.2 and later
    """i/n."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        parts = str(value).split("/")
        if len(parts) != 2 or not all(p.isascii() and p.isdigit() for p in parts):
            self.fail(f"expected i/n, for example 0/4, got {value!r}", param, ctx)
        return int(parts[0]), int(parts[1])


class Aliased(click.Option):
    """An option that also goes by an earlier name, which help does not show."""

    def __init__(self, *args: Any, alias: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alias = alias

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        parser.add_option(obj=self, opts=[self.alias], dest=self.name, action="store", nargs=1)


def scoring(function: F) -> F:
    """The arguments and options of ``srfast.score``, from the list of its settings."""
    for field in reversed(dataclasses.fields(ScoreSettings)):
        if field.name != "shard":  # `prune` runs whole datasets
            function = _option(field)(function)
    return click.argument("images", nargs=-1, required=True, type=click.Path())(function)


def shard(function: F) -> F:
    """--shard i/n."""
    field = next(f for f in dataclasses.fields(ScoreSettings) if f.name == "shard")
    return _option(field, Shard())(function)


def _option(field: dataclasses.Field[Any], kind: Any = None) -> Callable[[F], F]:
    about, default = field.metadata, field.default
    flag = "--" + field.name.replace("_", "-")
    if default is False:
        return click.option(flag, field.name, is_flag=True, help=about["help"])
    help = about["help"] + (f"  [default: {about['shown']}]" if "shown" in about else "")
    if kind is None and "choices" in about:
        choices = about["choices"]
        kind = click.IntRange(choices[0], choices[-1]) if isinstance(default, int) else click.Choice(choices)
    elif kind is None:
        kind = click.STRING if isinstance(default, str) or about.get("text") else click.INT
    named: dict[str, Any] = {"cls": Aliased, "alias": flag} if "flag" in about else {}
    return click.option(
        about.get("flag", flag), *about.get("also", ()), field.name, **named, type=kind, default=default, help=help,
        metavar=about.get("metavar"), show_default=default is not None,
    )  # fmt: skip


def emit(data: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(_plain(data), sort_keys=True, allow_nan=False))


def _plain(value: Any) -> Any:
    """Values that JSON has: null for infinity and NaN."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def scoring_progress(title: str) -> Iterator[Callable[[int, int, int], None]]:
    """A bar over images with the patch rate and the time left, on stderr, silent when that is not a terminal."""
    if quiet() or not sys.stderr.isatty():
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
    if not quiet():
        click.echo(shown(text), err=True)


def shown(text: str) -> str:
    """A text for a terminal: what would move its cursor, colour it or turn its direction is written as an escape."""
    odd = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in odd else c.encode("unicode_escape").decode() for c in text
    )


def quiet(change: bool | None = None) -> bool:
    """Whether -q was given: nothing on stderr but errors."""
    global _quiet
    if change is not None:
        _quiet = change
    return _quiet


_quiet = False
