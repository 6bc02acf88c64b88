"""What is seen of long work where no terminal looks on: lines on stderr, also while one part takes long."""

import sys
import threading

import pytest
from click.testing import CliRunner

import srfast
from srfast.runtime import progress

PATIENCE = 60.0
"""Seconds after which a line that should have come is missed; a test that passes does not wait for them."""


class Watched:
    """A stream that says when a line with some text was written."""

    def __init__(self, text):
        self._text, self.came, self.lines = text, threading.Event(), list[str]()

    def write(self, text):
        self.lines.append(text)
        if self._text in text:
            self.came.set()
        return len(text)

    def flush(self): ...

    def isatty(self):
        return False


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.001)


def test_times_as_a_person_says_them():
    said = ["1 s", "40 s", "2 min", "21 min", "3 h 30 min"]
    assert [progress.clock(s) for s in (0.2, 40, 100, 1260, 12600)] == said
    assert progress.EVERY == 30


@pytest.mark.usefixtures("often")
def test_a_part_that_takes_long_is_seen(monkeypatch):
    seen = Watched("scoring: 3 of 12 images, so far")
    monkeypatch.setattr(sys, "stderr", seen)
    bar = progress.Bar("scoring", "images")
    bar.update(3, 12, "so far")
    assert seen.came.wait(PATIENCE)
    assert not bar.drawn
    bar.close()


@pytest.mark.usefixtures("often")
def test_a_closed_pipe_ends_no_work():
    came = threading.Event()

    def broken(line):
        came.set()
        raise BrokenPipeError

    lines = progress.Lines(lambda: "", broken)
    assert came.wait(PATIENCE)
    lines.close()


def test_what_is_left_is_told_from_what_this_run_did(monkeypatch):
    """A resumed run had 60 of 100 already; 20 more took 10 s, so that the last 20 take as long."""
    monkeypatch.setattr(progress.time, "monotonic", lambda: 1000.0)
    bar = progress.Bar("training", "updates")
    bar.update(60, 100)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 1010.0)
    bar.update(80, 100, "loss 0.5")
    assert bar.line() == "training: 80 of 100 updates, loss 0.5, 10 s, about 10 s left"
    bar.close()


@pytest.mark.usefixtures("often")
def test_a_training_is_seen(photo_folder, tmp_path, capsys):
    pytest.importorskip("torch")
    from srfast.cli.train import command

    line = ["fsrcnn", "--data", str(photo_folder), "--steps", "8", "--batch", "2", "--lr-patch", "16", "--threads", "1"]
    done = CliRunner().invoke(command, [*line, "-o", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert "srfast: training: " in done.stderr
    assert " of 8 updates" in done.stderr
    # In Python nothing is said.
    srfast.train("fsrcnn", photo_folder, output=tmp_path / "quiet", steps=4, batch=2, lr_patch=16, threads=1)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("often")
def test_a_study_is_seen(tmp_path, photo_folder, monkeypatch):
    pytest.importorskip("torch")
    from srfast.cli import study as command
    from srfast.study import runner

    (tmp_path / "tiny.toml").write_text(
        'title = "One cell"\n[data]\ntrain = ["photos"]\ntest = {photos = "photos/sub"}\n[scoring]\npatch = 32\n'
        'scorers = ["bicubic"]\n[training]\nmodels = ["fsrcnn"]\nupdates = 2\nseeds = 1\nbatch = 2\nlr_patch = 12\n'
        '[[arm]]\nname = "des"\nkeep = 0.5\n'
    )
    came = threading.Event()

    def say(text):
        if "1 left" in text or "1 running" in text:
            came.set()

    real = runner.run_cell

    def waits(*task):
        assert came.wait(PATIENCE)
        return real(*task)

    monkeypatch.setattr(command, "say", say)
    monkeypatch.setattr(runner, "run_cell", waits)
    line = [str(tmp_path / "tiny.toml"), "-o", str(tmp_path / "out"), "--jobs", "1"]
    done = CliRunner().invoke(command.command, line)
    assert done.exit_code == 0, done.output
    assert came.is_set()
