"""Threads that the system refuses to start."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("resource", reason="limits on processes are POSIX")

CODE = """
import os, resource
import numpy as np, torch
import srfast
from srfast.data.grid import Grid
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.network import Network

torch.set_num_threads(8)
patches = np.random.default_rng(0).integers(0, 256, (16, 48, 48, 3), dtype=np.uint8)
image = np.random.default_rng(1).integers(0, 256, (400, 96, 3), dtype=np.uint8)
grid = Grid(np.array([0], np.int32), np.arange(0, 350, 10, dtype=np.int32), 48)
engine = NativeEngine(Network("bicubic", "bicubic", "", 2))


def results():
    planes = torch.from_numpy(patches[..., 0].copy()).float()[:, None]
    large = planes.reshape(1, 1, 192, 192).tile(4, 3, 2, 2)  # enough work for eight threads
    return [
        engine.batch(patches), engine.dense(image, grid, 8).loss, srfast.downsample(large, 2).numpy(),
        srfast.per_sample_mse(planes, planes + 1).numpy(),
    ]


want = results()
if os.getuid() == 0:
    os.setuid(65534)  # root has no limit
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
import threading
try:
    threading.Thread(target=int).start()
    print("no limit here")
except RuntimeError:
    print(*(np.array_equal(a, b) for a, b in zip(want, results(), strict=True)))
"""


def test_fewer_threads_do_the_work_when_no_more_can_start(tmp_path):
    run = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    if "no limit" in run.stdout:
        pytest.skip("this system does not limit the number of threads of a user")
    assert run.stdout.split() == ["True"] * 4


FORKS = """
import os, signal, threading
import numpy as np
from srfast.ops.defects import defects

image = np.random.default_rng(0).integers(0, 256, (1200, 96, 3), dtype=np.uint8)
xs, ys = np.array([0, 40], np.int32), np.arange(0, 1150, 10, dtype=np.int32)
want, stop = defects(image, xs, ys, 32), threading.Event()


def work():
    while not stop.is_set():
        defects(image, xs, ys, 32, threads=4)


workers = [threading.Thread(target=work) for _ in range(4)]
for worker in workers:
    worker.start()
codes = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if np.array_equal(defects(image, xs, ys, 32, threads=4), want, equal_nan=True) else 1)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if codes[-1]:
        break
stop.set()
for worker in workers:
    worker.join()
print(codes)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_forked_amid_work_has_threads_of_its_own(tmp_path):
    run = subprocess.run([sys.executable, "-c", FORKS], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == str([0] * 20), run.stdout + run.stderr
