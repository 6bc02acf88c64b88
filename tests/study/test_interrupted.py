"""A study in several processes that is interrupted: each finishes its step, writes its checkpoint and ends."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

import srfast
from srfast.errors import RunError
from srfast.evaluation import evaluator
from srfast.runtime import interrupts
from srfast.runtime.locks import is_taken
from srfast.study import runner
from srfast.study.runner import run_study
from srfast.training import checkpoint, log

pytest.importorskip("joblib")

ENDLESS = {"updates": 10**7, "arms": '[[arm]]\nname = "des"\nkeep = [1.0, 0.5]\nbudget = "updates"'}
LINE = "srfast: error: interrupted; what is finished is kept; the same command continues from there"


def until(true, process=None):
    deadline = time.monotonic() + 120
    while not true():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def said(err):
    """What comes on stderr besides the progress."""
    return [line for line in err.splitlines() if not re.match(r"A study of seconds -> out|\d+ done, ", line)]


def rows(cell):
    """The rows of a training log; there is one for each hundred steps."""
    path = cell / log.NAME
    return path.read_text().splitlines()[1:] if path.exists() else []


@pytest.fixture
def begun(write_study, tmp_path):
    """Two trainings in two processes that would not end by themselves, nor write a checkpoint, after 100 updates."""
    path = write_study(("save_every = 2", f"save_every = {10**7}"), **ENDLESS)
    line = [sys.executable, "-m", "srfast", "study", str(path), "-o", "out", "--jobs", "2"]
    (tmp_path / "tmp").mkdir()
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True}
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(line, cwd=tmp_path, text=True, env=env, **how)
    until(lambda: sum(bool(rows(c)) for c in (tmp_path / "out" / "cells").glob("*")) == 2, process)
    assert not list(tmp_path.glob("out/cells/*/last.pt"))
    return process


@pytest.mark.parametrize(
    ("number", "send"),
    [
        pytest.param(signal.SIGTERM, os.kill, id="SIGTERM to the parent", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, os.killpg, id="Ctrl-C"),
        pytest.param(signal.SIGINT, os.kill, id="SIGINT to the parent", marks=pytest.mark.slow),
    ],
)
def test_every_process_finishes_its_step(begun, tmp_path, number, send):
    known = {cell.name: int(rows(cell)[-1].split(",")[0]) for cell in (tmp_path / "out" / "cells").glob("*")}
    send(begun.pid, number)
    out, err = begun.communicate(timeout=120)  # until the last process has closed its end
    assert (begun.returncode, out) == (interrupts.CODE, "")
    assert said(err) == [LINE]
    assert len(known) == 2
    for name, step in known.items():
        cell = tmp_path / "out" / "cells" / name
        assert checkpoint.load(cell / checkpoint.LAST)["step"] >= step >= 100
        assert not (cell / "lock").exists()
    assert not list((tmp_path / "tmp").glob(".srfast-*"))


def test_a_second_ctrl_c_ends_them_at_once(begun, tmp_path):
    workers = {int(lock.read_text().split()[0]) for lock in tmp_path.glob("out/cells/*/lock")}
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    os.killpg(begun.pid, signal.SIGINT)
    time.sleep(interrupts.APART + 0.2)
    assert begun.poll() is None
    os.killpg(begun.pid, signal.SIGINT)
    assert begun.wait(timeout=30) == interrupts.CODE
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    out, err = begun.communicate(timeout=60)  # until the last process has closed its end
    assert (out, said(err)) == ("", [])


def test_an_evaluation_ends_between_two_images(write_study, tmp_path, monkeypatch):
    path = write_study(updates=4, arms='[[arm]]\nname = "full"\nkeep = 1.0')
    cell = tmp_path / "out" / "cells" / "fsrcnn-full-k100-u4-s0"
    with monkeypatch.context() as patch:
        patch.setattr(evaluator, "interrupted", lambda: True)
        with pytest.raises(KeyboardInterrupt):
            srfast.run_study(path, tmp_path / "out")
    assert checkpoint.load(cell / checkpoint.LAST)["step"] == 4
    assert list(srfast.run_study(path, tmp_path / "out").meta["cells"]) == [cell.name]


def test_a_file_counts_as_the_first_signal(tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "_flag", None)
    interrupts.obey(str(tmp_path / "stop"))

    def body():
        with interrupts.finishing() as stopping:
            assert not stopping()
            (tmp_path / "stop").touch()
            assert stopping()

    with pytest.raises(KeyboardInterrupt):
        body()


@pytest.mark.slow
def test_the_other_processes_end_with_the_first(write_study, tmp_path):
    path = write_study(updates=150, arms='[[arm]]\nname = "des"\nkeep = [1.0, 0.5]\nbudget = "updates"')
    whole = run_study(path, tmp_path / "whole")
    line = [sys.executable, "-m", "srfast", "study", str(path), "-o", "out", "--jobs", "2"]
    first = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cells = tmp_path / "out" / "cells"
    while len(list(cells.glob("*/last.pt"))) < 2:
        assert first.poll() is None
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    deadline = time.monotonic() + 30
    while (still := [lock for lock in cells.glob("*/lock") if is_taken(lock)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert still == []
    assert not list(cells.glob("*/results.parquet")), "a cell that went on without its study"
    again = run_study(path, tmp_path / "out")
    a, b = (results.table.drop_columns(["seconds", "scoring_seconds"]) for results in (again, whole))
    assert a.equals(b)


def test_a_process_that_is_killed_is_said_in_one_line(monkeypatch):
    def killed(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(runner, "_of_parent", killed)
    with pytest.raises(RunError, match=r"jobs: a process that trained a cell was killed, .* the same command"):
        list(runner._outcomes([(), ()], 2))
