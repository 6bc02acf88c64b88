"""The compiled module: its stub, what it says of itself, and its absence."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import srfast
from srfast.errors import InputError, RunError
from srfast.ops import native

CUDA_ONLY = {"degrade_tiles", "degrade_cuda", "mse_scratch", "per_sample_mse_cuda"}


def stub() -> dict[str, ast.FunctionDef | ast.ClassDef | ast.AnnAssign]:
    text = Path(native.__file__).parents[1].joinpath("_C.pyi").read_text()
    body = [n for n in ast.parse(text).body if not isinstance(n, ast.Expr)]
    return {n.target.id if isinstance(n, ast.AnnAssign) else n.name: n for n in body}


def arguments(node: ast.FunctionDef) -> list[str]:
    return [a.arg for a in node.args.args if a.arg != "self"]


def compiled(function: object) -> list[str]:
    """Names of the arguments in the signature that pybind11 writes into the docstring."""
    signature = (function.__doc__ or "").splitlines()[0]
    return [n for n in re.findall(r"[(,] ?(\w+): ", signature) if n != "self"]


def test_the_stub_names_what_the_module_has() -> None:
    module = native.compiled()
    cuda = bool(module.cuda_architectures)
    names = {n for n in dir(module) if not n.startswith("__")}
    assert names == set(stub()) - (set() if cuda else CUDA_ONLY)
    for name, node in stub().items():
        if name in CUDA_ONLY and not cuda:
            continue
        if isinstance(node, ast.FunctionDef):
            assert compiled(getattr(module, name)) == arguments(node), name
        elif isinstance(node, ast.ClassDef):
            [init] = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            assert compiled(getattr(module, name).__init__) == arguments(init)
        else:
            assert isinstance(getattr(module, name), str)


def test_build_info() -> None:
    info = srfast.build_info()
    assert info["version"] == srfast.__version__
    assert info["isas"][0] == "baseline"
    assert info["isas"] == [i for i in native.ISAS if i in info["isas"]]
    assert info["cuda"] == bool(info["cuda_architectures"])


def test_without_the_compiled_module_the_reason_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_load", lambda: (None, "no such file"))
    assert not native.available()
    with pytest.raises(RunError, match=r"missing or broken \(no such file\)"):
        native.compiled()


def test_doctor_and_torch_scoring_work_without_the_compiled_module(tmp_path: Path) -> None:
    """A tree that was copied instead of installed still says what is wrong."""
    code = "import sys; sys.modules['srfast._C'] = None\nfrom srfast.cli import main\nmain(['doctor'])\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "missing" in done.stdout


def test_an_unknown_instruction_set() -> None:
    with pytest.raises(InputError, match="isa: expected one of baseline"):
        native.isa_index("sse9")


def test_the_gil_is_released_while_scoring() -> None:
    """A Python thread goes on while a kernel runs: without it, decoding and scoring would take turns."""
    import threading
    import time

    import numpy as np

    patches = np.zeros((60, 192, 192, 1), np.uint8)
    stop, ticks = threading.Event(), []

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    srfast.score_patches(patches, scorer="bicubic", isa="baseline", backend="native")
    end = time.perf_counter()
    stop.set()
    thread.join()
    assert sum(start < t < end for t in ticks) >= 3 or end - start < 0.02
