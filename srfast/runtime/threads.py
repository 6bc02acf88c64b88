"""The number of threads that this process may keep busy."""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """The number of cores that this process may use, by its CPU affinity, by the quota of its control group (``docker
    --cpus``), and by OMP_NUM_THREADS if that is lower."""
    limits = [_affinity(), max(1.0, _quota(_CGROUP, Path("/proc/self/cgroup")))]
    wish = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if wish.isascii() and wish.isdigit() and int(wish) > 0:
        limits.append(int(wish))
    return math.ceil(min(limits))


def default_threads() -> int:
    """``cores()``, or PyTorch's number of threads if PyTorch is loaded and set lower."""
    limit = getattr(sys.modules.get("torch"), "get_num_threads", None)
    return cores() if limit is None else min(cores(), int(limit()))


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quota(root: Path, membership: Path) -> float:
    """The number of CPUs that the control group and its parents grant, the least of them; infinite without a limit.

    Version 2 has cpu.max, such as "max 100000" or "200000 100000", version 1 two files and -1.
    """
    try:
        lines = [line.split(":", 2) for line in membership.read_text(encoding="utf-8").splitlines()]
    except OSError:
        lines = []
    grants = [math.inf]
    for controller, files in (("", ["cpu.max"]), ("cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"])):
        groups = [group for _, controllers, group in lines if controller in controllers.split(",")]
        folder = root / controller / (groups or [""])[0].strip("/")
        for place in (folder, *folder.parents):
            with suppress(OSError, ValueError, ZeroDivisionError):
                quota, period = " ".join((place / file).read_text(encoding="utf-8") for file in files).split()
                grants += [int(quota) / int(period)] if int(quota) > 0 else []
    return min(grants)
