"""What the process may use: threads by affinity, control groups and settings, locks, and packages of extras."""

import errno
import math
import os
import re
import subprocess
import sys
from importlib.metadata import requires

import pytest
import torch

from srfast.cli.tools import write_photographs
from srfast.data.files import output_folder
from srfast.errors import InputError, RunError
from srfast.runtime import threads
from srfast.runtime.locks import LOCK, Lock
from srfast.runtime.optional import BRINGS, OWN, missing

V2, PARENTS = {"docker/abc/cpu.max": "200000 100000"}, {"a/cpu.max": "150000 100000", "a/b/cpu.max": "400000 100000"}
V1 = {"cpu/docker/cpu.cfs_period_us": "100000"}
CPU1 = "12:memory:/docker\n4:cpu,cpuacct:/docker"


@pytest.mark.parametrize(
    ("files", "membership", "cpus"),
    [
        (V2, "0::/docker/abc", 2.0),
        ({"docker/abc/cpu.max": "50000 100000"}, "0::/docker/abc", 0.5),
        ({"docker/abc/cpu.max": "max 100000"}, "0::/docker/abc", None),
        (PARENTS, "0::/a/b", 1.5),
        ({"cpu.max": "200000 100000"}, "0::/", 2.0),  # in a container the root is the own group
        ({**V1, "cpu/docker/cpu.cfs_quota_us": "300000"}, CPU1, 3.0),
        ({**V1, "cpu/docker/cpu.cfs_quota_us": "-1"}, CPU1, None),
        *(({"g/cpu.max": text}, "0::/g", None) for text in ("", "max", "x y", "1 0")),
        (V2, None, None),
    ],
)
def test_quotas_of_control_groups(files, membership, cpus, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    if membership is not None:
        (tmp_path / "membership").write_text(membership + "\n")
    assert threads._quota(tmp_path, tmp_path / "membership") == (cpus or math.inf)


def test_cores_obey_affinity_and_the_quota(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "_affinity", lambda: 64)
    monkeypatch.setattr(threads, "_quota", lambda *_: 2.0)
    assert threads.cores() == 2
    monkeypatch.setattr(threads, "_quota", lambda *_: 0.5)
    assert threads.cores() == 1
    monkeypatch.setattr(threads, "_quota", lambda *_: math.inf)
    assert threads.cores() == 64
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.cores() == 3
    for odd in ("", "0", "-1", "many", "²"):
        monkeypatch.setenv("OMP_NUM_THREADS", odd)
        assert threads.cores() == 64


def test_default_threads_obey_torch(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "_affinity", lambda: 64)
    monkeypatch.setattr(threads, "_quota", lambda *_: math.inf)
    torch.set_num_threads(2)
    assert threads.default_threads() == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_of_a_process():
    one = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    code = f"import os; from srfast.runtime.threads import cores; {one}; print(cores())"
    env = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout.strip() == "1"


# Locks: what lies in a lock's place stays, a failure to lock is no other run, and a lock moves with its folder.


LOCKS = [(how, content) for how in ("file", "link", "symbolic link") for content in
         ("my notes", "12 notes/of mine", "1" * 400)]  # fmt: skip


@pytest.mark.parametrize(("how", "content"), [*LOCKS, ("link", "12 host"), ("symbolic link", "12 host")])
def test_a_lock_that_is_not_srfasts_is_not_written_into(how, content, tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text(content)
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / LOCK
    if how == "file":
        path.write_text(content)
    else:
        (os.link if how == "link" else os.symlink)(mine, path)
    with pytest.raises(InputError, match="out"), output_folder(tmp_path / "out", "export"):
        pass
    assert (mine.read_text(), path.read_text()) == (content, content)


@pytest.mark.skipif(os.name == "nt", reason="errors of POSIX")
def test_a_lock_that_cannot_be_had_is_not_said_to_be_held(tmp_path, monkeypatch):
    import fcntl

    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(RunError, match=r"out: cannot be locked \(Input/output error\)"):
        Lock.take(tmp_path / LOCK, tmp_path / "out")
    monkeypatch.undo()
    Lock.take(tmp_path / LOCK, tmp_path / "out").release()


def test_a_lock_moves_with_its_folder(tmp_path):
    lock = Lock.take(tmp_path / "a" / LOCK, tmp_path / "out")
    (tmp_path / "a").rename(tmp_path / "b")
    lock.path = tmp_path / "b" / LOCK
    second = Lock.take(tmp_path / "a" / LOCK, tmp_path / "out")
    with pytest.raises(RunError, match="is writing it"):
        Lock.take(tmp_path / "b" / LOCK, tmp_path / "out")
    lock.release()
    assert not (tmp_path / "b" / LOCK).exists()
    assert (tmp_path / "a" / LOCK).exists(), "the second run's"
    second.release()


def brought(extra):
    """The packages that an extra installs, through the extras that it consists of; those of srfast itself by ""."""
    packages = set()
    for line in requires("srfast") or ():
        name, parts, of = re.fullmatch(r"([\w.-]+)(?:\[([\w,-]+)\])?.*?(?:extra == ['\"]([\w-]+)['\"])?", line).groups(
            ""
        )
        if of == extra:
            packages |= {name} if name != "srfast" else set().union(*map(brought, parts.split(",")))
    return packages


NAMES = {"yaml": "pyyaml", "sklearn": "scikit-learn", "faiss": "faiss-cpu", "skimage": "scikit-image"}
"""What the package of a module is called, where it has another name."""


@pytest.mark.parametrize(("package", "extra"), BRINGS.items())
def test_the_extra_brings_the_package(package, extra):
    assert NAMES.get(package, package) in brought(extra)
    assert not extra or package not in brought("")
    assert all("torch" in brought(own) for own in OWN.values())


@pytest.mark.parametrize(
    ("what", "package", "said"),
    [
        ("srfast train", "torch", "srfast train needs PyTorch, which is not installed; pip install 'srfast[train]'"),
        ("srfast eval", "torch", "srfast eval needs PyTorch, which is not installed; pip install 'srfast[torch]'"),
        ("srfast fit", "yaml", "srfast fit needs PyYAML, which is not installed; pip install 'srfast[degradation]'"),
        ("srfast compare", "scipy", "srfast compare needs scipy, which is not installed; pip install 'srfast[study]'"),
        ("srfast view", "uvicorn", "srfast view needs uvicorn, which is not installed; pip install 'srfast[view]'"),
        ("srfast train", "duckdb", "srfast train needs duckdb, which is not installed; pip install srfast"),
        ("where:", "duckdb", "where: needs duckdb, which is not installed; pip install srfast"),
        ("srfast.score", "safetensors", "srfast.score needs safetensors, which is not installed; pip install srfast"),
    ],
)
def test_what_is_missing_is_named_with_what_brings_it(what, package, said):
    assert str(missing(what, ModuleNotFoundError(name=f"{package}.part"))) == said
    assert missing(what, ModuleNotFoundError(name="theirs")) is None


def test_the_demo_names_what_its_photographs_come_with(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(RunError, match=r"^srfast demo needs scikit-image, .*; pip install 'srfast\[demo\]'$"):
        write_photographs(tmp_path)
