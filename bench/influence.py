"""What influence costs: ``python -m bench.influence POOL [STRIDE] [ROUNDS]``.

Of dense patches, of which the pool of ``experiments.kinds`` has 1.1 million at a stride of 6: the two scorings and
their difference against one scoring, in turn.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import srfast
from bench.measure import timed
from srfast.coreset import influence
from srfast.runtime.threads import cores
from srfast.scoring.network import load_network
from srfast.scoring.scored import ScoredImages


def main(pool: str, stride: str = "6", rounds: str = "3") -> None:
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


if __name__ == "__main__":
    main(*sys.argv[1:])
