"""Core-sets as files of any size."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from srfast.coreset.selection import CORESET_SCHEMA, numbered, on_disk, select
from srfast.coreset.settings import SelectArguments
from srfast.data.files import check_output
from srfast.runtime.progress import shown
from srfast.scoring.table import with_extras, write_parquet


@dataclass(frozen=True)
class Selected:
    """A description of the core-set, without its rows."""

    selection: dict[str, Any]
    """The selection as in the core-set's metadata."""
    lowest: float
    highest: float
    """The highest loss."""


def write_selection(
    scores: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str], asked: SelectArguments
) -> Selected:
    """``srfast.select`` for core-sets that need not fit in memory either: writes ``output``.

    DuckDB spills into the folder of the output.
    """
    folder = check_output(output, "core-set", scores).parent
    large = on_disk(scores, asked, Path(folder))
    if large is None:
        coreset = select(list(scores), **{**vars(asked), "engine": "memory"})
        coreset.write(output)
        loss = coreset.column("loss")
        return Selected(coreset.meta["selection"], float(loss.min()), float(loss.max()))
    ends: list[float] = []

    def watched(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            ends[:] = [ends[0] if ends else table["loss"][0].as_py(), table["loss"][-1].as_py()]
            yield table

    with large, shown(asked.progress, "selecting", "rows", "patches") as progress:
        tables = large.kept(progress)
        first = next(tables)
        schema = with_extras(CORESET_SCHEMA, first.schema)
        meta = {**large.files.meta, "selection": large.about}
        write_parquet(output, watched(numbered(chain([first], tables), schema)), schema, meta, inputs=scores)
    return Selected(large.about, ends[1], ends[0])
