"""The JSON object in a table's metadata, what it records of each image, and its checks, since a file may come from
anybody."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from srfast.data import provenance
from srfast.data.hashing import is_hash
from srfast.data.parquet import opened
from srfast.data.tiff import ALPHA, DEEP, WORDS
from srfast.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from srfast.data.images import ImageFile

VERSION = 1
KEY = provenance.KEY
PASSED = "passed_over"
"""Key under which a table counts, by suffix, the files that its run passed over."""
SUM = b"srfast.crc32"
"""Key of the CRC-32 of a table's JSON object, which the pages' own checksums do not cover."""
_ESCAPED = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character outside the basic plane; only two of them together are a character."""
HASHES = ("sha256", "lr_sha256")
NOTED = (*HASHES, "reduced")
"""Keys of an image's state: the SHA-256 of its file, and of that of its given LR image."""
_STATE = ("size", "mtime_ns", "lr", *NOTED, "rows", "tried")
_KINDS: dict[str, type] = {
    "root": str, "kind": str, "images": dict, PASSED: dict, "selection": dict, "skipped": list, "small": list,
    "records": list, "scale": int, "patch": int, "stride": int,
}  # fmt: skip


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
    check_meta(path, meta, encoded)
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
    encoded = encode_meta(meta)
    read: dict[str, Any] = json.loads(encoded)
    check_meta(name, read, encoded)
    return read


def check_meta(name: str | os.PathLike[str], meta: Any, encoded: bytes) -> None:
    """Refuses metadata on which the readers of a table would fail; ``encoded`` are those of the file. Raises InputError
    if a value has the wrong type, a path contains NUL, or a text is not valid UTF-8; the message names the key."""
    for key, kind in _KINDS.items():
        value = meta.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise _damaged(name, key, f"expected {kind.__name__}, got {type(value).__name__}")
        if isinstance(value, str) and "\0" in value:
            raise _damaged(name, key, "expected no NUL in it")
    if _ESCAPED.search(encoded) and not _is_text(meta):
        raise _damaged(name, "text", "expected UTF-8, got half of a surrogate pair")
    if not all(type(n) is int for n in (meta.get(PASSED) or {}).values()):
        raise _damaged(name, PASSED, "expected a whole number for each suffix")
    for image, state in (meta.get("images") or {}).items():
        if type(state) is not dict or not _counts(state):
            raise _damaged(name, "images", f"{image!r}: expected size, mtime_ns and rows as whole numbers")
        if not _measures(state.get("tried", {})):
            raise _damaged(name, "images", f"{image!r}: expected numbers by column and size under tried")
        if state.get("lr") is not None and not _whole_numbers(state["lr"], 2):
            raise _damaged(name, "images", f"{image!r}: expected two whole numbers under lr")
        if state.get("reduced") not in (None, *WORDS):
            raise _damaged(name, "images", f"{image!r}: expected one of {', '.join(WORDS)} under reduced")
        for key in HASHES:
            if state.get(key) is not None and not is_hash(state[key]):
                raise _damaged(name, "images", f"{image!r}: expected 64 hexadecimal digits under {key}")
    for key in ("skipped", "small", "records"):
        for entry in meta.get(key) or []:
            if type(entry) is not dict or type(entry.get("image")) is not str:
                raise _damaged(name, key, "expected objects that name an image")
            sizes = entry.get("small_at", {})
            if type(sizes) is not dict or not all(_whole_numbers(side, 2) for side in sizes.values()):
                raise _damaged(name, key, "expected two whole numbers for each size in small_at")
            if key == "records" and not (
                {"skipped", "small"} <= entry.keys() and _whole_numbers(entry["small"] or [0, 0], 2)
            ):
                raise _damaged(name, key, "expected skipped and small in each")
            if key == "records" and not _counts(entry):
                raise _damaged(name, key, "expected size, mtime_ns and rows as whole numbers")


def _damaged(name: str | os.PathLike[str], key: str, what: str) -> InputError:
    return InputError(f"{name}: its metadata have been damaged: {key}: {what}")


