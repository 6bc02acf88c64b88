"""docs/cli.md and srfast/__init__.pyi are what docs/command_line.py and docs/stub.py make of the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import click
import pytest

from srfast.cli import COMMANDS, group

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    return _script("command_line")


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_commands_say(writer: ModuleType) -> None:
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == writer.page(), "python docs/command_line.py writes it anew"


def test_type_checkers_see_the_settings() -> None:
    stub = DOCS.parent / "srfast" / "__init__.pyi"
    assert stub.read_text(encoding="utf-8") == _script("stub").stub(), "python docs/stub.py writes it anew"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_sentence(writer: ModuleType, name: str) -> None:
    context = click.Context(group, info_name="srfast")
    command = group.get_command(context, name)
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option):
            text = " ".join((option.help or "").partition("[default")[0].split())
            assert text[:1].isupper(), (option.name, text)
            assert text.endswith("."), (option.name, text)
