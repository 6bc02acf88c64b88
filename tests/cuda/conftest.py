"""The kernel bodies of csrc/cuda compiled for the CPU (tests/cpp), behind functions on tensors."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
UP_TYPES = {torch.float32: 1, torch.float16: 3, torch.bfloat16: 4}
TYPES = {torch.uint8: 0, **UP_TYPES}
BOUNDARIES = {"symmetric": 0, "replicate": 1}


class HostKernels:
    """Runs a kernel body with one CPU thread for each CUDA thread."""

    def __init__(self, library: Path, torch_empty: Callable[..., Tensor]) -> None:
        self.empty = torch_empty
        self.library = ctypes.CDLL(str(library))
        self.library.host_degrade_tiles.restype = ctypes.c_int64
        self.library.host_degrade_tiles.argtypes = [ctypes.c_int64, ctypes.c_int64, ctypes.c_int]

    def tiles(self, h: int, w: int, scale: int) -> int:
        return self.library.host_degrade_tiles(h, w, scale)

    def degrade(
        self, patches: Tensor, scale: int, boundary: str = "symmetric", dtype: torch.dtype = torch.float32,
        threads: int = 64, up: bool = True, sums: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """Y, LR, up-sampled plane and sums of patches [N, H, W, C]; outputs start poisoned."""
        return self.windows(patches.contiguous(), None, None, *patches.shape, scale, boundary, dtype, threads, up, sums)

    def windows(
        self, pixels: Tensor, offsets: Tensor | None, row_strides: Tensor | None, n: int, h: int, w: int, c: int,
        scale: int, boundary: str = "symmetric", dtype: torch.dtype = torch.float32, threads: int = 64,
        with_up: bool = True, with_sums: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """The same of windows in a buffer."""
        y = self.empty((n, h, w), dtype=torch.uint8)
        lr = self.empty((n, h // scale, w // scale), dtype=torch.uint8)
        up = self.empty((n, h, w), dtype=dtype)
        sums = self.empty((n, self.tiles(h, w, scale), 2), dtype=torch.float64)
        self.library.host_degrade(
            *(ctypes.c_void_p(None if t is None else t.data_ptr()) for t in (pixels, offsets, row_strides)),
            *map(ctypes.c_int64, (n, h, w)),
            *map(ctypes.c_int, (c, scale, BOUNDARIES[boundary], UP_TYPES[dtype])),
            *(ctypes.c_void_p(t.data_ptr()) for t in (y, lr)),
            *(ctypes.c_void_p(t.data_ptr() if wanted else None) for t, wanted in ((up, with_up), (sums, with_sums))),
            ctypes.c_int(threads),
        )
        return y, lr, up, sums

    def per_sample_mse(self, a: Tensor, b: Tensor, threads: int = 64) -> Tensor:
        a, b = a.contiguous(), b.contiguous()
        out = self.empty(len(a))
        self.library.host_per_sample_mse(
            *(ctypes.c_void_p(a.data_ptr()), ctypes.c_int(TYPES[a.dtype])),
            *(ctypes.c_void_p(b.data_ptr()), ctypes.c_int(TYPES[b.dtype])),
            *map(ctypes.c_int64, (len(a), a[0].numel())),
            ctypes.c_void_p(out.data_ptr()),
            ctypes.c_int(threads),
        )
        return out


@pytest.fixture(scope="session")
def host_kernels(tmp_path_factory: pytest.TempPathFactory, poisoned_torch: Any) -> HostKernels:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not on PATH: the kernel bodies cannot be compiled for the CPU")
    # Several pytest processes compile it once: their own folders lie in one of the whole run.
    base = tmp_path_factory.getbasetemp()
    library = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "libkernels.so"
    flags = "-std=c++20 -O2 -fno-strict-aliasing -ffp-contract=off -Wall -Wextra -Werror -fPIC -shared -pthread".split()
    include = [f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'tests' / 'cpp'}"]
    source = str(ROOT / "tests" / "cpp" / "kernels.cpp")
    with FileLock(library.with_suffix(".lock")):
        if not library.exists():
            subprocess.run([compiler, *flags, *include, source, "-o", str(library)], check=True)
    return HostKernels(library, poisoned_torch.empty)
