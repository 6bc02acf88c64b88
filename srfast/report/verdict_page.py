"""The page of an audit: galleries by reason, worst first."""

from __future__ import annotations

import hashlib
import io
import logging
import math
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from srfast.data.images import read_rgb
from srfast.data.shrink import COLUMN as SHRINK
from srfast.errors import InputError, RunError
from srfast.report.content import Column, Content, Fact, Gallery, Group, Listing, Shot
from srfast.report.explorer import LABELS
from srfast.report.report import passed_over
from srfast.report.text import count
from srfast.scoring.defects.thresholds import DEFECTS, THRESHOLDS, Threshold
from srfast.scoring.rows import coded
from srfast.scoring.table import SCHEMA, ScoreTable

log = logging.getLogger(__name__)

MANY = 16
"""Largest number of images in a group, and of patches of images that are kept."""
SIDE = 128
"""Longest side in pixels of what is shown, cut out at true pixels."""
TITLES = {d.name: d.title for d in DEFECTS if d.title} | {"duplicate": "Copies", "leak": "Test images"}


class Verdict(Protocol):
    """The attributes of ``srfast.workflows.verdicts.Verdict``."""

    image: str
    verdict: str
    reasons: list[str]
    keep_instead: str
    said: str
    values: dict[str, float]
    patches: dict[str, list[int]]
    size: str

    @property
    def taken(self) -> bool: ...


def audit_page(verdicts: Mapping[str, Verdict], table: ScoreTable, root: Path) -> Content:
    """The content of the page. Every image of a gallery is read once more."""
    limits = {t.column: t for t in THRESHOLDS}
    rows = _rows(table)
    wanted: list[tuple[str, str, list[tuple[str, int | None]]]] = []  # reason, caption, (image, row) or whole image
    for reason in TITLES:
        whole = [v for v in verdicts.values() if reason in v.reasons]
        whole.sort(key=partial(_worst, limits.get(reason)))
        parts = [(row, v) for v in verdicts.values() if v.taken for row in v.patches.get(reason, ())]
        if whole:
            extra = f", the worst {MANY} of them" if len(whole) > MANY else ""
            at = f": {limits[reason].of_image_in_words()}" if reason in limits else ""
            caption = f"{count(len(whole), 'image')}{at}{extra}."
            wanted.append((reason, caption, [(v.image, None) for v in whole[:MANY]]))
        if parts:
            parts.sort(key=partial(_of_row, table, limits.get(reason)))
            extra = f", the worst {MANY} of them" if len(parts) > MANY else ""
            caption = f"{count(len(parts), 'patch')} of images that are kept{extra}."
            wanted.append((reason, caption, [(v.image, row) for row, v in parts[:MANY]]))
    shots, galleries = _shots(wanted, verdicts, table, root, rows, limits)
    unreadable = [(v.image, v.said) for v in verdicts.values() if v.verdict == "unreadable"]
    small = [(v.image, v.said) for v in verdicts.values() if "small" in v.reasons]
    counts = {kind: sum(v.verdict == kind for v in verdicts.values()) for kind in ("keep", "reject", "unreadable")}
    listings = [
        Listing(title, text, entries)
        for title, text, entries in (
            ("Unreadable", "Files that cannot be decoded.", unreadable),
            ("Small", f"Smaller than a patch of {table.meta.get('patch')} pixels.", small),
        )
        if entries
    ]
    listings += passed_over(table.meta)
    return Content(
        kind="audit",
        title=f"Audit of {root.name or root}",
        lede="What is wrong with these images, by reason, the worst first. Nothing was moved or deleted: rejects.csv "
        "lists what srfast select --reject leaves out.",
        checksum=hashlib.sha256("\n".join(sorted(table.meta.get("images", {}))).encode()).hexdigest()[:16],
        facts=[
            Fact("Images", f"{len(verdicts):,}", f"{len(table):,} patches"),
            Fact("Kept", f"{counts['keep']:,}"),
            Fact("Rejected", f"{counts['reject']:,}"),
            *([Fact("Unreadable", f"{counts['unreadable']:,}")] if unreadable else []),
        ],
        columns={
            **{c.name: LABELS[c.name] for c in DEFECTS if c.name in table.columns},
            **{name: Column(name) for name in _joined(table)},
            "keep_instead": Column("better copy", kind="word"),
        },
        shots=shots,
        galleries=galleries,
        galleries_title="By reason",
        galleries_text="Each picture is the patch of an image that lies farthest beyond the limit, at true pixels.",
        listings=listings,
        listings_title="Not looked at",
        settings=[("root", str(root)), ("patch", table.meta.get("patch")), ("stride", table.meta.get("stride")),
                  *((f"{t.column}, of an image", t.of_image_in_words()) for t in THRESHOLDS),
                  *((f"{t.column}, of a patch", t.of_patch_in_words()) for t in THRESHOLDS if t.patch is not None)],
        settings_text="From these values on a column counts.",
    )  # fmt: skip