def _counts(state: dict[str, Any]) -> bool:
    """Whether the entries about an image are of the right types; missing entries are no damage."""
    numbers = [state.get(k, 0) for k in ("size", "mtime_ns", "rows")]
    return all(type(n) is int for n in numbers) and numbers[2] >= 0


def _measures(tried: Any) -> bool:
    """Whether this is what ``image_size.choose`` tried: by size, numbers by column."""
    sizes = tried.values() if type(tried) is dict else [None]
    return all(type(s) is dict and all(type(v) in (int, float) for v in s.values()) for s in sizes)


def _whole_numbers(value: Any, length: int) -> bool:
    return type(value) is list and len(value) == length and all(type(v) is int for v in value)


def _is_text(value: Any) -> bool:
    """Whether every string in the metadata is text that can be written."""
    if isinstance(value, dict):
        return all(_is_text(k) and _is_text(v) for k, v in value.items())
    if isinstance(value, list):
        return all(map(_is_text, value))
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass
class Outcome:
    """The result for one image: rows, or the reason why there are none."""

    file: ImageFile
    rows: pa.Table | None = None
    skipped: str | None = None
    """Why the file could not be read."""
    small: tuple[int, int] | None = None
    """[H, W] of an image that is smaller than a patch."""
    small_at: dict[str, tuple[int, int]] = field(default_factory=dict)
    """[H, W] of each size of ``shrink`` that is smaller than a patch, by fraction."""
    tried: dict[str, dict[str, float]] = field(default_factory=dict)
    """The measures by which ``image_size.choose`` chose the sizes, by fraction."""
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the file that was decoded, and of its given LR image, and what reading left out, by their keys in the
    metadata (``NOTED``)."""

    def record(self) -> dict[str, Any]:
        return {
            "image": self.file.name,
            "size": self.file.size,
            "mtime_ns": self.file.mtime_ns,
            **({"lr": list(self.file.lr)} if self.file.lr is not None else {}),
            **self.hashes,
            "rows": self.rows.num_rows if self.rows is not None else 0,
            "skipped": self.skipped,
            "small": self.small,
            **{name: value for name in ("small_at", "tried") if (value := getattr(self, name))},
        }


def reduced(meta: Mapping[str, Any]) -> dict[str, int]:
    """The numbers of images of which reading left out alpha, and bits beyond 8; those that are not 0."""
    said = [str(state.get("reduced") or "").split(",") for state in (meta.get("images") or {}).values()]
    return {word: n for word in (ALPHA, DEEP) if (n := sum(word in words for words in said))}


def about_images(meta: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a part in the form of a score table: its records become images, skipped and small."""
    if "records" not in meta:
        return meta
    rest = {k: v for k, v in meta.items() if k not in ("records", "run")}
    return {**rest, **of_records(meta["records"])}


def of_records(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Records as the images, skipped and small of a score table's metadata."""
    records = list(records)
    return {
        "images": {r["image"]: {k: r[k] for k in _STATE if k in r} for r in records},
        "skipped": [{"image": r["image"], "reason": r["skipped"]} for r in records if r["skipped"]],
        "small": [{"image": r["image"], "height": r["small"][0], "width": r["small"][1]} for r in records if r["small"]]
        + [
            {"image": r["image"], "shrink": size, "height": h, "width": w}
            for r in records
            for size, (h, w) in sorted(r.get("small_at", {}).items())
        ],
    }


def records_of(meta: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a finished table, the inverse of ``of_records``."""
    skipped = {e["image"]: e["reason"] for e in meta["skipped"]}
    small = {e["image"]: (e["height"], e["width"]) for e in meta["small"] if "shrink" not in e}
    at: dict[str, dict[str, Any]] = {}
    for e in meta["small"]:
        if "shrink" in e:
            at.setdefault(e["image"], {})[e["shrink"]] = (e["height"], e["width"])
    return [
        {"image": name, **state, "skipped": skipped.get(name), "small": small.get(name)}
        | ({"small_at": at[name]} if name in at else {})
        for name, state in sorted(meta["images"].items())
    ]
