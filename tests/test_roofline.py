"""``python -m bench.roofline``: the derived roof of the whole GPU path, from machine code made here."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on PATH")
def test_the_whole_may_reach_ten_gigapixels_a_second(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    env |= {"PYTHONSAFEPATH": "", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "bench.roofline"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    roofs = [float(roof) for roof in re.findall(r"together.*\*\*([\d.]+) Gpix/s", done.stdout, re.M)]
    assert len(roofs) == 12  # the loss alone, three columns, dense mode with two strides
    assert min(roofs) >= 10
    # The figures that kernels/README.md and docs/gpu.md show are these.
    text = (ROOT / "kernels" / "README.md").read_text()
    assert all(f"**{roof:.1f} Gpix/s**" in text for roof in roofs)
    rows = [f"| {' | '.join(f'{roof:.1f}' for roof in roofs[way::4])} |" for way in range(4)]
    assert all(row in (ROOT / "docs" / "gpu.md").read_text() for row in rows)
