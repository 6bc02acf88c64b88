"""Shards of a dataset, or parts of a table, are put together."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from srfast.data import provenance
from srfast.data.files import PARTS
from srfast.data.shrink import COLUMN
from srfast.errors import InputError
from srfast.scoring.metadata import PASSED
from srfast.scoring.settings import COMPARED

log = logging.getLogger(__name__)
MOST_SHARDS = 1 << 20
MISSING = "missing_shards"
"""Key of the metadata under which a table lists the shards [i, n] of its dataset that it lacks."""


def part_files(folder: Path) -> list[Path]:
    """The parts of a table that is a folder, in order; raises InputError if some are missing or the run is not over."""
    if folder.name.endswith(PARTS):
        raise InputError(f"{folder}: is of a run that is not finished", hint="`srfast score --resume` finishes it")
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
    """The rows of several tables of a dataset, in the order that one run would have given. Raises InputError if a patch
    occurs twice."""
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
        for setting in ("root", *COMPARED, "backend", "device", "decoder"):
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
    meta = {**metas[0], **({PASSED: metas[-1][PASSED]} if PASSED in metas[-1] else {})}  # as the last run counted
    images: dict[str, Any] = {}
    for part in metas:
        images.update(part.get("images", {}))
    meta["images"] = dict(sorted(images.items()))
    for key in ("skipped", "small"):
        meta[key] = sorted((item for part in metas for item in part.get(key, [])), key=lambda e: str(e["image"]))
    if len({str((part.get("shard"), part.get(MISSING))) for part in metas}) > 1:
        meta["shard"] = None
        if missing := missing_shards(metas):
            meta[MISSING] = missing
        else:
            meta.pop(MISSING, None)
    return meta


def missing_shards(metas: Sequence[dict[str, Any]]) -> list[list[int]]:
    """The shards [i, n] that tables of one dataset lack, with i from 0; none if a table is not one of several."""
    held = [shards for meta in metas if (shards := _held(meta)) is not None]
    if len(held) < len(metas):
        return []
    n = math.lcm(*(count for count, _ in held))
    if n > MOST_SHARDS:
        raise InputError(f"scores: expected shards of one division of the images, got {len(held)} of several")
    present = {i + k for count, shards in held for i in shards for k in range(0, n, count)}
    return [[i, n] for i in range(n) if i not in present]


def _held(meta: dict[str, Any]) -> tuple[int, set[int]] | None:
    """The number of shards of a dataset, and which of them a table holds; None if it was not made as a shard."""
    gone: Any = meta.get(MISSING)
    shard: Any = meta.get("shard")
    if isinstance(gone, list) and gone and all(map(_is_shard, gone)) and len({n for _, n in gone}) == 1:
        n = gone[0][1]
        return n, set(range(n)) - {i % n for i, _ in gone}
    return (shard[1], {shard[0] % shard[1]}) if _is_shard(shard) else None


def _is_shard(value: Any) -> bool:
    whole = isinstance(value, list) and len(value) == 2 and all(type(v) is int for v in value)
    return whole and 0 <= value[0] <= value[1] and 0 < value[1] <= MOST_SHARDS


def checked_shards(metas: Sequence[dict[str, Any]], allowed: bool | None = None) -> dict[str, Any]:
    """The metadata of tables of one dataset as one, which say what shards are missing if that is ``allowed``; None,
    where only a selection can leave them out. Those of a core-set are not checked: its selection was. Raises InputError
    if shards are missing, so that their images would be left out without a request."""
    meta = metas[0] if len(metas) == 1 else joined_meta(metas)
    missing = [] if provenance.kind_of_table(meta) == "core-set" else missing_shards(metas)
    if not missing:
        return meta
    n = missing[0][1]
    few = ", ".join(f"{i}/{n}" for i, _ in missing[:5]) + (", ..." if len(missing) > 5 else "")
    said = f"scores: {len(missing)} of {n} shards {'is' if len(missing) == 1 else 'are'} missing ({few})"
    if not allowed:
        way = "`srfast select --allow-missing-shards`" if allowed is None else "`allow_missing_shards`"
        raise InputError(f"{said}", hint=f"give all of them, or leave out their images by {way}")
    log.warning("%s; their images are left out", said)
    return {**meta, MISSING: missing}
