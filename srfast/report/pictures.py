"""Patches cut from their source images, as data URIs."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from srfast.data.images import read_rgb
from srfast.errors import InputError, RunError
from srfast.report.scores import Scores

log = logging.getLogger(__name__)

LARGEST = 128
"""Pixels a side: a larger patch is shown reduced to this, which bounds the size of the report."""


@dataclass(frozen=True)
class Picture:
    uri: str | None
    """None where the patch cannot be shown; ``note`` then says why."""
    note: str = ""


def cut(scores: Scores, rows: Iterable[int]) -> dict[int, Picture]:
    """The picture of each row; every source image is read once."""
    by_image: dict[int, list[int]] = {}
    for row in sorted(set(rows)):
        by_image.setdefault(int(scores.code[row]), []).append(row)
    pictures = {}
    recorded = scores.meta.get("images")
    for code, wanted in by_image.items():
        name = scores.images[code]
        known = recorded.get(name) if isinstance(recorded, dict) else None
        image, note = _source(scores.root / name, known if isinstance(known, dict) else {})
        for row in wanted:
            pictures[row] = Picture(None, note) if image is None else _patch(image, scores, row, note)
    blank = [p.note for p in pictures.values() if p.uri is None]
    if blank:
        log.warning("%d of %d pictures cannot be shown: %s; --root names the folder the images lie in now",
                    len(blank), len(pictures), blank[0])  # fmt: skip
    return pictures


def _source(path: Path, known: dict[str, Any]) -> tuple[np.ndarray | None, str]:
    """The image and a remark, or None and the reason it cannot be shown."""
    try:
        now = path.stat()
        if now.st_size != known.get("size", now.st_size):
            return None, "the image has changed since scoring"
        image = read_rgb(path)
    except FileNotFoundError:
        return None, "the image is no longer there"
    except (OSError, InputError, RunError):
        return None, "the image cannot be read"
    touched = now.st_mtime_ns != known.get("mtime_ns", now.st_mtime_ns)
    return image, "file touched since scoring" if touched else ""


def _patch(image: np.ndarray, scores: Scores, row: int, note: str) -> Picture:
    x, y, size = (int(v[row]) for v in (scores.x, scores.y, scores.size))
    patch = image[y : y + size, x : x + size]
    if patch.shape[:2] != (size, size):
        return Picture(None, "the image has changed since scoring")
    picture = Image.fromarray(np.ascontiguousarray(patch))
    if size > LARGEST:
        picture = picture.resize((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if features.check("webp"):
        kind = "webp"
        picture.save(buffer, "WEBP", lossless=True, quality=70, method=4)
    else:
        kind = "png"
        picture.save(buffer, "PNG", optimize=True)
    return Picture(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}", note)
