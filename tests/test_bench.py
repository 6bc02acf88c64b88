"""``python -m bench compare``: ratios, not seconds, decide."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def write(path: Path, ratios: dict[str, float]) -> str:
    benchmarks = [
        {
            "fullname": f"bench/test_x.py::{name}",
            "extra_info": {"ratio_eager": ratio, "mpix_s": 1.0},
            "stats": {"min": 0.5},
        }
        for name, ratio in ratios.items()
    ]
    path.write_text(json.dumps({"benchmarks": benchmarks}))
    return str(path)


def run(*args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONSAFEPATH": ""}
    return subprocess.run(
        [sys.executable, "-m", "bench", *args], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def test_a_fallen_ratio_is_a_regression(tmp_path: Path) -> None:
    old = write(tmp_path / "old.json", {"a": 10.0, "b": 10.0, "gone": 1.0})
    new = write(tmp_path / "new.json", {"a": 8.9, "b": 9.1})
    result = run("compare", old, new)
    assert result.returncode == 1
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "REGRESSION" in lines["test_x.py::a"]
    assert "REGRESSION" not in lines["test_x.py::b"]
    assert "missing" in lines["test_x.py::gone"]


def test_equal_results_pass(tmp_path: Path) -> None:
    old = write(tmp_path / "old.json", {"a": 10.0})
    assert run("compare", old, old).returncode == 0


def test_the_table_shows_ratios(tmp_path: Path) -> None:
    result = run("table", write(tmp_path / "a.json", {"a": 10.0}))
    assert result.returncode == 0
    assert "eager x10.00" in result.stdout


def test_wrong_usage(tmp_path: Path) -> None:
    assert run("compare").returncode == 2
