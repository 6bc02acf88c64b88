"""The compiled module: what it says of itself, its absence, and threads that share it."""

import re
import subprocess
import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import srfast
from srfast.data.grid import Grid
from srfast.errors import RunError
from srfast.ops import native
from srfast.ops.defects import defects, jpeg_trace
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.network import load_network


def test_build_info():
    info = srfast.build_info()
    assert info["version"] == srfast.__version__
    assert info["isas"][0] == "baseline"
    assert info["isas"] == [i for i in native.ISAS if i in info["isas"]]
    assert info["cuda"] == bool(info["cuda_architectures"])


def test_without_the_compiled_module_the_reason_is_one_line(monkeypatch):
    monkeypatch.setattr(native, "_load", lambda: (None, "no such file"))
    with pytest.raises(RunError, match=r"missing or broken \(no such file\)"):
        native.compiled()


def without_the_module(code: str, *args: object, cwd: Path) -> str:
    """What a Python program prints where the compiled module cannot be imported."""
    code = "import sys; sys.modules['srfast._C'] = None\n" + code
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_doctor_works_without_the_compiled_module(tmp_path):
    """A tree that was copied instead of installed still says what is wrong."""
    code = (
        "from srfast.ops import native\nassert not native.available()\nfrom srfast.cli import main\nmain(['doctor'])\n"
    )
    out = without_the_module(code, cwd=tmp_path)
    assert "missing" in out
    assert re.search(r"torch/cpu +works", out)


@pytest.mark.parametrize("mode", ["patch", "dense"])
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_other_backends_score_without_the_compiled_module(backend, mode, photo_folder, tmp_path):
    """Every column, as the compiled engine gives it (1e-4 relative is the contract of fp32)."""
    if backend == "onnx":
        pytest.importorskip("onnxruntime")
    code = (
        "import srfast as s; s.score(sys.argv[1], patch=48, mode=sys.argv[2], backend=sys.argv[3], output=sys.argv[4])"
    )
    without_the_module(code, photo_folder, mode, backend, tmp_path / "s.parquet", cwd=tmp_path)
    table, native_table = (
        srfast.ScoreTable.read(tmp_path / "s.parquet"),
        srfast.score(photo_folder, patch=48, mode=mode),
    )
    assert table.meta["backend"] == backend
    for name in ("loss", "bicubic", "sobel"):
        np.testing.assert_allclose(table.column(name), native_table.column(name), rtol=1e-4, atol=1e-4)


def test_two_threads_share_one_scorer_from_its_first_use_on():
    """What is made on first use (the integers of a scorer, tables of JPEG and of tiles) is made once, for both."""
    patches = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 3), dtype=np.uint8)
    image = np.random.default_rng(1).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    grid = Grid.over(400, 300, 2, 48, 48)
    start = threading.Barrier(2)

    def work(_):
        start.wait()
        engine = NativeEngine(load_network("srcnn", 2), precision="fast")
        losses = [engine.batch(patches), engine.dense(image, grid, 3).loss]
        losses.append(defects(image, grid.xs, grid.ys, 48, 2))
        return [*losses, np.array(jpeg_trace(image) or 0)]

    for _ in range(10):
        native.packed_scorer.cache_clear()
        with ThreadPoolExecutor(2) as pool:
            for one, other in zip(*pool.map(work, range(2)), strict=True):
                np.testing.assert_array_equal(one, other)
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled()
