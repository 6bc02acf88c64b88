"""Options made from settings, and functions by which commands print."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from srfast.settings import Kind, Settings

F = TypeVar("F", bound=Callable[..., Any])
BRIEF = 150
"""Characters of help that --help shows of an option, about two lines; --help-all shows all."""


class Aliased(click.Option):
    """An option that also goes by earlier names, which help does not show."""

    def __init__(self, *args: Any, aliases: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.aliases = aliases

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        if self.aliases:
            parser.add_option(obj=self, opts=list(self.aliases), dest=self.name, action="store", nargs=1)


class Grouped(click.Command):
    """A command whose --help shows its main options in groups, and whose --help-all shows every option.

    Args:
        groups: Heading -> names of its options.
        methods: Function that returns the values of its option --method, {name: line}, which a table of its own lists.
    """

    def __init__(
        self,
        *args: Any,
        groups: Mapping[str, Sequence[str]],
        methods: Callable[[], Mapping[str, str]] = dict,
        **kw: Any,
    ) -> None:
        super().__init__(*args, **kw)
        self.groups, self.methods = groups, methods

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        more = click.Option(
            ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=self._help_all,
            help="Show every option and exit.",
        )  # fmt: skip
        *others, short = super().get_params(ctx)
        return [*others, more, short]

    def _help_all(self, ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value:
            ctx.meta["help_all"] = True
            click.echo(self.get_help(ctx), color=ctx.color)
            ctx.exit()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        everything = "help_all" in ctx.meta
        methods = {name: in_options(line) for name, line in self.methods().items()}
        lines: dict[str | None, tuple[str, str]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (line := param.get_help_record(ctx)) is not None:
                names, text = line
                if param.name == "method" and methods:
                    listed = (f"{name}: {line}" for name, line in methods.items())
                    text = text.replace("; ".join(line for line in listed if line in text), "Methods are listed below")
                    names = f"{names.split()[0]} NAME"
                lines[param.name] = names, text if everything else brief(text)
        grouped = {name for names in self.groups.values() for name in names}
        rest = [name for name in lines if name not in grouped]
        last = rest if everything else [p.name for p in self.get_params(ctx) if p.is_eager]
        for title, own in {**self.groups, "Further options" if everything else "Help": last}.items():
            with formatter.section(title):
                formatter.write_dl([lines[name] for name in own if name in lines])
        if methods and everything:
            with formatter.section("Methods"):
                formatter.write_dl(list(methods.items()))


def brief(text: str) -> str:
    """The first sentences of help, as many as two lines hold, and the default."""
    text, mark, default = text.partition("  [")
    sentences = re.split(r"(?<=\.) (?=\w)", text)
    short = sentences[0]
    for sentence in sentences[1:]:
        if len(short) + len(sentence) >= BRIEF:
            break
        short += f" {sentence}"
    return short + mark + default


class Words(click.Choice):  # type: ignore[type-arg]  # generic in the stubs of click 8.2 and later
    """The words that a setting takes, or the whole numbers where they are not a range, and its hint."""

    def __init__(self, kind: Kind) -> None:
        super().__init__([str(choice) for choice in kind.choices])
        self.hint, self._kind = kind.hint, kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._kind.convert(value)  # a word that an installed package adds is no choice
        except ValueError:
            word = super().convert(str(value), param, ctx)
            return int(word) if self._kind.cli_type == "whole" else word


class Setting(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs of click 8.2 and later
    """A value given as text, which the setting's own check converts."""

    def __init__(self, field: dataclasses.Field[Any]) -> None:
        self.name = field.metadata.get("metavar", "text")
        self._kind, self._setting = field.metadata["kind"], field.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self._kind.check(self._setting, value)


def settings(of: type[Settings], *leave_out: str, **changed: Any) -> Callable[[F], F]:
    """Adds an option for each setting of a class, but those ``leave_out``; ``changed`` are arguments of click.option,
    by the name of the setting."""

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
    help = in_options(about["help"]) + (f"  [default: {in_options(about['shown'])}]" if "shown" in about else "")
    if kind.cli_type == "flag":
        if "off" in about:
            flags[-1] += f"/{about['off']}"
        unset = {"default": None} if "shown" in about else {}
        return click.option(*flags, field.name, is_flag=True, **{"help": help, **unset, **changed})
    repeated = about.get("repeated", False)
    types: dict[str, Any] = {"whole": click.INT, "number": click.FLOAT, "text": None if repeated else Setting(field)}
    if kind.choices:
        first, last = kind.choices[0], kind.choices[-1]
        ranged = kind.cli_type == "whole" and kind.choices == tuple(range(first, last + 1))
        types = dict.fromkeys(("text", "whole"), click.IntRange(first, last) if ranged else Words(kind))
    aliases = [*about.get("also", ()), flag_of(field.name)]
    given: dict[str, Any] = {
        "type": types[kind.cli_type], "default": None if "shown" in about else about.get("typed", default),
        "help": help, "metavar": about.get("metavar"), "show_default": default is not None and "shown" not in about,
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


def output_option(help: str = "Score table to write.", folder: bool = False) -> Callable[[F], F]:
    """Adds -o, the file or folder that a command writes."""
    kind = click.Path(file_okay=not folder, dir_okay=folder)
    return click.option("-o", "--output", required=True, type=kind, help=help)


def json_option(printed: str = "a summary", more: str = "") -> Callable[[F], F]:
    """Adds --json, which prints something as one JSON object."""
    help = f"Print {printed} as one JSON object on stdout{more}."
    return click.option("--json", "as_json", is_flag=True, help=help)


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def in_options(text: str) -> str:
    """Replaces settings in backticks by the names of their options."""
    return re.sub(r"`(\w+)`", lambda match: flag_of(match[1]), text)


def emit(data: dict[str, Any]) -> None:
    """Prints one JSON object on stdout, in which infinity and NaN, which JSON lacks, are null."""
    plain = json.loads(json.dumps(data), parse_constant=lambda _: None)
    click.echo(json.dumps(plain, sort_keys=True, allow_nan=False))


def answer(as_json: bool, data: dict[str, Any], *lines: object) -> None:
    """Prints the result of a command on stdout: as one JSON object, or as lines for a person."""
    if as_json:
        emit(data)
        return
    for line in lines:
        result(line)


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


def quiet() -> bool:
    """Whether -q was given, so that only errors go to stderr."""
    return logging.getLogger("srfast").level == logging.ERROR
