"""The CPU sources compile for a machine that is not x86."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
X86 = {"score_avx2.cpp", "score_avx512.cpp", "score_vnni.cpp"}
COMPILERS = [c for c in ("aarch64-linux-gnu-g++", "riscv64-linux-gnu-g++") if shutil.which(c)]


@pytest.mark.skipif(not COMPILERS, reason="no cross compiler (Debian: g++-aarch64-linux-gnu)")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("source", sorted(p.name for p in (ROOT / "csrc" / "cpu").glob("*.cpp") if p.name not in X86))
def test_compiles(compiler: str, source: str) -> None:
    command = [
        compiler,
        "-std=gnu++20",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsyntax-only",
        "-I",
        str(ROOT / "csrc"),
    ]
    run = subprocess.run([*command, str(ROOT / "csrc" / "cpu" / source)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
