"""Idle cores and the allocator."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from srfast.training import host


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(host, "_SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _: {0, 1, 2, 5}, raising=False)


def readings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, busy: dict[int, float]) -> None:
    """/proc/stat before and after a second in which core i works ``busy[i]`` of the time."""
    files = iter([tmp_path / "before", tmp_path / "after"])
    for name, part in (("before", 0.0), ("after", 1.0)):
        rows = [f"cpu{i} {1000 + round(100 * part * b)} 0 0 {round(100 * part * (1 - b))} 0 0 0 0 0 0"
                for i, b in busy.items()]  # fmt: skip
        (tmp_path / name).write_text("\n".join(["cpu  1 2 3 4 5 6 7 8 9 10", *rows, "ctxt 5", ""]))

    class Stat:
        @staticmethod
        def read_text(encoding: str) -> str:
            return next(files).read_text(encoding=encoding)

    monkeypatch.setattr(host, "_STAT", Stat)


@pytest.mark.parametrize(
    ("busy", "threads"),
    [
        ((0.0, 0.0, 0.0, 0.0), 4),
        ((0.05, 0.1, 0.05, 0.1), 4),
        ((1.0, 0.0, 0.0, 0.0), 3),
        ((0.5, 0.5, 0.5, 0.5), 2),
        ((1.0, 1.0, 1.0, 1.0), 1),
    ],
)
@pytest.mark.usefixtures("four_cores")
def test_busy_cores_are_left_alone(monkeypatch, tmp_path, busy, threads):
    # Cores 3 and 4 are not this process's.
    own = dict(zip((0, 1, 2, 5), busy, strict=True))
    readings(monkeypatch, tmp_path, {**own, 3: 0.0, 4: 0.0})
    assert host.idle_threads() == threads


@pytest.mark.usefixtures("four_cores")
def test_all_cores_without_proc_stat_and_those_of_a_stated_number(monkeypatch, tmp_path):
    (tmp_path / "odd").write_text("cpu0 many\n")
    for name in ("none", "odd"):
        monkeypatch.setattr(host, "_STAT", tmp_path / name)
        assert host.idle_threads() == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    readings(monkeypatch, tmp_path, dict.fromkeys((0, 1, 2, 5), 1.0))
    assert host.idle_threads() == 4


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_freed_tensors_are_not_mapped_again():
    """Page faults of 50 tensors of 2 MB, one after the other: 512 each by default."""
    program = """
import resource, torch
from srfast.training import host
host.keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3): torch.ones(1 << 19)
before = faults()
for _ in range(50): torch.ones(1 << 19)
print(faults() - before)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 5000


def test_other_systems_have_no_such_allocator(monkeypatch):
    def missing(_: object) -> object:
        raise TypeError  # Windows

    monkeypatch.setattr(host.ctypes, "CDLL", missing)
    host.keep_freed_memory()
    monkeypatch.setattr(host.ctypes, "CDLL", lambda _: object())
    host.keep_freed_memory()
