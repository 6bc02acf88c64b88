"""The column by which a selection for a target sorts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from srfast.coreset.settings import SelectArguments
from srfast.scoring.table import ScoreTable


def targeted(table: ScoreTable, asked: SelectArguments) -> ScoreTable:
    """The table with the column ``asked.method`` for ``asked.target``: "influence" or "similar".

    Raises:
        InputError: an image cannot be read or has changed, or ``srfast.influence`` would raise it.
        RunError: the method is influence and PyTorch is not installed.
    """
    assert asked.target is not None
    if asked.method == "influence":
        from srfast.coreset.influence import influence

        return influence(table, asked.target, root=asked.root, seed=asked.seed)
    from srfast.coreset.methods.nearest import similarity

    rng = np.random.default_rng(asked.seed)
    found = similarity(table, np.arange(len(table)), asked.target, asked.root, rng)
    return ScoreTable(table.table.append_column("similar", pa.array(found.astype(np.float32))), table.meta)
