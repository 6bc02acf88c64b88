"""Writes docs/cli.md, the reference of the command line, from the commands themselves.

    python docs/command_line.py

``tests/docs/test_site.py`` holds the page to the commands.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click

from srfast.cli import COMMANDS, group

PAGE = Path(__file__).with_name("cli.md")
HEAD = """# The command line

Every command, its options, their ranges and defaults. `srfast COMMAND --help` prints the same in a terminal. The page
is written from the commands by `python docs/command_line.py`.
"""


def page() -> str:
    """The whole page."""
    top = click.Context(group, info_name="srfast")
    parts = [HEAD, "## srfast", *_described(top)]
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=top)
        parts += [f"## srfast {name}", *_described(context)]
        for part, inner in getattr(command, "commands", {}).items():
            inside = click.Context(inner, info_name=part, parent=context)
            parts += [f"### srfast {name} {part}", *_described(inside)]
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def _described(context: click.Context) -> list[str]:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    options = [_option(p) for p in command.params if isinstance(p, click.Option) and not p.hidden]
    options.append("- `-h, --help`: Show this message and exit.")
    return [
        f"```text\n{usage}\n```",
        *_paragraphs(inspect.cleandoc(command.help or "")),
        "\n".join(options),
        _epilog(command, context),
    ]


def _option(option: click.Option) -> str:
    """One line: names and what they take, help, range and default."""
    kind, taken = option.type, option.metavar
    if not option.is_flag and taken is None:
        taken = f"[{'|'.join(kind.choices)}]" if isinstance(kind, click.Choice) else kind.name.split()[0].upper()
    names = ", ".join(option.opts) + "".join(f" / {name}" for name in option.secondary_opts)
    text, _, default = (option.help or "").rstrip("]").partition("[default: ")
    text = " ".join(text.split())
    if isinstance(kind, click.IntRange) and (kind.min is not None or kind.max is not None):
        text += f" From {kind.min} to {kind.max}." if kind.max is not None else f" At least {kind.min}."
    if option.required:
        text += " Required."
    elif default:
        text += f" Default: {default}."
    elif not option.is_flag and option.show_default and option.default not in ((), None):
        value = option.show_default if isinstance(option.show_default, str) else option.default
        text += f" Default: {value}."
    return f"- `{names}{f' {taken}' if taken else ''}`: {_plain(text)}"


def _paragraphs(text: str) -> list[str]:
    """Paragraphs; those whose lines are left as they are (after a line of \\b) become blocks."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        first, _, rest = paragraph.partition("\n")
        if first.strip() == "\b":
            found.append(f"```text\n{inspect.cleandoc(rest)}\n```")
        elif paragraph.strip():
            found.append(_plain(paragraph))
    return found


def _epilog(command: click.Command, context: click.Context) -> str:
    formatter = click.HelpFormatter(width=110)
    command.format_epilog(context, formatter)
    lines = formatter.getvalue().strip()
    return f"```text\n{lines}\n```" if lines else ""


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, with links to the pages it names; what stands in backticks is kept."""
    pieces = re.split(r"(`[^`]*`)", " ".join(text.split()))
    shown = "".join(p if p.startswith("`") else re.sub(r"([*_<>\[\]|\\])", r"\\\1", p) for p in pieces)
    return re.sub(r"docs/([\w-]+)\.md", r"[\1.md](\1.md)", shown)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
