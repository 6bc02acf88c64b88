"""Recognises by content what srfast wrote. Names are not trusted, and no file of the user's is ever replaced."""

from __future__ import annotations

import json
import os
import re
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

KEY = b"srfast"
"""Key of a parquet file's metadata, under which a JSON object says how the table was made."""
LIMITS = {"thrift_string_size_limit": 2**31 - 1, "thrift_container_size_limit": 2**31 - 1}
"""Limits for parquet's footer: its metadata list every image, and pyarrow's own 100 MB end at a million of them."""
MARK = ".srfast.json"
"""The file that makes a folder srfast's own, with the content ``{"generator": "srfast KIND"}``."""

_HEAD = 2048
_CHECKPOINT = b"srfast-checkpoint-"
_WEIGHTS = {"model", "options", "scale", "steps", "seed", "data"}
_PATTERNS = {
    re.compile(rb"\A\x08[\x00-\x7f]\x12\x06srfast"): "ONNX graph",  # ir_version, producer_name
    re.compile(rb"\Astep,loss,lr,psnr,ssim,seconds,data_seconds\r?\n"): "training log",
    re.compile(rb"\Aimage,verdict,reasons,keep_instead\b"): "verdicts",
    re.compile(rb'\A\s*\{\s*"generator":\s*"srfast ([a-z -]+)"'): "",  # JSON
    re.compile(rb'<meta name="generator" content="srfast ([a-z -]+) [0-9]'): "",  # HTML
    re.compile(rb"\A(?:#|%|//|<!--) ?srfast ([a-z -]+?) ?(?:[0-9\r\n:]|-->)"): "",  # the first line of a text
}
"""The beginning of a file -> its kind, or "" if the beginning says it."""


def generator(kind: str) -> str:
    """The value of ``generator``, the first key of a JSON file that is to be recognised; kind in lower-case words."""
    return f"srfast {kind}"


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """The kind of a file or folder that srfast wrote, recognised by its content; None for anything else.

    These are recognised: parquet (by the JSON under the key ``srfast``: its ``kind``, or else "core-set" or "score
    table"), JSON whose first key is ``generator``, HTML with the generator's meta element, texts whose first line is a
    comment with ``srfast KIND``, ONNX by its producer, log.csv and images.csv by their columns, safetensors by the six
    keys of the training's metadata, checkpoints by their format, and folders by the file ``MARK`` in them.

    Only regular files and folders are opened, since a named pipe would be waited for.
    """
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            path = path / MARK
            mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            return None
        with open(path, "rb") as file:
            head = file.read(_HEAD)
        return _kind(path, head)
    # A damaged file makes its reader raise almost anything; whatever it raises, the file cannot be recognised.
    except Exception:
        return None


def _kind(path: Path, head: bytes) -> str | None:
    if head.startswith(b"PAR1"):
        return _parquet(path)
    if head.startswith(b"PK\x03\x04"):
        return _checkpoint(path)
    for pattern, kind in _PATTERNS.items():
        if match := pattern.search(head):
            return kind or match[1].decode()
    return _safetensors(path, head)


def kind_of_table(meta: dict[str, Any]) -> str:
    """The kind of a table, by the JSON object in its metadata."""
    return str(meta.get("kind") or ("core-set" if "selection" in meta else "score table"))


def _parquet(path: Path) -> str | None:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, **LIMITS) as file:
        metadata = file.schema_arrow.metadata or {}
    return kind_of_table(json.loads(metadata[KEY])) if KEY in metadata else None


def _checkpoint(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
        with archive.open(name) as pickled:
            return "checkpoint" if _CHECKPOINT in pickled.read(1 << 24) else None


def _safetensors(path: Path, head: bytes) -> str | None:
    size = struct.unpack("<Q", head[:8])[0]
    if head[8:9] != b"{" or size > 1 << 24:
        return None
    with open(path, "rb") as file:
        file.seek(8)
        about = json.loads(file.read(size)).get("__metadata__", {})
    return "weights" if about.keys() >= _WEIGHTS else None
