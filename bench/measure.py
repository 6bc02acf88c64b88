"""Timing two or more callables side by side."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

FLOP_PER_PIXEL = 2 * (81 * 64 + 64 * 32 + 25 * 32)
"""Multiplications and additions of SRCNN 9-1-5 for one HR pixel."""


def side_by_side(runs: dict[str, Callable[[], Any]], rounds: int = 5, seconds: float = 0.2) -> dict[str, float]:
    """Best seconds a call of each callable, interleaved round by round so that a slow moment hits all of them.

    A round repeats a callable until ``seconds`` have passed (at least once). One call of each does not count.
    """
    repeats = {}
    for name, run in runs.items():
        run()
        start = time.perf_counter()
        run()
        repeats[name] = max(1, int(seconds / (time.perf_counter() - start)))
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            best[name] = min(best[name], (time.perf_counter() - start) / repeats[name])
    return best


def timed(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, processor seconds, and what came of it."""
    wall, processor = time.perf_counter(), time.process_time()
    result = run()
    return time.perf_counter() - wall, time.process_time() - processor, result


def sgemm() -> Callable[[], Any]:
    """A 1024 x 1024 float32 matrix product: 2 * 1024^3 FLOP a call."""
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    return lambda: a @ b


SGEMM_FLOP = 2 * 1024**3


def network_rates(seconds: dict[str, float], pixels: int) -> dict[str, float]:
    """Pixels that the subject scores a second, and its share of the FLOP of ``sgemm``."""
    rate, bound = pixels / seconds["subject"], SGEMM_FLOP / seconds["sgemm"]
    return {"mpix_s": rate / 1e6, "fraction_of_sgemm": rate * FLOP_PER_PIXEL / bound}


def record(benchmark: Any, seconds: dict[str, float]) -> None:
    """Records ``ratio_REFERENCE``, its seconds by the subject's, and the machine."""
    names = [name for name in seconds if name != "subject"]
    benchmark.extra_info.update({f"ratio_{name}": seconds[name] / seconds["subject"] for name in names})
    benchmark.extra_info["machine"] = machine()


def peak_mib(script: str, *args: str, text: str = "") -> float:
    """Peak resident memory of a script with these arguments, which reads the text."""
    # VmHWM and not getrusage: the latter keeps the peak of the process that forked this one.
    script += ";print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    command = [sys.executable, "-c", script, *args]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, input=text).stdout) / 1024


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor()
    try:
        with open("/proc/cpuinfo") as file:
            model = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    from srfast import build_info

    return {
        "cpu": model,
        "isa": build_info()["isas"][-1],
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
