"""The CUDA build without a GPU: every architecture compiles cleanly and without spills, the module holds code."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from srfast.ops.native import build_info, compiled

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on PATH")


def with_tools(*command: object) -> subprocess.CompletedProcess[str]:
    """A command that finds the programs of this environment and of the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for tool in ("cmake", "ninja", "g++"):
        if shutil.which(tool, path=path) is None:
            pytest.skip(f"{tool} is not on PATH")
    env = {**os.environ, "PATH": path}
    return subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True)


def configure(
    folder: Path, mode: str, nvcc: Path, *options: str, source: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """The main project, configured with this compiler."""
    pybind11 = pytest.importorskip("pybind11", reason="pybind11 is not installed")
    command = ["cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    command += [f"-DSRFAST_CUDA={mode}", f"-DCMAKE_CUDA_COMPILER={nvcc}", f"-DPython_EXECUTABLE={sys.executable}"]
    command += [f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", "-DSKBUILD_PROJECT_NAME=srfast"]
    return with_tools(*command, "-DSKBUILD_PROJECT_VERSION=0.0.0", *options)


def test_every_architecture_compiles_without_spills(tmp_path):
    """With warnings as errors."""
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DSRFAST_CUDA_STRICT=ON", f"-DCMAKE_CUDA_COMPILER={shutil.which('nvcc')}"]
    configured = with_tools("cmake", "-S", ROOT / "csrc" / "cuda", "-B", tmp_path, "-G", "Ninja", *options)
    assert configured.returncode == 0, configured.stderr
    built = with_tools("cmake", "--build", tmp_path, "-j2")
    log = built.stdout + built.stderr
    assert built.returncode == 0, log
    known = subprocess.run(["nvcc", "--list-gpu-code"], check=True, capture_output=True, text=True).stdout
    compiled = set(re.findall(r"Compiling entry function '\w+' for 'sm_(\d+)'", log))
    assert compiled == {n for n in ("80", "90", "100", "120") if f"sm_{n}" in known.split()}
    usage = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    assert set(usage) == {("0", "0", "0")}


@pytest.fixture
def broken_nvcc(tmp_path: Path) -> Path:
    """A compiler that stops at the host compiler, as nvcc does when that is too new."""
    path = tmp_path / "nvcc"
    path.write_text("#!/bin/sh\necho '#error -- unsupported GNU version! gcc versions later than 15' >&2\nexit 1\n")
    path.chmod(0o755)
    return path


def test_a_compiler_that_fails_leaves_the_cpu_build(broken_nvcc, tmp_path):
    done = configure(tmp_path / "auto", "AUTO", broken_nvcc)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "srfast" in line]
    assert line.startswith("srfast: CPU kernels only:")
    assert "unsupported GNU version" in line


def test_a_compiler_that_fails_is_an_error_when_cuda_was_asked_for(broken_nvcc, tmp_path):
    done = configure(tmp_path / "on", "ON", broken_nvcc)
    assert done.returncode != 0
    assert "SRFAST_CUDA=ON, but" in done.stderr


def test_the_settings_of_the_main_project_reach_the_kernels(broken_nvcc, tmp_path):
    """The kernels are a project of their own: a list was cut at its semicolons, the host compiler was left behind."""
    given = {"CMAKE_CUDA_ARCHITECTURES": "80-real;90", "CMAKE_CUDA_HOST_COMPILER": "/opt/with space/g++"}
    configure(tmp_path, "AUTO", broken_nvcc, *(f"-D{name}={value}" for name, value in given.items()))
    cache = (tmp_path / "cuda" / "CMakeCache.txt").read_text()
    assert dict(re.findall(r"^(CMAKE_CUDA_(?:ARCH|HOST)\w+):\w+=(.*)$", cache, re.M)) == given


def test_a_build_sees_edited_kernels_and_the_toolkit_is_that_of_its_nvcc(tmp_path):
    source = tmp_path / "source"
    for name in ("csrc", "studies"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("results"))
    shutil.copy(ROOT / "CMakeLists.txt", source)
    # A toolkit under another name, as CUDA_HOME points to one: its own files are taken, not those of the one on PATH.
    real = subprocess.run(["nvcc", "-v", "-dryrun", "-c", "x.cu"], capture_output=True, text=True, cwd=tmp_path).stderr
    toolkit = Path(re.search(r"^#\$ TOP=(.*)$", real, re.M)[1].strip()).resolve()
    folder = tmp_path / "build"
    options = ["-DCMAKE_CUDA_ARCHITECTURES=80"]
    done = configure(folder, "ON", toolkit / "bin" / "nvcc", *options, source=source)
    assert done.returncode == 0, done.stdout + done.stderr
    cache = (folder / "CMakeCache.txt").read_text()
    assert Path(re.search(r"^CUDA_cudart_static_LIBRARY:\w+=(.*)$", cache, re.M)[1]).resolve().is_relative_to(toolkit)
    kernel = source / "csrc" / "cuda" / "per_sample_mse.cu"
    kernel.write_text(kernel.read_text() + "\n#error this file was edited\n")
    built = with_tools("cmake", "--build", folder, "--target", "srfast_cuda")
    assert built.returncode != 0
    assert "this file was edited" in built.stdout + built.stderr


def test_instruction_sets_are_those_of_the_compilers_target(broken_nvcc, tmp_path):
    """Not those of the machine it runs on: here CMake is told another one, as on a Mac that builds for the other."""
    other = "aarch64" if platform.machine() == "x86_64" else "x86_64"
    options = ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={other}"]
    done = configure(tmp_path, "OFF", broken_nvcc, *options)
    assert done.returncode == 0, done.stderr
    assert ("-mavx2" in (tmp_path / "build.ninja").read_text()) == (platform.machine() == "x86_64")


@pytest.fixture(scope="module")
def module():
    """The installed module."""
    if not build_info()["cuda"]:
        pytest.skip("the installed module was built without CUDA (SRFAST_CUDA=ON pip install .)")
    return Path(compiled().__file__)


def test_module_links_no_cuda_library(module):
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("readelf is not on PATH")
    dynamic = subprocess.run([readelf, "-d", str(module)], check=True, capture_output=True, text=True).stdout
    assert "NEEDED" in dynamic
    assert "libcuda" not in dynamic


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_call_without_a_gpu_names_the_error(module):
    with pytest.raises(RuntimeError, match=r"cudaErrorInsufficientDriver|cudaErrorNoDevice"):
        compiled().per_sample_mse_cuda(0, 1, 0, 1, 1, 4, 0, 0, 0, 0)
