"""One process, or several that torchrun started."""

from __future__ import annotations

import os
from dataclasses import dataclass

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
        """uint8 [0, 255] or float [0, 1] -> float [0, 1], on the device; bytes travel, not floats."""
        x = x.to(self.device, non_blocking=True)
        return x.float().div_(255) if x.dtype == torch.uint8 else x

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()


def join(device: str = "auto") -> World:
    """Joins the processes of torchrun (RANK, WORLD_SIZE, LOCAL_RANK), by NCCL on GPUs and by gloo on CPUs.

    Raises:
        InputError: the device is unknown.
        RunError: CUDA was asked for and is absent.
    """
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
