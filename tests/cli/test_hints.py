"""What to do about an error stands at the end of its line; a terminal gets it on a line of its own, as of uv."""

from __future__ import annotations

import io
import sys

import pytest

from srfast.cli import main, parted

MESSAGES = [
    ("scale: expected 1, 2, 3 or 4, got 5", None),
    ("s.parquet: exists and was not written by srfast", "choose another output"),
    ("No such option: --kep", "did you mean --keep?"),
    ("No such command 'scor'", "did you mean score?"),
    ("Missing argument 'IMAGES...'.", "see `srfast score --help`"),
    ("srfast train needs PyTorch, which is not installed", "pip install 'srfast[train]'"),
    ("interrupted; what is finished is kept", "the same command with --resume goes on from there"),
    ("a; b.png: cannot be read", None),
]


@pytest.mark.parametrize(("error", "hint"), MESSAGES, ids=lambda v: str(v)[:30])
@pytest.mark.parametrize("form", ["{}; {}", "{} ({})", "{}: {}"])
def test_the_hint_is_told_from_the_error(error: str, hint: str | None, form: str) -> None:
    assert parted(form.format(error, hint) if hint else error) == (error, hint)


def test_options_in_parentheses() -> None:
    assert parted("x.png: is empty (--skip-bad goes on)") == ("x.png: is empty", "--skip-bad goes on")
    assert parted("--keep: expected a fraction, got 2") == ("--keep: expected a fraction, got 2", None)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("line", "error", "hint"),
    [
        (["scor"], "No such command 'scor'", "did you mean score?"),
        (["select", "no.parquet", "-o", "c.parquet", "--kep", "0.5"], "No such option", "Did you mean '--keep'?"),
        (["select", "no.parquet", "-o", "c.parquet", "--method", ""], "--method", None),
        (["export", "c.parquet", "-o", "e", "--to", "lmbd"], "'lmbd' is not one of", "did you mean lmdb?"),
        (["score"], "Missing argument 'IMAGES...'.", "see `srfast score --help`"),
    ],
)
def test_a_terminal_gets_two_lines(
    line: list[str], error: str, hint: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)
    with pytest.raises(SystemExit) as end:
        main(line)
    assert end.value.code == 2
    lines = seen.getvalue().splitlines()
    assert lines[0].startswith("srfast: error: ")
    assert error in lines[0]
    assert len(lines) == (1 if hint is None else 2)
    if hint is not None:
        assert "hint" in lines[1]
        assert hint in lines[1]


def test_anything_else_gets_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["scor"])
    assert capsys.readouterr().err.count("\n") == 1
