"""The column that a selection for a target sorts by."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from srfast.coreset.settings import SelectArguments
from srfast.scoring.table import ScoreTable


def targeted(table: ScoreTable, asked: SelectArguments) -> ScoreTable:
    """The table with the column ``asked.method`` for ``asked.target``: "influence" or "similar".

    Raises:
        InputError: images that cannot be read or have changed, and what ``srfast.influence`` refuses.
        RunError: influence without PyTorch.
    """
    assert asked.target is not None
    if asked.method == "influence":
        from srfast.coreset.influence import influence

        return influence(table, asked.target, root=asked.root, seed=asked.seed)
    from srfast.coreset.methods.nearest import similarity

    rng = np.random.default_rng(asked.seed)
    found = similarity(table, np.arange(len(table)), asked.target, asked.root, rng)
    return ScoreTable(table.table.append_column("similar", pa.array(found.astype(np.float32))), table.meta)
