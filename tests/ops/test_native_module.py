"""The compiled module: what it says of itself, its absence, and threads that share it."""

import subprocess
import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import srfast
from srfast.data.grid import Grid
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


@pytest.mark.parametrize("code", [
    "import srfast as s, numpy as n; s.score_patches(n.zeros((1, 24, 24, 3), n.uint8), backend='torch')",
    "import srfast as s, numpy as n; s.imresize(n.zeros((8, 8), n.uint8), 0.5)",
    "from srfast.cli import main; main(['doctor'])",
])  # fmt: skip
def test_without_the_compiled_module_one_line_says_so(code, tmp_path):
    """As in a tree that was copied instead of installed; the command that looks for what is missing still runs."""
    code = "import sys; sys.modules['srfast._C'] = None\n" + code
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    said = done.stdout if "doctor" in code else done.stderr.splitlines()[-1]
    assert "srfast's compiled module is missing or broken (import of srfast._C halted" in said
    assert (done.returncode == 0) == ("doctor" in code), done.stderr


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
