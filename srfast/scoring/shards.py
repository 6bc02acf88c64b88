"""Shards of a dataset, or parts of a table, are put together."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from srfast.data import provenance
from srfast.data.files import PARTS
from srfast.data.shrink import COLUMN
from srfast.errors import InputError
from srfast.scoring.settings import COMPARED

log = logging.getLogger(__name__)
MOST_SHARDS = 1 << 20


def part_files(folder: Path) -> list[Path]:
    """The parts of a table that is a folder, in order; raises InputError if some are missing or the run is not over."""
    if folder.name.endswith(PARTS):
        raise InputError(f"{folder}: is of a run that is not finished; `srfast score --resume` finishes it")
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise InputError(f"{folder}: expected a score table, got a folder without part-*.parquet")
    wanted = _listed(folder)
    if missing := sorted(wanted - {path.name for path in paths}):
        raise InputError(f"{folder}: {len(missing)} of {len(wanted)} parts are missing, such as {missing[0]}")
    return paths


def _listed(folder: Path) -> set[str]:
    """The parts that a folder had when its run ended; none if files were put together by hand."""
    try:
        return set(json.loads((folder / provenance.MARK).read_bytes())["parts"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def in_order(tables: Sequence[pa.Table], names: Sequence[str]) -> pa.Table:
    """The rows of several tables of a dataset, in the order that one run would have given.

    Raises:
        InputError: a patch occurs twice.
    """
    table = pa.concat_tables([t.replace_schema_metadata(None) for t in tables])
    several = COLUMN in table.schema.names
    by_size = [(COLUMN, "descending")] if several else []
    table = table.sort_by([("image", "ascending"), *by_size, ("y", "ascending"), ("x", "ascending")])
    image, x, y = (table.column(c).combine_chunks() for c in ("image", "x", "y"))
    if len(table) > 1:
        code = image.dictionary_encode().indices.to_numpy()
        xs, ys = x.to_numpy(), y.to_numpy()
        same = (code[1:] == code[:-1]) & (xs[1:] == xs[:-1]) & (ys[1:] == ys[:-1])
        if several:
            size = table.column(COLUMN).combine_chunks().to_numpy()
            same &= size[1:] == size[:-1]
        if same.any():
            i = int(same.argmax())
            raise InputError(
                f"{', '.join(names)}: the patch at x={xs[i]}, y={ys[i]} of {image[i].as_py()!r} "
                "occurs in more than one table"
            )
    return table


def check_together(names: Sequence[str], metas: Sequence[dict[str, Any]], schemas: Sequence[pa.Schema]) -> None:
    """Refuses tables with other settings, root or columns than the first; the message names the difference."""
    for name, meta, schema in zip(names[1:], metas[1:], schemas[1:], strict=True):
        for setting in ("root", *COMPARED, "backend", "decoder"):
            if meta.get(setting) != metas[0].get(setting):
                raise InputError(
                    f"{name}: {setting} differs: {names[0]} has {metas[0].get(setting)!r}, "
                    f"this table has {meta.get(setting)!r}"
                )
        if schema.remove_metadata() != schemas[0].remove_metadata():
            raise InputError(
                f"{name}: columns differ: {names[0]} has {', '.join(schemas[0].names)}, "
                f"this table has {', '.join(schema.names)}"
            )


def joined_meta(metas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The metadata of tables that are put together."""
    meta = dict(metas[0])
    images: dict[str, Any] = {}
    for one in metas:
        images.update(one.get("images", {}))
    meta["images"] = dict(sorted(images.items()))
    for key in ("skipped", "small"):
        meta[key] = sorted((item for one in metas for item in one.get(key, [])), key=lambda e: str(e["image"]))
    if len({str(one.get("shard")) for one in metas}) > 1:
        meta["shard"] = None
    return meta


def warn_of_missing(metas: Sequence[dict[str, Any]]) -> None:
    """Warns if some shards of a dataset are missing, since that leaves out patches nobody asked to leave out."""
    shards: list[Any] = [meta.get("shard") for meta in metas]
    if not all(isinstance(s, list) and len(s) == 2 and s[1] == shards[0][1] for s in shards):
        return
    if not all(type(i) is int and type(n) is int and 0 <= i <= n and 0 < n <= MOST_SHARDS for i, n in shards):
        return
    n = shards[0][1]
    missing = sorted(set(range(n)) - {i % n for i, _ in shards})
    if missing:
        few = ", ".join(f"{i}/{n}" for i in missing[:5]) + (", ..." if len(missing) > 5 else "")
        log.warning("scores: %d of %d shards are missing (%s); their images count as if they were not there",
                    len(missing), n, few)  # fmt: skip
