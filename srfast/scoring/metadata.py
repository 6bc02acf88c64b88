"""The JSON object in a table's metadata: what it records of each image, its checks, since a file may come from anybody,
and that of several tables as one."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from srfast.data import provenance
from srfast.data.hashing import is_hash
from srfast.data.parquet import opened
from srfast.data.tiff import ALPHA, DEEP, WORDS
from srfast.errors import InputError
from srfast.scoring.settings import COMPARED

if TYPE_CHECKING:
    import pyarrow as pa

    from srfast.data.images import ImageFile

log = logging.getLogger(__name__)
VERSION = 1
KEY = provenance.KEY
PASSED = "passed_over"
"""Key under which a table counts, by suffix, the files that its run passed over."""
MOST_SHARDS = 1 << 20
MISSING = "missing_shards"
"""Key under which a table lists the shards [i, n] of its dataset that it lacks."""
SUM = b"srfast.crc32"
"""Key of the CRC-32 of a table's JSON object, which the pages' own checksums do not cover."""
_ESCAPED = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character outside the basic plane; only two of them together are a character."""
_KINDS: dict[str, type] = {
    "root": str, "kind": str, "images": dict, PASSED: dict, "scorer": dict, "selection": dict, "skipped": list,
    "small": list, "lr": str, "lr_template": str, "scale": int, "patch": int, "stride": int,
}  # fmt: skip


def _whole(value: Any) -> bool:
    return type(value) is int


def _pair(value: Any) -> bool:
    return type(value) is list and len(value) == 2 and all(map(_whole, value))


def _measures(tried: Any) -> bool:
    """Whether this is what ``choose`` tried: by size, numbers by column."""
    sizes = tried.values() if type(tried) is dict else [None]
    return all(type(s) is dict and all(type(v) in (int, float) for v in s.values()) for s in sizes)


_STATE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "size": (_whole, "a whole number"),
    "mtime_ns": (_whole, "a whole number"),
    "rows": (lambda n: _whole(n) and n >= 0, "a whole number of at least 0"),
    "tried": (_measures, "numbers by column and size"),
    "lr": (lambda state: state is None or _pair(state), "two whole numbers"),
    "reduced": (lambda words: words in (None, *WORDS), "what reading left out"),
    **dict.fromkeys(("sha256", "lr_sha256"), (lambda s: s is None or is_hash(s), "64 hexadecimal digits")),
}
"""What may stand of an image under each key; one that is missing is no damage."""


def read_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the JSON object of a file without its rows."""
    with opened(path, whole=False) as file:
        return parse_meta(path, file.schema_arrow.metadata)


def parse_meta(path: str | os.PathLike[str], metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    """The JSON object in a file's key-value metadata; raises InputError if there is none or it is damaged."""
    try:
        encoded = (metadata or {})[KEY]
        if _sum(encoded) != (metadata or {}).get(SUM, _sum(encoded)):
            raise InputError(f"{path}: not a readable parquet file (its metadata have been damaged)")
        meta = json.loads(encoded)
        version = meta["version"]
    except InputError:
        raise
    except (KeyError, ValueError, TypeError, RecursionError):
        raise InputError(
            f"{path}: expected a table written by srfast, got a parquet file without its metadata"
        ) from None
    if version != VERSION:
        raise InputError(
            f"{path}: expected version {VERSION} of the table format, got {version!r}", hint="score the images again"
        )
    if _ESCAPED.search(encoded):
        _encoded(path, meta)
    check_meta(path, meta)
    return dict(meta)


def file_metadata(meta: dict[str, Any]) -> dict[bytes, bytes]:
    """The key-value metadata of a table's file."""
    encoded = encode_meta(meta)
    return {KEY: encoded, SUM: _sum(encoded)}


def _sum(encoded: bytes) -> bytes:
    return b"%08x" % zlib.crc32(encoded)


