"""The page of an audit: galleries by reason, worst first."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from srfast.coreset.limits import by_image
from srfast.coreset.rejects import REASONS
from srfast.data.images import read_rgb
from srfast.data.shrink import COLUMN as SHRINK
from srfast.data.shrink import factors, shrunk
from srfast.data.thumbnails import encoded, reduced
from srfast.errors import InputError, RunError
from srfast.report.content import ColumnLabel, Content, Fact, Gallery, Listing, Shot, ShotGroup, count
from srfast.report.explorer import label
from srfast.report.report import passed_over
from srfast.scoring.defect_columns import DEFECTS, THRESHOLDS, Threshold
from srfast.scoring.table import SCHEMA, ScoreTable

if TYPE_CHECKING:
    from srfast.workflows.verdicts import Verdict

log = logging.getLogger(__name__)

MANY = 16
"""Largest number of images in a group, and of patches of images that are kept."""
SIDE = 128
"""Longest side in pixels of what is shown, cut out at true pixels."""
TITLES = {d.name: d.title for d in DEFECTS if d.title} | {name: reason.title for name, reason in REASONS.items()}
THUMBNAIL = 200
"""Longest side in pixels of a whole image."""

KINDS = ("keep", "shrink", "reject", "unreadable")
PICTURED = 500
"""Largest number of images that are shown with pictures."""


def audit_page(
    verdicts: Mapping[str, Verdict], table: ScoreTable, root: Path, listed: Sequence[Sequence[Any]] = ()
) -> Content:
    """The content of the page, with the rows of the list of rejects, the columns first. Every image that it shows is
    read once more."""
    limits = {t.column: t for t in THRESHOLDS}
    judged = [v for v in verdicts.values() if v.reasons and v.verdict != "unreadable" and "small" not in v.reasons]
    order = {reason: i for i, reason in enumerate(TITLES)}
    judged.sort(key=lambda v: (order.get(v.reasons[0], len(order)), _worst(limits.get(v.reasons[0]), v)))
    wanted: list[tuple[str, str, int | None]] = [(v.reasons[0], v.image, None) for v in judged]
    galleries = []
    for reason, title in TITLES.items():
        parts = [(row, v.image) for v in verdicts.values() if v.taken for row in v.patches.get(reason, ())]
        if parts:
            parts.sort(key=partial(_of_row, table, limits.get(reason)))
            extra = f", the worst {MANY} of them" if len(parts) > MANY else ""
            caption = f"{count(len(parts), 'patch')} of images that are kept{extra}."
            shown = range(len(wanted), len(wanted) + len(parts[:MANY]))
            galleries.append(Gallery(reason, title, [ShotGroup(caption, shown)], reason))
            wanted += [(reason, image, row) for row, image in parts[:MANY]]
    shots = _shots(wanted, verdicts, table, root, limits)
    unreadable = [(v.image, v.said) for v in verdicts.values() if v.verdict == "unreadable"]
    small = [(v.image, v.said) for v in verdicts.values() if "small" in v.reasons]
    counts = {kind: sum(v.verdict == kind for v in verdicts.values()) for kind in KINDS}
    listings = [
        Listing("Unreadable", "Files that cannot be decoded.", unreadable),
        Listing("Small", f"Smaller than a patch of {table.meta.get('patch')} pixels.", small),
    ]
    listings = [listing for listing in listings if listing.entries] + passed_over(table.meta)
    return Content(
        kind="audit",
        title=f"Audit of {root.name or root}",
        lede="The defects of these images, and what to do with each. Nothing was moved or deleted: rejects.csv "
        "lists what is left out, and holds what you change here.",
        checksum=hashlib.sha256("\n".join(sorted(table.meta.get("images", {}))).encode()).hexdigest()[:16],
        facts=[
            Fact("Images", f"{len(verdicts):,}", f"{len(table):,} patches"),
            Fact("Kept", f"{counts['keep']:,}"),
            *([Fact("Taken smaller", f"{counts['shrink']:,}")] if counts["shrink"] else []),
            Fact("Rejected", f"{counts['reject']:,}"),
            *([Fact("Unreadable", f"{counts['unreadable']:,}")] if unreadable else []),
        ],
        columns={
            **{c.name: label(c.name) for c in DEFECTS if c.name in table.columns},
            **{name: ColumnLabel(name) for name in _joined(table)},
            "keep_instead": ColumnLabel("better copy", kind="word"),
        },
        shots=shots,
        galleries=galleries,
        galleries_title="Patches of images that are kept",
        galleries_text="These patches are left out by themselves, at true pixels.",
        verdicts=[_judged(i, v) for i, v in enumerate(judged)],
        listed=listed,
        reasons={reason: _in_words(reason, limits) for reason in TITLES if any(reason in v.reasons for v in judged)},
        listings=listings,
        listings_title="Not looked at",
        settings=[("root", str(root)), ("patch", table.meta.get("patch")), ("stride", table.meta.get("stride")),
                  *((f"{t.column}, of an image", t.of_image_in_words()) for t in THRESHOLDS),
                  *((f"{t.column}, of a patch", t.of_patch_in_words()) for t in THRESHOLDS if t.patch is not None)],
        settings_text="An image or a patch that reaches a value is left out. The mean is that of the image's patches.",
    )  # fmt: skip


def _judged(shot: int, verdict: Verdict) -> dict[str, Any]:
    """The fields of a verdict for the page's script; ``shot`` is the number of the image's pictures."""
    return {
        "shot": shot, "verdict": verdict.verdict, "size": verdict.size if verdict.verdict == "shrink" else "1/2",
        "reasons": verdict.reasons, "instead": verdict.keep_instead,
    }  # fmt: skip


def _in_words(reason: str, limits: Mapping[str, Threshold]) -> str:
    """The reasons for which an image is left out."""
    if reason not in limits:
        return REASONS[reason].means
    column = next(d for d in DEFECTS if d.name == reason)
    limit = limits[reason].of_image_in_words().replace(">=", "at least").replace("<=", "at most")
    return f"{column.label}: {limit}" + (f" ({column.unit})" if column.unit else "")


def _joined(table: ScoreTable) -> list[str]:
    """The joined numeric columns, such as ``influence``, of which the mean of an image is shown."""
    known = {*SCHEMA.names, *(d.name for d in DEFECTS), SHRINK}
    return [f.name for f in table.table.schema if f.name not in known and pa.types.is_floating(f.type)]


def _worst(limit: Threshold | None, verdict: Verdict) -> Any:
    if limit is None:
        return verdict.image
    value = verdict.values.get(limit.column, math.nan)
    return value if limit.low else -value


def _of_row(table: ScoreTable, limit: Threshold | None, part: tuple[int, str]) -> float:
    value = part[0] if limit is None else table.column(limit.column)[part[0]]
    return -float(value) if limit is not None and not limit.low else float(value)


def _shots(
    wanted: Sequence[tuple[str, str, int | None]], verdicts: Mapping[str, Verdict], table: ScoreTable, root: Path,
    limits: Mapping[str, Threshold],
) -> list[Shot]:  # fmt: skip
    """Shots of a row of an image, or of the whole image and its worst patch, for a reason. Each image is read once."""
    rows_of = by_image(table)
    factor = factors(table.table, table.meta)
    defects = [d.name for d in DEFECTS if d.name in table.columns]
    columns = {name: table.column(name) for name in ("x", "y", "size", *_joined(table), *defects)}
    numbers: dict[str, list[int]] = {}
    for number, (_, image, _) in enumerate(wanted):
        numbers.setdefault(image, []).append(number)
    whole = sum(row is None for _, _, row in wanted)
    shots: dict[int, Shot] = {}
    blank: list[str] = []
    for image, of_image in numbers.items():
        verdict, rows, pixels = verdicts[image], rows_of.get(image, np.empty(0, np.int64)), None
        try:
            if of_image[0] < PICTURED or of_image[-1] >= whole:
                pixels = read_rgb(root / image)
        except (InputError, RunError, OSError) as error:
            blank.append(str(error))
        for number in of_image:
            reason, _, row = wanted[number]
            measured = verdict.values if row is None else {n: columns[n][row] for n in defects}
            of = {name: _plain(value) for name, value in measured.items()}
            for name in _joined(table):
                mean = float(np.mean(columns[name][rows if row is None else [row]], dtype=np.float64))
                of[name] = float(f"{mean:.4g}") if math.isfinite(mean) else None
            first: dict[str, Any] = {reason: of[reason]} if reason in of else {}
            place: dict[str, Any] = {}
            if row is not None:
                place = {name: int(columns[name][row]) for name in ("x", "y", "size")}
            elif verdict.keep_instead:
                first["keep_instead"] = verdict.keep_instead
            pictures = {}
            if pixels is not None:
                shown = _farthest(columns, rows, limits.get(reason)) if row is None else row
                pictures = {"hr": _cut(pixels, columns, factor, shown)}
                pictures |= {"whole": reduced(pixels, THUMBNAIL)} if row is None else {}
            why = "; ".join(verdict.reasons) if row is None else reason
            shots[number] = Shot(
                image, **place, values={**first, **of}, pictures=pictures, status="dropped", why=f"Left out: {why}."
            )
    if blank:
        log.warning("pictures cannot be shown of %d images: %s", len(blank), blank[0])
    return [shots[number] for number in range(len(wanted))]


def _farthest(columns: Mapping[str, np.ndarray], rows: np.ndarray, limit: Threshold | None) -> int | None:
    """The row of an image, of these rows, that shows a reason best."""
    if not len(rows):
        return None
    if limit is None or limit.column not in columns:
        return int((rows[0] + rows[-1] + 1) // 2)
    values = np.where(limit.low, -1, 1) * columns[limit.column][rows]
    return int(rows[np.argmax(np.nan_to_num(values, nan=-np.inf))])


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 3)


def _cut(pixels: np.ndarray, columns: Mapping[str, np.ndarray], factor: np.ndarray, row: int | None) -> bytes:
    """The beginning of a patch at true pixels, or of the image if it has none."""
    x, y, side = (0, 0, SIDE) if row is None else (int(columns[n][row]) for n in ("x", "y", "size"))
    side = min(side, SIDE)
    pixels = pixels if row is None else shrunk(pixels, float(factor[row]))
    return encoded(pixels[y : y + side, x : x + side])
