"""The processes and cores that a training runs on."""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from srfast.ops.device import resolve_device


@dataclass(frozen=True)
class World:
    """This process among all processes."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def agree(self, flag: bool) -> bool:
        """True on every process if it is true on one of them."""
        if self.size == 1:
            return flag
        votes = torch.tensor(int(flag), device=self.device)
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return bool(votes)

    def mean(self, value: torch.Tensor) -> float:
        """The mean of a scalar over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return float(value) / self.size

    def images(self, x: torch.Tensor) -> torch.Tensor:
        """uint8, uint16 or float in [0, 1] -> float [0, 1], on the device; bytes travel, not floats."""
        x = x.to(self.device, non_blocking=True)
        return x if x.is_floating_point() else x.float().div_(torch.iinfo(x.dtype).max)

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()


def join(device: str = "auto") -> World:
    """Joins the processes of torchrun (RANK, WORLD_SIZE, LOCAL_RANK), by NCCL on GPUs and by gloo on CPUs. Raises
    InputError if the device is unknown, and RunError if CUDA was requested and is absent."""
    cuda = resolve_device(device) == "cuda"
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    if cuda:
        torch.cuda.set_device(local)
    own = torch.device("cuda", local) if cuda else torch.device("cpu")
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
    return World(dist.get_rank() if size > 1 else 0, size, own)


def leave(world: World) -> None:
    if world.size > 1 and dist.is_initialized():
        dist.destroy_process_group()


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
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest that it takes
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
