"""compute-sanitizer over the CUDA kernels (a program of their own) and over the Triton kernels (a small Python run)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("compute-sanitizer") is None, reason="compute-sanitizer is not on PATH"),
]

ROOT = Path(__file__).resolve().parents[2]
TRITON_RUN = """
import torch
from srfast.scoring.backends.gpu import GpuScorer
from srfast.scoring.network import load_network
patches = torch.randint(0, 256, (2, 34, 50, 3), dtype=torch.uint8).cuda()
for precision in ("fp32", "fast"):
    scorer = GpuScorer(load_network("srcnn", 2).weights, precision=precision)
    assert scorer.columns(patches).loss.isfinite().all()
    assert scorer.maps(patches[0]).isfinite().all()
"""


def sanitize(tool, command, folder, **env):
    line = ["compute-sanitizer", "--tool", tool, "--report-api-errors", "no", "--error-exitcode", "9", *command]
    env = {**os.environ, **env}
    done = subprocess.run(line, capture_output=True, text=True, env=env, cwd=folder, timeout=400)
    if "Device not supported" in done.stdout:
        pytest.skip("compute-sanitizer does not support this device")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "ERROR SUMMARY: 0 errors" in done.stdout or "RACECHECK SUMMARY: 0 hazards" in done.stdout, done.stdout


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not on PATH")
    major, minor = torch.cuda.get_device_capability()
    path = tmp_path_factory.mktemp("sanitize") / "sanitize"
    sources = [ROOT / "tests/gpu/sanitize.cu", ROOT / "csrc/cuda/degrade.cu", ROOT / "csrc/cuda/per_sample_mse.cu"]
    flags = ["-std=c++17", "-O2", "-lineinfo", f"-arch=sm_{major}{minor}", f"-I{ROOT / 'csrc'}"]
    subprocess.run([nvcc, *flags, *map(str, sources), "-o", str(path)], check=True)
    return path


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck", "synccheck"])
def test_cuda_kernels(program, tool, tmp_path):
    sanitize(tool, [str(program)], tmp_path)


def test_triton_kernels(tmp_path):
    pytest.importorskip("triton")
    # Without torch's caching allocator every tensor is an allocation of its own, and an access past its end is seen.
    sanitize("memcheck", [sys.executable, "-c", TRITON_RUN], tmp_path, PYTORCH_NO_CUDA_MEMORY_CACHING="1")
