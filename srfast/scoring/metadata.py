"""Checks of the JSON object in a table's metadata, since a file may come from anybody."""

from __future__ import annotations

import os
import re
from typing import Any

from srfast.errors import InputError

_ESCAPED = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character outside the basic plane; only two of them together are a character."""
_KINDS: dict[str, type] = {
    "root": str, "kind": str, "images": dict, "selection": dict, "skipped": list, "small": list, "records": list,
    "scale": int, "patch": int, "stride": int,
}  # fmt: skip


def check_meta(name: str | os.PathLike[str], meta: Any, encoded: bytes) -> None:
    """Refuses metadata on which the readers of a table would fail.

    Args:
        name: Name of the table, for the message.
        meta: The decoded metadata.
        encoded: The metadata as in the file.

    Raises:
        InputError: a value has the wrong type, a path contains NUL, or a text is not valid UTF-8; the message names the
            key.
    """
    for key, kind in _KINDS.items():
        value = meta.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise _wrong(name, key, f"expected {kind.__name__}, got {type(value).__name__}")
        if isinstance(value, str) and "\0" in value:
            raise _wrong(name, key, "expected no NUL in it")
    if _ESCAPED.search(encoded) and not _is_text(meta):
        raise _wrong(name, "text", "expected UTF-8, got half of a surrogate pair")
    for image, state in (meta.get("images") or {}).items():
        if type(state) is not dict or any(type(state.get(k, 0)) is not int for k in ("size", "mtime_ns", "rows")):
            raise _wrong(name, "images", f"{image!r}: expected size and mtime_ns as whole numbers")
        if state.get("lr") is not None and not _whole(state["lr"], 2):
            raise _wrong(name, "images", f"{image!r}: expected two whole numbers under lr")
    for key in ("skipped", "small", "records"):
        for entry in meta.get(key) or []:
            if type(entry) is not dict or type(entry.get("image")) is not str:
                raise _wrong(name, key, "expected objects that name an image")
            sizes = entry.get("small_at", {})
            if type(sizes) is not dict or not all(_whole(side, 2) for side in sizes.values()):
                raise _wrong(name, key, "expected two whole numbers for each size in small_at")
            if key == "records" and not ({"skipped", "small"} <= entry.keys() and _whole(entry["small"] or [0, 0], 2)):
                raise _wrong(name, key, "expected skipped and small in each")


def _wrong(name: str | os.PathLike[str], key: str, what: str) -> InputError:
    return InputError(f"{name}: its metadata have been damaged: {key}: {what}")


def _whole(value: Any, length: int) -> bool:
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
