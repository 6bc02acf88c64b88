"""The machine that trains on its CPU: the number of idle cores, and the allocator's treatment of freed memory."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

import torch

_STAT = Path("/proc/stat")
_SAMPLE_SECONDS = 0.25
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def idle_threads() -> int:
    """The number of threads for which a core is idle: PyTorch's number, or fewer while other processes keep cores busy.

    A parallel loop ends when its slowest thread does, and the others spin meanwhile, so that one thread too many costs
    an order of magnitude. A number from OMP_NUM_THREADS is taken as it is. The measurement takes a quarter of a second,
    on Linux only; elsewhere the result is PyTorch's number.
    """
    most = torch.get_num_threads()
    if most == 1 or "OMP_NUM_THREADS" in os.environ:
        return most
    try:
        before = _ticks()
        time.sleep(_SAMPLE_SECONDS)
        after = _ticks()
    except (OSError, ValueError, AttributeError):
        return most
    idle = sum(
        (after[cpu][0] - before[cpu][0]) / max(1, after[cpu][1] - before[cpu][1])
        for cpu in after.keys() & before.keys()
    )
    return max(1, min(most, round(idle)))


def _ticks() -> dict[str, tuple[int, int]]:
    """(idle, all) clock ticks of each core that this process may use."""
    own = {f"cpu{i}" for i in os.sched_getaffinity(0)}
    rows = (line.split() for line in _STAT.read_text(encoding="utf-8").splitlines())
    counts = {row[0]: [int(n) for n in row[1:9]] for row in rows if row and row[0] in own}
    return {cpu: (n[3] + n[4], sum(n)) for cpu, n in counts.items()}


def keep_freed_memory() -> None:
    """Lets glibc's malloc keep up to 1 GiB of freed memory for the whole process; it does nothing elsewhere.

    By default every tensor of more than 128 KiB is mapped afresh and unmapped again, which costs a page fault for each
    4 KiB of every activation of every step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest that it takes
    mallopt(_M_TRIM_THRESHOLD, 1 << 30)