def _joined(table: ScoreTable) -> list[str]:
    """The joined numeric columns, such as ``influence``, of which the mean of an image is shown."""
    known = {*SCHEMA.names, *(d.name for d in DEFECTS), SHRINK}
    return [f.name for f in table.table.schema if f.name not in known and pa.types.is_floating(f.type)]


def _worst(limit: Threshold | None, verdict: Verdict) -> Any:
    if limit is None:
        return verdict.image
    value = verdict.values.get(limit.column, math.nan)
    return value if limit.low else -value


def _of_row(table: ScoreTable, limit: Threshold | None, part: tuple[int, Verdict]) -> float:
    row = part[0]
    if limit is None:
        return float(row)
    value = table.table.column(limit.column)[row].as_py()
    return float(value if limit.low else -value)


def _rows(table: ScoreTable) -> dict[str, tuple[int, int]]:
    """The first row and the one past the last of each image."""
    names, codes = coded(table.table.column("image"))
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return {names[codes[a]]: (a, b) for a, b in pairwise(edges) if b > a}


def _shots(
    wanted: list[tuple[str, str, list[tuple[str, int | None]]]], verdicts: Mapping[str, Verdict], table: ScoreTable,
    root: Path, rows: dict[str, tuple[int, int]], limits: dict[str, Threshold],
) -> tuple[list[Shot], list[Gallery]]:  # fmt: skip
    places = {n: table.column(n) for n in ("x", "y", "size")}
    values = {c.name: table.table.column(c.name) for c in DEFECTS if c.name in table.columns}
    joined = {name: table.table.column(name) for name in _joined(table)}
    jobs: dict[str, list[tuple[int, int | None]]] = {}  # by image: number of the shot, row to show
    shots: list[Shot | None] = []
    groups: dict[str, list[Group]] = {}
    about: list[tuple[str, str, int | None, int | None]] = []
    for reason, caption, entries in wanted:
        numbers = []
        for image, row in entries:
            shown = row if row is not None else _farthest(values, rows.get(image), limits.get(reason))
            numbers.append(len(about))
            jobs.setdefault(image, []).append((len(about), shown))
            about.append((reason, image, row, shown))
        groups.setdefault(reason, []).append(Group(caption, numbers))
    shots = [None] * len(about)
    blank: list[str] = []
    for image, cuts in jobs.items():
        try:
            pixels = read_rgb(root / image)
        except (InputError, RunError, OSError) as error:
            pixels = None
            if verdicts[image].verdict != "unreadable":  # which its gallery says
                blank.append(str(error))
        for number, shown in cuts:
            reason, _, row, _ = about[number]
            verdict = verdicts[image]
            of = {k: _plain(v[row].as_py()) for k, v in values.items()} if row is not None else {
                k: _plain(m) for k, m in verdict.values.items()
            }  # fmt: skip
            begin, end = (row, row + 1) if row is not None else rows.get(image, (0, 0))
            for name, column in joined.items():
                mean = pc.mean(column.slice(begin, end - begin)).as_py()
                of[name] = None if mean is None or not math.isfinite(mean) else float(f"{mean:.4g}")
            first: dict[str, Any] = {reason: of[reason]} if reason in of else {}
            if verdict.keep_instead and row is None:
                first["keep_instead"] = verdict.keep_instead
            pictures = (
                {}
                if pixels is None
                else {
                    "hr": _cut(
                        pixels,
                        *((int(places[n][shown]) for n in ("x", "y", "size")) if shown is not None else (0, 0, SIDE)),
                    )
                }
            )
            place: dict[str, Any] = {} if row is None else {n: int(places[n][row]) for n in ("x", "y", "size")}
            if pixels is not None and row is None:
                pictures["whole"] = _whole(pixels)
            why = f"{'; '.join(verdict.reasons)}" if row is None else reason
            shots[number] = Shot(
                image, **place, values={**first, **of}, pictures=pictures, status="dropped", why=f"Left out: {why}."
            )
    if blank:
        log.warning("pictures cannot be shown of %d images: %s", len(blank), blank[0])
    galleries = [Gallery(reason, TITLES[reason], made, reason) for reason, made in groups.items()]
    return [s for s in shots if s is not None], galleries


def _farthest(values: dict[str, Any], span: tuple[int, int] | None, limit: Threshold | None) -> int | None:
    """The row of an image that shows a reason best."""
    if span is None:
        return None
    if limit is None or limit.column not in values:
        return (span[0] + span[1]) // 2
    found = [
        v if v is not None else math.nan for v in values[limit.column].slice(span[0], span[1] - span[0]).to_pylist()
    ]
    if np.isnan(found).all():
        return span[0]
    return span[0] + int(np.nanargmin(found) if limit.low else np.nanargmax(found))


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)


def _cut(pixels: np.ndarray, x: int, y: int, size: int) -> bytes:
    side = min(size, SIDE)
    return _file(pixels[y : y + side, x : x + side])


def _whole(pixels: np.ndarray) -> bytes:
    picture = Image.fromarray(pixels)
    picture.thumbnail((320, 320))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def _file(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()
