"""Options made from settings, and functions by which commands print."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from srfast.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class Aliased(click.Option):
    """An option that also goes by earlier names, which help does not show."""

    def __init__(self, *args: Any, aliases: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.aliases = aliases

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        if self.aliases:
            parser.add_option(obj=self, opts=list(self.aliases), dest=self.name, action="store", nargs=1)


class Setting(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs of click 8.2 and later
    """A value given as text, which the setting's own check converts."""

    def __init__(self, field: dataclasses.Field[Any]) -> None:
        self.name = field.metadata.get("metavar", "text")
        self._kind, self._setting = field.metadata["kind"], field.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self._kind.check(self._setting, value)


def settings(of: type[Settings], *leave_out: str, **changed: Any) -> Callable[[F], F]:
    """Adds an option for each setting.

    Args:
        of: The class of the settings.
        leave_out: Names of settings that get no option.
        changed: Arguments of click.option, by the name of the setting.
    """

    def add(function: F) -> F:
        for field in reversed(dataclasses.fields(of)):
            if field.name not in leave_out and not field.metadata.get("python"):
                function = option(field, **changed.get(field.name, {}))(function)
        return function

    return add


def option(field: dataclasses.Field[Any], **changed: Any) -> Callable[[F], F]:
    """The option of a setting."""
    about, default, kind = field.metadata, field.default, field.metadata["kind"]
    flag = about.get("flag") or flag_of(field.name)
    flags = [*changed.pop("short", ()), flag]
    help = in_options(about["help"])
    if kind.written == "flag":
        if "off" in about:
            flags[-1] += f"/{about['off']}"
        if "shown" in about:
            help += f"  [default: {in_options(about['shown'])}]"
            changed = {"default": None, **changed}
        return click.option(*flags, field.name, is_flag=True, **{"help": help, **changed})
    if "shown" in about:
        help += f"  [default: {in_options(about['shown'])}]"
    repeated = about.get("repeated", False)
    types: dict[str, Any] = {"whole": click.INT, "number": click.FLOAT, "text": None if repeated else Setting(field)}
    if kind.choices:
        types = {"text": click.Choice(kind.choices), "whole": click.IntRange(kind.choices[0], kind.choices[-1])}
    aliases = [*about.get("also", ()), *map(flag_of, (*about.get("old", ()), field.name))]
    given: dict[str, Any] = {
        "type": types[kind.written], "default": None if "shown" in about else about.get("typed", default), "help": help,
        "metavar": about.get("metavar"), "show_default": default is not None and "shown" not in about,
        "multiple": repeated, "aliases": [a for a in aliases if a != flag],
    }  # fmt: skip
    if changed.get("required"):
        del given["default"], given["show_default"]
    return click.option(*flags, field.name, cls=Aliased, **{**given, **changed})


def root_option(function: F) -> F:
    """Adds --root to a command that has no list of settings."""
    from srfast.exporting.settings import ExportSettings

    return option(ExportSettings.__dataclass_fields__["root"], type=click.Path(path_type=Path))(function)


def shards_option(function: F) -> F:
    """Adds --allow-missing-shards to a command that has no list of settings."""
    from srfast.coreset.settings import SelectArguments

    return option(SelectArguments.__dataclass_fields__["allow_missing_shards"])(function)


def page_options(function: F) -> F:
    """Adds SCORES, --coreset, --root and --scorer, from which a page is made."""
    scorer = "File of the network that made SCORES, needed to show LR, SR and error if it did not come with srfast."
    function = click.option("--scorer", type=click.Path(path_type=Path), help=scorer)(function)
    coreset = "Core-set that was selected from SCORES."
    function = root_option(shards_option(function))
    function = click.option("--coreset", type=click.Path(path_type=Path), help=coreset)(function)
    return click.argument("scores", type=click.Path(path_type=Path), nargs=-1, required=True)(function)


def json_option(printed: str = "a summary", more: str = "") -> Callable[[F], F]:
    """Adds --json, which prints something as one JSON object."""
    help = f"Print {printed} as one JSON object on stdout{more}."
    return click.option("--json", "as_json", is_flag=True, help=help)


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def in_options(text: str) -> str:
    """Replaces settings in backticks by the names of their options."""
    return re.sub(r"`(\w+)`", lambda found: flag_of(found[1]), text)


def emit(data: dict[str, Any]) -> None:
    """Prints one JSON object on stdout."""
    click.echo(json.dumps(_plain(data), sort_keys=True, allow_nan=False))


def _plain(value: Any) -> Any:
    """Replaces what JSON lacks: infinity and NaN become null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def say(text: str) -> None:
    """Prints a line for a person on stderr."""
    if not quiet():
        click.echo(one_line(text), err=True)


def result(text: object) -> None:
    """Prints a result on stdout."""
    click.echo(shown(str(text)))


def shown(text: str) -> str:
    """Text for a terminal: characters that would move its cursor, colour it or turn its direction become escapes."""
    odd = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in odd else c.encode("unicode_escape").decode() for c in text
    )


def one_line(text: str) -> str:
    """Text as ``shown`` returns it, with escapes for the line breaks that a file's name may have."""
    return shown(text).replace("\n", r"\n")


def row_of(cells: Iterable[str]) -> list[Any]:
    """Cells of a table of rich: text as ``one_line`` returns it, without markup."""
    from rich.text import Text

    return [Text(one_line(cell)) for cell in cells]


def quiet(change: bool | None = None) -> bool:
    """Whether -q was given, so that only errors go to stderr."""
    global _quiet
    if change is not None:
        _quiet = change
    return _quiet


_quiet = False
