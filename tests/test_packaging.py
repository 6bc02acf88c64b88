"""The wheel: what is in it, what is not, and that it works where it is put."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy of the tree, without network."""
    try:
        for package in ("scikit-build-core", "pybind11"):
            version(package)
    except PackageNotFoundError as missing:
        pytest.skip(f"{missing} is not installed: a wheel cannot be built without network")
    for tool in ("cmake", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on PATH")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("pip is not installed in this environment")
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    leave = shutil.ignore_patterns(
        ".git", "build", "dist", ".venv", "__pycache__", "*.so", ".*_cache", "results", "node_modules"
    )
    shutil.copytree(ROOT, tree, ignore=leave)
    command = [
        *(sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-index", "--no-build-isolation"),
        *("--no-deps", "--wheel-dir", str(folder), str(tree)),
    ]
    env = {**os.environ, "SRFAST_CUDA": "OFF", "CMAKE_BUILD_PARALLEL_LEVEL": "2"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = folder.glob("srfast-*.whl")
    return path


@pytest.mark.slow
def test_what_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    compiled = [n for n in names if n.startswith("srfast/_C") and n.endswith((".so", ".pyd"))]
    assert len(compiled) == 1
    assets = {f"srfast/report/page/{p.name}" for p in (ROOT / "srfast" / "report" / "page").iterdir()}
    weights = {f"srfast/weights/srcnn_x{s}.safetensors" for s in (2, 3, 4)}
    assert (
        weights | assets | {"srfast/kernels/__init__.py", "srfast/py.typed", "srfast/_C.pyi", "srfast/cli/__init__.py"}
        <= names
    )
    studies = {f"srfast/studies/{p.name}" for p in (ROOT / "studies").glob("*.toml")}
    studies |= {f"srfast/studies/degradations/{p.name}" for p in (ROOT / "studies" / "degradations").iterdir()}
    assert studies == {n for n in names if n.startswith("srfast/studies/")}, "with their results left out"
    python = {p.relative_to(ROOT).as_posix() for p in (ROOT / "srfast").rglob("*.py")}
    assert python <= names
    top = {n.split("/")[0] for n in names}
    assert all(t == "srfast" or t.endswith(".dist-info") for t in top), top
    assert not [n for n in names if n.endswith((".cpp", ".cu", ".h", ".o", ".pyc"))]
    [licence] = [n for n in names if n.endswith("/LICENSE")]
    assert ".dist-info/" in licence


@pytest.mark.slow
def test_the_wheel_works_where_it_is_put(wheel, tmp_path):
    target = tmp_path / "target"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "sys.meta_path = [f for f in sys.meta_path if 'ditable' not in getattr(f, '__module__', '')]\n"
        "import numpy as np, srfast\n"
        "assert srfast.__file__.startswith(sys.argv[1]), srfast.__file__\n"
        "print(srfast.score_patches(np.zeros((1, 24, 24, 3), np.uint8)).shape, srfast.build_info()['cuda'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "(1,) False"


def test_every_module_can_be_imported():
    """In a process of its own, as imports register ops and set up libraries."""
    package = ROOT / "srfast"
    names = [
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for p in sorted(package.rglob("*.py"))
        if p.name != "__main__.py"
    ]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: importlib.import_module(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        assert not (error.name or '').startswith('srfast'), f'{name}: {error}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
