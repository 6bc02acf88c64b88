"""A study whose process is killed while its cells run in others: they end with it, and the study goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srfast.errors import RunError
from srfast.runtime.locks import Lock, Taken
from srfast.study import runner
from srfast.study.results import Results
from srfast.study.runner import run_study

pytest.importorskip("joblib")


def held(cells: Path) -> list[str]:
    """The cells that some process runs."""
    locks = []
    for lock in cells.glob("*/lock"):
        try:
            Lock.take(lock, lock.parent).release()
        except Taken:
            locks.append(lock.parent.name)
    return locks


def scores(results: Results) -> list[dict[str, Any]]:
    """The rows, but for what a clock says."""
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in results.table.to_pylist()]


@pytest.mark.slow
def test_the_other_processes_end_with_the_first(write_study: Callable[..., Path], tmp_path: Path) -> None:
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
    while (still := held(cells)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert still == []
    assert not list(cells.glob("*/results.parquet")), "a cell that went on without its study"
    again = run_study(path, tmp_path / "out")
    assert scores(again) == scores(whole)


def test_a_process_that_is_killed_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(runner, "_of_parent", killed)
    with pytest.raises(RunError, match=r"jobs: a process that trained a cell was killed, .* the same command"):
        list(runner._outcomes([(), ()], 2))
