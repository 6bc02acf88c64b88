"""The number of threads that this process may keep busy."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """The number of cores that this process may use, by its CPU affinity, by the quota of its control group (``docker
    --cpus``), and by OMP_NUM_THREADS if that is lower."""
    limits = [_affinity()]
    quota = _quota(_CGROUP, Path("/proc/self/cgroup"))
    if quota is not None:
        limits.append(max(1, math.ceil(quota)))
    wish = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if wish.isascii() and wish.isdigit() and int(wish) > 0:
        limits.append(int(wish))
    return min(limits)


def default_threads() -> int:
    """``cores()``, or PyTorch's number of threads if PyTorch is loaded and set lower."""
    limit = getattr(sys.modules.get("torch"), "get_num_threads", None)
    return cores() if limit is None else min(cores(), int(limit()))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(root: Path, membership: Path) -> float | None:
    """The number of CPUs that the control group and its parents grant, the least of them; None without a limit."""
    grants = [_v2(folder) for folder in _folders(root, membership, "")]
    grants += [_v1(folder) for folder in _folders(root / "cpu", membership, "cpu")]
    limited = [g for g in grants if g is not None]
    return min(limited) if limited else None


def _folders(root: Path, membership: Path, controller: str) -> list[Path]:
    """The folder of this process's control group below ``root``, and its parents up to ``root``."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return [root]
    for line in lines:
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(","):
            folder = root / group.strip("/")
            return [folder, *(p for p in folder.parents if p == root or root in p.parents)]
    return [root]


def _v2(folder: Path) -> float | None:
    """Reads cpu.max, such as "max 100000" or "200000 100000"."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="utf-8"))
        return None if quota <= 0 else quota / int((folder / "cpu.cfs_period_us").read_text(encoding="utf-8"))
    except (OSError, ValueError, ZeroDivisionError):
        return None
