"""Exports of several processes into one folder at once: one writes, the others say so, nothing is mixed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import srfast


@pytest.mark.parametrize("to", ["basicsr", "lmdb"])
def test_one_writes_and_the_others_say_so(to: str, coreset: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "srfast", "export", str(coreset), "-o", "out", "--to", to, "--scale", "2"]
    runs = [subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [run.communicate(timeout=120)[1] for run in runs]
    assert sorted(run.returncode for run in runs)[0] == 0
    assert sum(run.returncode == 0 for run in runs) == 1
    for run, error in zip(runs, errors, strict=True):
        if run.returncode:
            assert len(error.splitlines()) == 1
            assert "is writing it" in error or "out: exists; choose another output" in error, error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    done = srfast.export(coreset, tmp_path / "out", to=to, scale=2, resume=True, check=True)
    assert done.compared == done.patches
