"""Runs tests/kernels (Triton's interpreter) and tests/aot (ahead-of-time compilation), each in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ENVIRONMENT = {"kernels": {"TRITON_INTERPRET": "1"}, "aot": {"SRFAST_TEST_AOT": "1", "TRITON_DEFAULT_FP_FUSION": "1"}}


@pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed (Linux: pip install triton)"
)
@pytest.mark.parametrize("folder", list(ENVIRONMENT))
def test_in_its_own_process(folder, tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    env |= ENVIRONMENT[folder] | {"TRITON_CACHE_DIR": str(tmp_path)}
    # Not from the root: `python -m pytest` would put it, and srfast's sources, before the installed package.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(TESTS.parent)]
    command += ["-c", str(TESTS.parent / "pyproject.toml"), str(TESTS / folder)]
    result = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
