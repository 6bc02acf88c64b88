"""Launch configurations by architecture and element type: a plain table, chosen at launch, measured by ``make tune``.

A table replaces autotuning at run time: the first call does not stall, two runs give the same bits, and the interpreter
needs no GPU driver. Rows with ``measured=False`` are derived from register and shared-memory counts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """The launch configuration of a kernel; ``block`` is the number of LR pixels per program."""

    block: int
    num_warps: int
    num_stages: int
    measured: bool = False


# (kernel, compute capability, bytes an element) -> Config. The capability is the highest one not above the card's.
TABLE: dict[tuple[str, int, int], Config] = {
    ("features", 80, 2): Config(128, 4, 3),
    ("features", 86, 2): Config(128, 4, 2),  # 8.6 and 8.9 have 99 KiB of shared memory a block, 8.0 has 163
    ("features", 90, 2): Config(128, 4, 3),
    ("features", 100, 2): Config(128, 4, 3),
    ("features", 120, 2): Config(128, 4, 2),
    ("features", 80, 4): Config(32, 4, 2),
    ("error", 80, 2): Config(256, 4, 1),
    ("error", 80, 4): Config(256, 4, 1),
}

# What `make tune` tries.
CANDIDATES: dict[str, list[Config]] = {
    "features": [Config(b, w, s) for b in (32, 64, 128, 256) for w in (4, 8) for s in (1, 2, 3, 4)],
    "error": [Config(b, w, 1) for b in (128, 256, 512, 1024) for w in (2, 4, 8)],
}


def lookup(kernel: str, capability: int, itemsize: int) -> Config:
    """The row of the nearest capability not above ``capability`` (80, 90, 100, ...); below 80, the row of 80."""
    rows = {c: config for (name, c, size), config in TABLE.items() if name == kernel and size == itemsize}
    known = [c for c in rows if c <= capability]
    return rows[max(known) if known else min(rows)]