def encode_meta(meta: dict[str, Any]) -> bytes:
    return json.dumps(meta, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def as_read(name: str, meta: dict[str, Any]) -> dict[str, Any]:
    """Metadata as a reader of their file has them, with the checks and the errors of ``check_meta``."""
    read: dict[str, Any] = json.loads(_encoded(name, meta))
    check_meta(name, read)
    return read


def _encoded(name: str | os.PathLike[str], meta: dict[str, Any]) -> bytes:
    try:
        return encode_meta(meta)
    except UnicodeEncodeError:
        raise InputError(
            f"{name}: its metadata have been damaged: text: expected UTF-8, got half of a surrogate pair"
        ) from None


def check_meta(name: str | os.PathLike[str], meta: Mapping[str, Any]) -> None:
    """Refuses metadata on which the readers of a table would fail. Raises InputError if a value has the wrong type, or
    a path contains NUL; the message names the key."""

    def check(right: bool, key: str, what: str, image: str | None = None) -> None:
        if not right:
            where = key if image is None else f"{key}: {image!r}"
            raise InputError(f"{name}: its metadata have been damaged: {where}: {what}")

    for key, kind in _KINDS.items():
        value = meta.get(key)
        right = value is None or (isinstance(value, kind) and not isinstance(value, bool))
        check(right, key, f"expected {kind.__name__}, got {type(value).__name__}")
        check(not (isinstance(value, str) and "\0" in value), key, "expected no NUL in it")
    check(all(type(n) is int for n in (meta.get(PASSED) or {}).values()), PASSED, "expected a whole number each")
    for image, state in (meta.get("images") or {}).items():
        check(type(state) is dict, "images", "expected an object", image)
        for key in _STATE.keys() & state.keys():
            rule, what = _STATE[key]
            check(rule(state[key]), "images", f"expected {what} under {key}", image)
    for key in ("skipped", "small"):
        for entry in meta.get(key) or []:
            check(type(entry) is dict and type(entry.get("image")) is str, key, "expected objects that name an image")


@dataclass
class Outcome:
    """The result for one image: rows, or the reason why there are none."""

    file: ImageFile
    rows: pa.Table | None = None
    skipped: str | None = None
    """Why the file could not be read."""
    small: dict[str, tuple[int, int]] = field(default_factory=dict)
    """[H, W] of each size that is smaller than a patch, by its fraction, or by "" if the table has one size."""
    tried: dict[str, dict[str, float]] = field(default_factory=dict)
    """The measures by which ``choose`` chose the sizes, by fraction."""
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the file that was decoded, and of its given LR image, and what reading left out, by their keys in the
    metadata: ``sha256``, ``lr_sha256``, ``reduced``."""

    def about(self) -> dict[str, Any]:
        """What the metadata of a table say of the image."""
        state = {
            "size": self.file.size,
            "mtime_ns": self.file.mtime_ns,
            **({"lr": list(self.file.lr)} if self.file.lr is not None else {}),
            **self.hashes,
            "rows": self.rows.num_rows if self.rows is not None else 0,
            **({"tried": self.tried} if self.tried else {}),
        }
        name = self.file.name
        small = [
            {"image": name, **({"shrink": size} if size else {}), "height": h, "width": w}
            for size, (h, w) in sorted(self.small.items())
        ]
        skipped = [{"image": name, "reason": self.skipped}] if self.skipped else []
        return {"images": {name: state}, "skipped": skipped, "small": small}


def reduced(meta: Mapping[str, Any]) -> dict[str, int]:
    """The numbers of images of which reading left out alpha, and bits beyond 8; those that are not 0."""
    said = [str(state.get("reduced") or "").split(",") for state in (meta.get("images") or {}).values()]
    return {word: n for word in (ALPHA, DEEP) if (n := sum(word in words for words in said))}


def together(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the metadata of several tables, or of single images, say of images."""
    parts = list(parts)
    entries = {key: [entry for part in parts for entry in part.get(key, [])] for key in ("skipped", "small")}
    return {"images": dict(item for part in parts for item in part.get("images", {}).items()), **entries}


def by_image(meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a table's metadata say of each image, in the order of its rows."""
    each: dict[str, dict[str, Any]] = {n: {"images": {n: s}} for n, s in sorted(meta.get("images", {}).items())}
    for key in ("skipped", "small"):
        for entry in meta.get(key, []):
            if entry["image"] in each:
                each[entry["image"]].setdefault(key, []).append(entry)
    return each


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
    about = together(metas)
    meta["images"] = dict(sorted(about["images"].items()))
    for key in ("skipped", "small"):
        meta[key] = sorted(about[key], key=lambda entry: str(entry["image"]))
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
    return _pair(value) and 0 <= value[0] <= value[1] and 0 < value[1] <= MOST_SHARDS


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
