"""The number of threads: affinity, control groups, OMP_NUM_THREADS, PyTorch's setting."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from srfast.data.files import output_folder
from srfast.errors import InputError, RunError
from srfast.runtime import threads
from srfast.runtime.locks import LOCK, Lock


def group(root: Path, name: str, file: str, text: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text)
    return folder


@pytest.mark.parametrize(("text", "cpus"), [("200000 100000", 2.0), ("50000 100000", 0.5), ("max 100000", None)])
def test_quota_of_version_2(tmp_path: Path, text: str, cpus: float | None) -> None:
    group(tmp_path, "docker/abc", "cpu.max", text)
    (tmp_path / "membership").write_text("0::/docker/abc\n")
    assert threads._quota(tmp_path, tmp_path / "membership") == cpus


def test_a_parents_quota_counts(tmp_path: Path) -> None:
    group(tmp_path, "a", "cpu.max", "150000 100000")
    group(tmp_path, "a/b", "cpu.max", "400000 100000")
    (tmp_path / "membership").write_text("0::/a/b\n")
    assert threads._quota(tmp_path, tmp_path / "membership") == 1.5


def test_inside_a_container_the_root_is_the_own_group(tmp_path: Path) -> None:
    group(tmp_path, ".", "cpu.max", "200000 100000")
    (tmp_path / "membership").write_text("0::/../../elsewhere\n")
    assert threads._quota(tmp_path, tmp_path / "membership") in (2.0, None)
    (tmp_path / "membership").write_text("0::/\n")
    assert threads._quota(tmp_path, tmp_path / "membership") == 2.0


def test_quota_of_version_1(tmp_path: Path) -> None:
    folder = group(tmp_path, "cpu/docker", "cpu.cfs_quota_us", "300000")
    (folder / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "membership").write_text("12:memory:/docker\n4:cpu,cpuacct:/docker\n")
    assert threads._quota(tmp_path, tmp_path / "membership") == 3.0
    (folder / "cpu.cfs_quota_us").write_text("-1")
    assert threads._quota(tmp_path, tmp_path / "membership") is None


@pytest.mark.parametrize("text", ["", "max", "x y", "1 0"])
def test_what_cannot_be_read_is_no_limit(tmp_path: Path, text: str) -> None:
    group(tmp_path, "g", "cpu.max", text)
    (tmp_path / "membership").write_text("0::/g\n")
    assert threads._quota(tmp_path, tmp_path / "membership") is None
    assert threads._quota(tmp_path, tmp_path / "absent") is None


def test_cores_obey_affinity_and_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "_affinity", lambda: 64)
    monkeypatch.setattr(threads, "_quota", lambda *_: 2.0)
    assert threads.cores() == 2
    monkeypatch.setattr(threads, "_quota", lambda *_: 0.5)
    assert threads.cores() == 1
    monkeypatch.setattr(threads, "_quota", lambda *_: None)
    assert threads.cores() == 64
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.cores() == 3
    for odd in ("", "0", "-1", "many", "²"):
        monkeypatch.setenv("OMP_NUM_THREADS", odd)
        assert threads.cores() == 64


def test_default_threads_obey_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "_affinity", lambda: 64)
    monkeypatch.setattr(threads, "_quota", lambda *_: None)
    torch.set_num_threads(2)
    assert threads.default_threads() == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_of_a_process() -> None:
    code = (
        "import os; from srfast.runtime.threads import cores; "
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(cores())"
    )
    env = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout.strip() == "1"


# Locks: what lies in a lock's place stays, a failure to lock is no other run, and a lock moves with its folder.


@pytest.mark.parametrize("content", ["my notes", "12 notes/of mine", "1" * 400])
@pytest.mark.parametrize("how", ["file", "link", "symbolic link"])
def test_a_lock_that_is_not_srfasts_is_not_written_into(how: str, content: str, tmp_path: Path) -> None:
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


def test_a_link_to_an_old_lock_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "12").write_text("12 host")
    (tmp_path / "out").mkdir()
    os.link(tmp_path / "12", tmp_path / "out" / LOCK)
    with pytest.raises(InputError, match="is not a lock of srfast"), output_folder(tmp_path / "out", "export"):
        pass
    assert (tmp_path / "12").read_text() == "12 host"


@pytest.mark.skipif(os.name == "nt", reason="errors of POSIX")
def test_a_lock_that_cannot_be_had_is_not_said_to_be_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(RunError, match=r"out: cannot be locked \(Input/output error\)"):
        Lock.take(tmp_path / LOCK, tmp_path / "out")
    monkeypatch.undo()
    Lock.take(tmp_path / LOCK, tmp_path / "out").release()


def test_a_lock_moves_with_its_folder(tmp_path: Path) -> None:
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
