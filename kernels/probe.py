"""Finds out whether Triton, which needs a C compiler and a driver for its ptxas, compiles and runs a kernel."""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def probe_kernel(out):
    tl.store(out, 1)


def failure(device: torch.device | str) -> str | None:
    """The reason why Triton does not work, in one line; None if the kernel has run."""
    try:
        out = torch.zeros(1, dtype=torch.int32, device=device)
        probe_kernel[(1,)](out)
        return None if int(out) == 1 else "a kernel ran and wrote nothing"
    except Exception as error:  # whatever its compiler, the C compiler or the driver raise
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
