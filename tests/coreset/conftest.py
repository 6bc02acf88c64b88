"""Score tables made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from srfast.scoring.settings import COMPARED
from srfast.scoring.table import SCHEMA, ScoreTable

MakeTable = Callable[..., ScoreTable]


@pytest.fixture
def make_table() -> MakeTable:
    """make_table(loss, images=None, size=96, **columns) -> a table whose x is 96 times the row number."""

    def make(loss: list[float], images: list[str] | None = None, size: int = 96, **columns: Any) -> ScoreTable:
        n = len(loss)
        known = {
            "image": images or ["a.png"] * n,
            "x": np.arange(n, dtype=np.int32) * 96,
            "y": np.zeros(n, np.int32),
            "size": np.full(n, size, np.int32),
            "loss": np.array(loss, np.float32),
            "bicubic": np.array(loss, np.float32) * 2,
            "sobel": np.random.default_rng(9).permutation(n).astype(np.float32),
        }
        extra = {k: v for k, v in columns.items() if k not in known}
        table = pa.table({k: columns.get(k, v) for k, v in known.items()}, schema=SCHEMA)
        for name, values in extra.items():
            table = table.append_column(name, pa.array(values))
        meta = {"version": 1, "root": "/data", **dict.fromkeys(COMPARED, 1), "images": {}, "skipped": [], "small": []}
        return ScoreTable(table, meta)

    return make
