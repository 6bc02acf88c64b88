"""A Ray cluster of two workers gives the bytes of one process, also when one of them dies."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from srfast.data.images import ImageFile
from srfast.errors import InputError, RunError
from srfast.scoring import cluster
from srfast.scoring.pipeline import score
from srfast.scoring.settings import ScoreArguments

RUN = """
import json, os, sys, time
from srfast.scoring import cluster
from srfast.scoring.pipeline import write_scores
from srfast.scoring.settings import ScoreArguments
cluster.BLOCK_IMAGES = 2
class Slow(cluster._Actor):
    def __call__(self, files):
        open(f"PIDS/{os.getpid()}", "w").close()
        time.sleep(0.5)
        return super().__call__(files)
cluster._Actor = Slow
def progress(done, total, patches):
    if done == 4 and "--pause" in sys.argv:
        print("four", flush=True)
        sys.stdin.readline()
if __name__ == "__main__":
    import ray
    ray.init(num_cpus=2, object_store_memory=100 << 20, include_dashboard=False, log_to_driver=False)
    settings = ScoreArguments(patch=48, scorer="bicubic", engine="ray", progress=progress)
    summary = write_scores(sys.argv[1], sys.argv[2], settings)
    print(json.dumps({"patches": summary.patches}), flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 noisy images of several sizes, one of them smaller than a patch."""
    rng = np.random.default_rng(4)
    images = tmp_path / "images"
    images.mkdir()
    for i in range(40):
        size = (30, 40) if i == 7 else (100 + i, 150)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(images / f"{i:02d} ü.png")
    return images


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(folder, tmp_path):
    pytest.importorskip("ray.data")
    alone, output = tmp_path / "alone.parquet", tmp_path / "ray.parquet"
    score(folder, patch=48, scorer="bicubic", output=alone)
    script = tmp_path / "run.py"
    (pids := tmp_path / "pids").mkdir()
    script.write_text(RUN.replace("PIDS", str(pids)))
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONSAFEPATH": "1"}
    pipes: dict[str, Any] = {"env": env, **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE), "text": True}
    command = [sys.executable, script, folder, output, "--pause"]
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as run:
        line = run.stdout.readline()
        assert line == "four\n", run.communicate()[1][-2000:]
        actors = [int(path.name) for path in pids.iterdir()]
        assert len(actors) == 2
        os.kill(actors[0], signal.SIGKILL)
        out, err = run.communicate("go on\n", timeout=240)
        assert run.returncode == 0, err[-2000:]
    # Ray says on stdout too that an actor was lost.
    assert json.loads(next(line for line in out.splitlines() if line.startswith("{")))["patches"] > 0
    assert output.read_bytes() == alone.read_bytes()


@pytest.mark.slow
def test_command(folder, tmp_path, srfast_command):
    """The columns (that of block artefacts too), resuming, unreadable files and errors are those of one process."""
    pytest.importorskip("ray.data")
    alone = score(folder, patch=48, scorer="bicubic", blockiness=True, output=tmp_path / "alone.parquet")
    assert len(np.unique(alone["blockiness"])) > 10
    options = ("--patch", "48", "--scorer", "bicubic", "--blockiness", "--engine", "ray")
    done = srfast_command("score", folder, "-o", "s.parquet", *options, cwd=tmp_path, env={})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s.parquet").read_bytes() == (tmp_path / "alone.parquet").read_bytes()
    (folder / "40.png").write_bytes(b"no image")
    done = srfast_command("score", folder, "-o", "s.parquet", "--resume", *options, cwd=tmp_path, env={})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "40.png" in done.stderr.splitlines()[-1]  # Ray may say above it that its actors ended
    done = srfast_command(
        "score", folder, "-o", "s.parquet", "--resume", "--workers", "999", *options, cwd=tmp_path, env={}
    )
    assert done.returncode == 1
    assert "no machine for an actor of 999 cores" in done.stderr


def test_engine_and_address_from_python(photo_folder):
    for options, words in (({"engine": "spark"}, "^engine: .*'spark'"), ({"address": "auto"}, "^address: .*'local'")):
        with pytest.raises(InputError, match=words):
            score(photo_folder, **options)


def test_blocks_hold_few_images_and_few_bytes():
    sizes = [10] * 150 + [cluster.BLOCK_BYTES + 1] * 3
    files = [ImageFile(Path("/d"), f"{i:04d}", size, 0) for i, size in enumerate(sizes)]
    blocks = list(cluster._blocks(files))
    assert [f for block in blocks for f in block] == files
    assert [len(b) for b in blocks] == [cluster.BLOCK_IMAGES] * 2 + [22, 1, 1, 1]


class Rays:
    """The part of Ray that makes a connection, in this process."""

    init = shutdown = staticmethod(lambda *_, **__: None)
    is_initialized = staticmethod(lambda: False)
    cluster_resources = staticmethod(lambda: {"CPU": 2})
    get = staticmethod(lambda result: result)

    @staticmethod
    def remote(**_: Any) -> Callable[[Any], Any]:
        return lambda function: SimpleNamespace(remote=function)


@pytest.fixture
def rays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, name, cast(ModuleType, Rays))
    monkeypatch.setattr(Rays, "data", None, raising=False)


@pytest.mark.usefixtures("rays")
def test_workers_take_the_backend_of_the_driver(monkeypatch):
    """SRFAST_BACKEND is set here alone: a worker that chooses for itself would take native."""
    monkeypatch.setenv("SRFAST_BACKEND", "torch")
    made = cluster.Cluster(ScoreArguments(patch=48, scorer="bicubic", device="cpu"))
    assert (made.backend, made.settings.backend) == ("torch", "torch")
    monkeypatch.delenv("SRFAST_BACKEND")
    cluster._Actor(made.settings, 1, "", made._made)  # a worker without the variable


@pytest.mark.usefixtures("rays")
def test_a_worker_that_cannot_says_so_and_where(monkeypatch):
    made = cluster.Cluster(ScoreArguments(patch=48, scorer="bicubic", device="cpu"))
    monkeypatch.setattr("srfast.ops.native.compiled", Mock(side_effect=RunError("no module")))
    with pytest.raises(RunError, match=r"^engine: ray: on .+: no module"):
        cluster._Actor(made.settings, 1, "", made._made)
