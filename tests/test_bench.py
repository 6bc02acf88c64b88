"""``python -m bench compare``: ratios, not seconds, decide."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


LOOPS = {"compiler": "g++ 12", "score_avx2.cpp": {"loops": 3, "instructions_a_product": 1.5, "stack": 0}}


def write(path, ratios, loops=None):
    of = {"stats": {"min": 0.5}}
    benchmarks = [
        {**of, "fullname": f"bench/test_x.py::{name}", "extra_info": {"ratio_eager": ratio, "mpix_s": 1.0}}
        for name, ratio in ratios.items()
    ]
    path.write_text(json.dumps({"benchmarks": benchmarks, **({"loops": loops} if loops else {})}))
    return str(path)


def run(*args):
    line, env = [sys.executable, "-m", "bench", *args], {**os.environ, "PYTHONSAFEPATH": ""}
    return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True)


def test_a_fallen_ratio_is_a_regression(tmp_path):
    old = write(tmp_path / "old.json", {"a": 10.0, "b": 10.0, "gone": 1.0})
    new = write(tmp_path / "new.json", {"a": 8.9, "b": 9.1})
    result = run("compare", old, new)
    assert result.returncode == 1
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "REGRESSION" in lines["test_x.py::a"]
    assert "REGRESSION" not in lines["test_x.py::b"]
    assert "missing" in lines["test_x.py::gone"]
    assert run("compare", old, old).returncode == 0
    assert run("compare").returncode == 2
    assert "eager x10.00" in run("table", old).stdout


@pytest.mark.parametrize(
    ("change", "code"),
    [({}, 0), ({"instructions_a_product": 1.53}, 0), ({"instructions_a_product": 1.6}, 1), ({"stack": 1}, 1)],
)
def test_a_loop_that_grew_is_a_regression(tmp_path, change, code):
    old = write(tmp_path / "old.json", {"a": 1.0}, LOOPS)
    grown = {**LOOPS, "score_avx2.cpp": {**LOOPS["score_avx2.cpp"], **change}}
    result = run("compare", old, write(tmp_path / "new.json", {"a": 1.0}, grown))
    assert (result.returncode, "REGRESSION" in result.stdout) == (code, code == 1)


def test_loops_of_another_compiler_are_others(tmp_path):
    old = write(tmp_path / "old.json", {"a": 1.0}, LOOPS)
    grown = {"compiler": "g++ 13", "score_avx2.cpp": {**LOOPS["score_avx2.cpp"], "stack": 9}}
    assert run("compare", old, write(tmp_path / "new.json", {"a": 1.0}, grown)).returncode == 0


DISASSEMBLY = """
   0:	vxorps %xmm0,%xmm0,%xmm0
   4:	cmp    %rdi,%rsi
   8:	vmovaps %ymm1,0x20(%rsp)
  10:	vfmadd231ps (%rdi),%ymm8,%ymm1
  14:	vfmadd231ps (%rdi),%ymm8,%ymm2
  18:	vpdpbusd %ymm3,%ymm4,%ymm5
  1c:	vpdpwssd %ymm3,%ymm4,%ymm6
  20:	{vex} vpdpbusd %ymm3,%ymm4,%ymm7
  24:	vpmaddwd %ymm3,%ymm4,%ymm9
  28:	mulps  %xmm1,%xmm2
  2c:	vfmadd213ps 0x40(%rbp),%ymm8,%ymm1
  30:	jne    8 <inner+0x8>
  34:	jmp    4 <outer+0x4>
  38:	vmulps %ymm1,%ymm1,%ymm1
  3c:	jne    38 <other+0x38>
"""


def test_products_and_the_stack_are_counted():
    show = "import sys; from bench.loops import counted; print(counted(sys.stdin.read()))"
    done = subprocess.run(
        [sys.executable, "-c", show], cwd=ROOT, env={**os.environ, "PYTHONSAFEPATH": ""}, input=DISASSEMBLY,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ast.literal_eval(done.stdout) == {"loops": 1, "instructions_a_product": 10 / 8, "stack": 2}


# ``python -m bench.roofline``: the derived roof of the whole GPU path, from machine code made here.


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on PATH")
def test_the_whole_may_reach_ten_gigapixels_a_second(tmp_path):
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
