"""The content of the report: a score table, the core-set selected from it, and pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from srfast.report.content import Content, Fact, Listing, Shot, Value, count, number, percent, psnr
from srfast.report.decision import decided, known
from srfast.report.explorer import columns, explorer, wanted
from srfast.report.pictures import Cut, cut
from srfast.report.scores import DROPPED, KEPT, ReportScores
from srfast.scoring.metadata import PASSED, encode_meta, missing_shards, reduced

_LISTED = 200
_SAID = {
    "max_per_image": "most of one image",
    "drop_hardest": "share dropped first as the hardest",
    "dropped_hardest": "patches dropped as the hardest",
    "patches": "patches to choose from",
    "passing": "patches that meet the condition",
    "where": "condition",
    "window": "range of ranks",
    "flat_floor": "share of the easiest always kept",
    "per_image": "quota of an image",
    "nms": "largest overlap of two kept",
    "short": "fewer than requested",
    "keep": "share to keep",
    "keep_loss": "share of the error to keep",
}
_LOSS = (
    "A loss is the mean over the patch of (SR − HR)² on Y, the BT.601 luma (16 to 235), in units of [0, 255]². PSNR is "
    "10 log₁₀(255² / loss) of the same pixels, borders included."
)


def report(scores: ReportScores, source: Sequence[str] = ("scores.parquet",), *, pictures: bool = True) -> Content:
    """The content that ``srfast report`` shows; the same scores and source images give the same content. ``source`` are
    the files of the table, for the commands that the page shows; without ``pictures`` a server must provide them."""
    made = cut(scores, wanted(scores)) if pictures else Cut()
    rows = np.array(list(made.patches), dtype=np.int64)
    return Content(
        kind="report",
        title=_title(scores),
        lede=lede(scores),
        checksum=checksum(scores),
        facts=_facts(scores),
        decision=decided(scores, scores.decision) if pictures else [],
        known=known(scores.decision),
        columns=columns(scores),
        shots=[shot(scores, row, made) for row in rows.tolist()],
        listings=_listings(scores),
        settings=_settings(scores),
        settings_text=_LOSS,
        explorer=explorer(scores, rows, made.sizes, source),
        wholes=made.wholes,
    )


def checksum(scores: ReportScores) -> str:
    """Identifies the table by its metadata and losses; the core-set does not count."""
    digest = hashlib.sha256(encode_meta({k: v for k, v in scores.meta.items() if k != "root"}))
    digest.update(np.ascontiguousarray(scores.loss, "<f4").data)
    return digest.hexdigest()[:16]


def shot(scores: ReportScores, row: int, pictures: Cut, values: Mapping[str, np.ndarray] | None = None) -> Shot:
    """One row with its pictures, and its values in these columns."""
    return Shot(
        scores.images[scores.code[row]],
        int(scores.x[row]),
        int(scores.y[row]),
        int(scores.size[row]),
        values={name: float(column[row]) for name, column in (values or {}).items()},
        pictures=pictures.patches[row],
        note=pictures.notes.get(row, ""),
    )


def lede(scores: ReportScores) -> str:
    """One sentence on what was scored, and how."""
    meta = scores.meta
    sizes = np.unique(scores.size)
    size = f"{sizes[0]} × {sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    scorer = meta.get("scorer") or {}
    name = scorer.get("name", "?") if isinstance(scorer, dict) else scorer
    known = {"srcnn": "SRCNN", "bicubic": "bicubic up-sampling"}
    return (
        f"{count(len(scores), 'patch')} of {size} pixels from {count(len(scores.images), 'image')}, scored at "
        f"×{meta.get('scale', '?')} by {known.get(str(name), str(name))} in {meta.get('mode', '?')} mode."
    )


def _title(scores: ReportScores) -> str:
    n = len(scores)
    return f"{count(n, 'patch')} scored" if scores.status is None else f"{scores.count(KEPT):,} of {n:,} patches kept"


def _facts(scores: ReportScores) -> list[Fact]:
    n, ranked = len(scores), scores.ranked
    median = (float(ranked[(n - 1) // 2]) + float(ranked[n // 2])) / 2
    facts = [
        Fact("Median loss", number(median), f"{psnr(median)} dB"),
        Fact("Half of the error", percent(scores.half_of_error), "of the patches hold it, hardest first"),
    ]
    if scores.status is None:
        spread = f"{number(scores.ranked[-1])} to {number(scores.ranked[0])}"
        images = Fact("Images", f"{len(scores.images):,}")
        return [images, *facts, Fact("Range of the loss", spread, "easiest to hardest")]
    held = []
    for status, term in ((KEPT, "Kept"), (DROPPED, "Dropped as the hardest")):
        if status == KEPT or scores.count(status):
            note = f"of all patches, {percent(scores.share_of_error(status))} of all error"
            note += ", what is left out included" if scores.decision else ""
            held.append(Fact(term, percent(scores.count(status), n), note))
    used = int(np.count_nonzero(scores.per_image.kept))
    return [*held, Fact("Images in the core-set", f"{used:,}", f"of {len(scores.images):,}"), *facts]


def _listings(scores: ReportScores) -> list[Listing]:
    """Images that could not be read or hold no patch."""
    listings = []
    for key, title, text in (
        ("skipped", "Skipped", "These files could not be read as images."),
        ("small", "Too small", "These images are smaller than one patch."),
    ):
        if entries := [_named(entry) for entry in scores.meta.get(key) or []]:
            more = f" The first {_LISTED:,} are named." if len(entries) > _LISTED else ""
            listings.append(Listing(f"{title}: {count(len(entries), 'file')}", text + more, entries[:_LISTED]))
    listings += passed_over(scores.meta)
    if missing := missing_shards([scores.meta]):
        shards = [(f"{i}/{n}", "") for i, n in missing[:_LISTED]]
        listings.append(Listing(f"Missing: {count(len(missing), 'shard')}", "Their images are left out.", shards))
    rejected = scores.selection.get("rejected")
    if isinstance(rejected, dict) and rejected:
        text = "Before anything was selected, by --clean and --reject; a patch may have several reasons."
        entries = [(str(reason), count(n, "patch")) for reason, n in rejected.items() if isinstance(n, int)]
        listings.append(Listing("Left out by reason", text, entries))
    return listings or [Listing("", "Every image was read, and none is smaller than a patch.", [])]


def passed_over(meta: Mapping[str, Any]) -> list[Listing]:
    """The files that scoring passed over, by suffix, and what reading left out; empty if there was neither."""
    counts = meta.get(PASSED) or {}
    entries = [(suffix or "no suffix", count(n, "file")) for suffix, n in sorted(counts.items())][:_LISTED]
    title = f"Passed over: {count(sum(counts.values()), 'file')}"
    listings = [Listing(title, "By their suffixes, these are of no format that is read.", entries)] if counts else []
    said = {"alpha": "alpha channel", "bits": "all but the high 8 bits"}
    lost = [(said[word], count(n, "image")) for word, n in reduced(meta).items()]
    text = "Images are read as 8-bit RGB, as trainers read them."
    return listings + ([Listing("Left out of the pixels", text, lost)] if lost else [])


def _named(entry: Mapping[str, Any]) -> tuple[str, str]:
    note = entry.get("reason")
    if note is None and "width" in entry and "height" in entry:
        note = f"{entry['width']} × {entry['height']}"
    return entry["image"], str(note or "")


def _settings(scores: ReportScores) -> list[tuple[str, Value]]:
    """The settings, word for word from the metadata of both tables."""
    meta = scores.meta
    scorer = meta.get("scorer")
    scorer = scorer if isinstance(scorer, dict) else {"name": scorer}
    known = ("root", "scale", "patch", "stride", "mode", "precision", "boundary")
    rows = [(name.capitalize(), meta.get(name)) for name in known]
    rows += [("Scorer", scorer.get("name")), ("Weights, SHA-256", scorer.get("sha256"))]
    rows += [(f"Selection: {_SAID.get(k, k.replace('_', ' '))}", v) for k, v in scores.selection.items()]
    return [(name, str(value)) for name, value in rows if value is not None]
