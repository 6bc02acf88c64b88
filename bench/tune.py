"""Measures srfast.kernels.configs.CANDIDATES on this GPU and rewrites the card's rows of TABLE (`make tune`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from srfast.kernels import configs, srcnn
from srfast.kernels.configs import Config

from srfast.scoring.network import load_network

SOURCE = Path(__file__).resolve().parents[1] / "kernels" / "configs.py"
PATCHES, SIZE = 1024, 96


def milliseconds(run: Callable[[], Any], repeats: int = 20) -> float:
    for _ in range(3):
        run()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return sorted(times)[repeats // 2]


def best(kernel: str, dtype: torch.dtype) -> Config:
    """The fastest candidate whose answer agrees with the table's row."""
    packed = srcnn.pack(load_network("srcnn", 2).weights, dtype, "cuda")
    up = (torch.rand(PATCHES, SIZE, SIZE, device="cuda") * 255).to(dtype)
    truth = torch.randint(0, 256, up.shape, dtype=torch.uint8, device="cuda")
    features = srcnn.launch_features(up, packed)

    def run(config: Config | None) -> torch.Tensor:
        if kernel == "features":
            return srcnn.launch_features(up, packed, config)
        return srcnn.launch_error(features, truth, packed, config=config)

    expected = run(None)
    found = []
    for config in configs.CANDIDATES[kernel]:
        try:
            torch.testing.assert_close(run(config), expected, rtol=1e-2, atol=0.5)
            time = milliseconds(lambda c=config: run(c))
        except Exception as error:  # a candidate may need more shared memory or registers than the card has
            print(f"{kernel} {dtype} {config}: {type(error).__name__}")
            continue
        print(f"{kernel} {dtype} {config}: {time:.3f} ms", flush=True)
        found.append((time, config))
    return min(found, key=lambda pair: pair[0])[1]


def main() -> None:
    major, minor = torch.cuda.get_device_capability()
    table = dict(configs.TABLE)
    for kernel in configs.CANDIDATES:
        for dtype in (torch.float16, torch.float32):
            c = best(kernel, dtype)
            table[kernel, 10 * major + minor, dtype.itemsize] = Config(
                c.block, c.num_warps, c.num_stages, c.depth, True
            )
    rows = "".join(f"    {key!r}: {value!r},\n".replace("'", '"') for key, value in sorted(table.items()))
    source = SOURCE.read_text()
    new = re.sub(r"(TABLE: [^\n]* = \{\n).*?(\n\}\n)", lambda m: m[1] + rows.rstrip("\n") + m[2], source, flags=re.S)
    SOURCE.write_text(new)
    print(f"wrote {SOURCE}")


if __name__ == "__main__":
    main()
