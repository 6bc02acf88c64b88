"""The site builds without a warning, and one version stands everywhere."""

import importlib.util
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

import srfast
from srfast.cli import COMMANDS, group

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_site_builds_without_a_warning(tmp_path):
    if find_spec("material") is None or find_spec("mkdocstrings") is None:
        pytest.skip("the extra docs is not installed")
    words = ("-P", "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir")
    done = subprocess.run([sys.executable, *words, tmp_path / "site"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "api" / "index.html").read_text()
    for name in ("score", "select", "CorePatches", "imresize", "evaluate", "InputError"):
        assert name in page


def test_one_version():
    declared = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    cited = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert declared == cited == [srfast.__version__] == [srfast.build_info()["version"]]


@pytest.mark.parametrize("name", srfast.__all__)
def test_every_public_name_is_on_the_page(name):
    page = (ROOT / "docs" / "api.md").read_text()
    value = getattr(srfast, name)
    module = getattr(value, "__module__", None)
    listed = f"::: {module}.{name}" in page or f"srfast.{name}" in page
    assert listed or re.search(rf"::: {module}\n    options:\n      members: \[[^]]*\b{name}\b", page)


def test_every_page_is_in_the_site():
    nav = (ROOT / "mkdocs.yml").read_text().split("nav:", 1)[1]
    listed = set(re.findall(r"[\w-]+\.md", nav))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")}


DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def writer():
    return _script("command_line")


def _script(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_commands_say(writer):
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == writer.page(), "python docs/command_line.py writes it anew"


def test_type_checkers_see_the_settings():
    stub = DOCS.parent / "srfast" / "__init__.pyi"
    assert stub.read_text(encoding="utf-8") == _script("stub").stub(), "python docs/stub.py writes it anew"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_sentence(writer, name):
    context = click.Context(group, info_name="srfast")
    command = group.get_command(context, name)
    for option in command.params:
        if isinstance(option, click.Option):
            text = " ".join((option.help or "").partition("[default")[0].split())
            assert text[:1].isupper(), (option.name, text)
            assert text.endswith("."), (option.name, text)


TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in TEXT.splitlines() if line.startswith("| ")][
    1:
]
NAMED = sorted(set(re.findall(r"`((?:\w+/)*test_\w+\.py)`", TEXT)))


def test_every_promise_names_its_tests():
    assert len(ROWS) >= 20
    for row in ROWS:
        assert len(row) == 2, row
        assert re.findall(r"`(?:\w+/)*test_\w+\.py`", row[1]), row[0]


@pytest.mark.parametrize("name", NAMED)
def test_every_named_test_exists(name):
    text = (ROOT / "tests" / name).read_text(encoding="utf-8")
    assert re.search(r"^def test_\w+\(", text, re.MULTILINE)
    assert "pytestmark = pytest.mark.skip(" not in text
