"""The shim: compiled where there is a compiler, loaded before the C library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def build(folder: Path) -> Path | None:
    """The shim as a library; None where it cannot be had."""
    compiler = next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    if sys.platform != "linux" or compiler is None:
        return None
    path = folder / "fault.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", str(path), str(HERE / "fault.c"), "-ldl"], check=True)
    return path


def run(work: Path, library: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """``events.py`` under the shim; its rows go by as they come."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Memory in large pages, where the system has them: a fork then takes 2 ms instead of 20.
    large = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    env = {**os.environ, **one, **large, "LD_PRELOAD": str(library), "PYTHONSAFEPATH": "1"}
    line = [sys.executable, str(HERE / "events.py"), str(work), "--shim", str(library), *options]
    return subprocess.run(line, env=env, text=True, check=False)
