"""Measures srfast.kernels.configs.CANDIDATES on this GPU and prints the card's rows for TABLE (`make tune`).

Needs nothing but the installed srfast, torch and Triton: no network, and no file is written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from srfast.kernels import configs, srcnn
from srfast.kernels.configs import Config

from srfast.scoring.backends.fold import pack
from srfast.scoring.network import load_network

PATCHES, SIZE = 1024, 96


def measure(kernel: str, dtype: torch.dtype) -> list[tuple[float, Config]]:
    """(milliseconds, candidate) of the candidates whose answer agrees with the table's row, the fastest first."""
    from triton.testing import do_bench

    packed = pack(load_network("srcnn", 2).weights or {}, 2, dtype, "cuda")
    truth = torch.randint(0, 256, (PATCHES, SIZE, SIZE), dtype=torch.uint8, device="cuda")
    lr = truth[:, ::2, ::2].contiguous().to(dtype)
    products = srcnn.launch_features(lr, packed)

    def run(config: Config | None) -> torch.Tensor:
        if kernel == "features":
            return srcnn.launch_features(lr, packed, config)
        return srcnn.launch_error(products, truth, packed, config=config)

    expected = run(None)
    timings = []
    for config in configs.CANDIDATES[kernel]:
        try:
            torch.testing.assert_close(run(config), expected, rtol=1e-2, atol=0.5)
            time = do_bench(lambda c=config: run(c), return_mode="median")
        except Exception as error:  # a candidate may need more shared memory or registers than the card has
            print(f"# {kernel} {dtype} {config}: {type(error).__name__}", flush=True)
            continue
        print(f"# {kernel} {dtype} {config}: {time:.3f} ms", flush=True)
        timings.append((time, config))
    return sorted(timings, key=lambda pair: pair[0])


def row(kernel: str, capability: int, itemsize: int, best: Config) -> str:
    """A line of configs.TABLE."""
    measured = Config(best.block, best.num_warps, best.num_stages, True)
    return f"    {(kernel, capability, itemsize)!r}: {measured!r},".replace("'", '"')


def main(kernels: Callable[[str, torch.dtype], list[tuple[float, Config]]] = measure) -> int:
    if not torch.cuda.is_available():
        print("tune: torch sees no CUDA device on this machine; nothing was measured", file=sys.stderr)
        return 1
    major, minor = torch.cuda.get_device_capability()
    rows: list[Any] = []
    for kernel in configs.CANDIDATES:
        for dtype in (torch.float16, torch.float32):
            if timings := kernels(kernel, dtype):
                rows.append(row(kernel, 10 * major + minor, dtype.itemsize, timings[0][1]))
    print(f"# rows of TABLE in kernels/configs.py, {torch.cuda.get_device_name()}")
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
