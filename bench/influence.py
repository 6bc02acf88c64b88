"""What influence costs: ``python -m bench.influence ratio POOL [STRIDE] [ROUNDS]`` and ``... vector POOL TARGET``.

``ratio``: dense patches, of which the pool of ``experiments.kinds`` has 1.1 million at a stride of 6: the two
scorings and their difference against one scoring, in turn.
``vector``: everything before them, at a stride of 48, as processor seconds and seconds, and the most memory that the
process ever held.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import srfast
from bench.measure import timed
from srfast.coreset import influence
from srfast.runtime.threads import cores
from srfast.scoring.network import load_network
from srfast.scoring.scored import ScoredImages


def ratio(pool: str, stride: str = "6", rounds: str = "3") -> None:
    def score() -> Any:
        return srfast.score(pool, stride=int(stride), mode="dense")

    table = score()
    images, network = ScoredImages.of(table.meta), load_network("srcnn", 2)

    def both() -> np.ndarray:
        sides = [influence._column(table, images, network, cores(), None) for _ in range(2)]
        return ((sides[0] - sides[1]) / 2e-3).astype(np.float32)

    ratios = []
    for _ in range(int(rounds)):
        one, two = timed(score), timed(both)
        ratios.append((two[0] / one[0], two[1] / one[1], one[0]))
    wall, processor, seconds = np.median(ratios, 0)
    print(f"{len(table):,} patches at a stride of {stride}: scored in {seconds:.1f} s")
    print(f"their influence, once v is there: {wall:.2f} x that, {processor:.2f} x its processor time")


def vector(pool: str, target: str) -> None:
    table = srfast.score(pool, stride=48, mode="dense", scorer="bicubic")
    influence._column = lambda table, *_: np.zeros(len(table))
    wall, processor, _ = timed(lambda: srfast.influence(table, target))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"v for {len(table):,} patches: {processor:.0f} s of processor time, {wall:.0f} s on {cores()} cores; "
        f"{peak:.0f} MiB at the most"
    )


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"ratio": ratio, "vector": vector}
    commands[sys.argv[1]](*sys.argv[2:])
