"""The page of an audit: galleries by reason, worst first."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from srfast.coreset.rejects import REASONS
from srfast.data.images import read_rgb
from srfast.data.shrink import COLUMN as SHRINK
from srfast.data.shrink import factors, shrunk
from srfast.errors import InputError, RunError
from srfast.report.content import ColumnLabel, Content, Fact, Gallery, Listing, Shot, ShotGroup, count
from srfast.report.explorer import label
from srfast.report.pictures import encoded, reduced
from srfast.report.report import passed_over
from srfast.scoring.defect_columns import DEFECTS, THRESHOLDS, Threshold
from srfast.scoring.rows import coded
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
    rows = _rows(table)
    judged = [v for v in verdicts.values() if v.reasons and v.verdict != "unreadable" and "small" not in v.reasons]
    order = {reason: i for i, reason in enumerate(TITLES)}
    judged.sort(key=lambda v: (order.get(v.reasons[0], len(order)), _worst(limits.get(v.reasons[0]), v)))
    wanted: list[tuple[str, str, list[tuple[str, int | None]]]] = []  # reason, caption, (image, row) or whole image
    wanted += [(v.reasons[0], "", [(v.image, None)]) for v in judged]
    for reason in TITLES:
        parts = [(row, v) for v in verdicts.values() if v.taken for row in v.patches.get(reason, ())]
        if parts:
            parts.sort(key=partial(_of_row, table, limits.get(reason)))
            extra = f", the worst {MANY} of them" if len(parts) > MANY else ""
            caption = f"{count(len(parts), 'patch')} of images that are kept{extra}."
            wanted.append((reason, caption, [(v.image, row) for row, v in parts[:MANY]]))
    shots, galleries = _shots(wanted, verdicts, table, root, rows, limits)
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
    wanted: list[tuple[str, str, list[tuple[str, int | None]]]], verdicts: Mapping[str, Verdict],
    table: ScoreTable, root: Path, rows: dict[str, tuple[int, int]], limits: dict[str, Threshold],
) -> tuple[list[Shot], list[Gallery]]:  # fmt: skip
    places = {n: table.column(n) for n in ("x", "y", "size")}
    values = {c.name: table.table.column(c.name) for c in DEFECTS if c.name in table.columns}
    joined = {name: table.table.column(name) for name in _joined(table)}
    jobs: dict[str, list[tuple[int, int | None]]] = {}  # by image: number of the shot, row to show
    groups: dict[str, list[ShotGroup]] = {}
    about: list[tuple[str, str, int | None, int | None]] = []
    for reason, caption, entries in wanted:
        numbers = []
        for image, row in entries:
            shown = row if row is not None else _farthest(values, rows.get(image), limits.get(reason))
            numbers.append(len(about))
            jobs.setdefault(image, []).append((len(about), shown))
            about.append((reason, image, row, shown))
        if caption:
            groups.setdefault(reason, []).append(ShotGroup(caption, numbers))
    shots: dict[int, Shot] = {}
    whole = sum(row is None for _, _, row, _ in about)
    blank: list[str] = []
    factor = factors(table.table, table.meta)
    for image, cuts in jobs.items():
        try:
            pixels = read_rgb(root / image) if cuts[0][0] < PICTURED or cuts[-1][0] >= whole else None
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
            pictures = {}
            if pixels is not None:
                cut = pixels if shown is None else shrunk(pixels, float(factor[shown]))
                at = [0, 0, SIDE] if shown is None else [int(column[shown]) for column in places.values()]
                pictures = {"hr": _cut(cut, *at), **({"whole": reduced(pixels, THUMBNAIL)} if row is None else {})}
            place: dict[str, Any] = {} if row is None else {n: int(column[row]) for n, column in places.items()}
            why = f"{'; '.join(verdict.reasons)}" if row is None else reason
            shots[number] = Shot(
                image, **place, values={**first, **of}, pictures=pictures, status="dropped", why=f"Left out: {why}."
            )
    if blank:
        log.warning("pictures cannot be shown of %d images: %s", len(blank), blank[0])
    galleries = [Gallery(reason, TITLES[reason], made, reason) for reason, made in groups.items()]
    return [shots[number] for number in range(len(about))], galleries


def _farthest(values: dict[str, Any], span: tuple[int, int] | None, limit: Threshold | None) -> int | None:
    """The row of an image that shows a reason best."""
    if span is None:
        return None
    if limit is None or limit.column not in values:
        return (span[0] + span[1]) // 2
    measured = values[limit.column].slice(span[0], span[1] - span[0]).to_pylist()
    numbers = [math.nan if v is None else v for v in measured]
    if np.isnan(numbers).all():
        return span[0]
    return span[0] + int(np.nanargmin(numbers) if limit.low else np.nanargmax(numbers))


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)


def _cut(pixels: np.ndarray, x: int, y: int, size: int) -> bytes:
    side = min(size, SIDE)
    return encoded(pixels[y : y + side, x : x + side])
