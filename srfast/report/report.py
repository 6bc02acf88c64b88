"""The content of the report: a score table, the core-set selected from it, and pictures."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from srfast.coreset.settings import COUNTS, Selection
from srfast.data.shrink import shrunk
from srfast.data.thumbnails import encoded, reduced
from srfast.report.content import Content, Fact, Listing, Part, Picture, Shot, Value, count, number, percent, psnr
from srfast.report.explorer import columns, explorer, wanted
from srfast.report.pictures import GONE, Cut, cut, patch, source
from srfast.report.scores import KEPT, ReportScores
from srfast.scoring.metadata import PASSED, encode_meta, missing_shards
from srfast.scoring.metadata import reduced as lost_in_reading

log = logging.getLogger(__name__)

_LISTED = 200
_SAID = {
    **{name: f.metadata["said"] for name, f in Selection.__dataclass_fields__.items() if "said" in f.metadata},
    **COUNTS,
    "short": "fewer than requested",
}
_TERMS = {"kept": "Kept", "dropped": "Dropped as the hardest"}
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
    name = str((meta.get("scorer") or {}).get("name", "?"))
    known = {"srcnn": "SRCNN", "bicubic": "bicubic up-sampling"}
    return (
        f"{count(len(scores), 'patch')} of {size} pixels from {count(len(scores.images), 'image')}, scored at "
        f"×{meta.get('scale', '?')} by {known.get(name, name)} in {meta.get('mode', '?')} mode."
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
    for word, part in scores.held(scores.status).items():
        if word == "kept" or (word == "dropped" and part["patches"]):
            note = f"of all patches, {percent(part['error'])} of all error"
            note += ", what is left out included" if scores.decision else ""
            held.append(Fact(_TERMS[word], percent(part["patches"], n), note))
    used = int(np.count_nonzero(scores.per_image["kept"]))
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
    lost = [(said[word], count(n, "image")) for word, n in lost_in_reading(meta).items()]
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
    scorer = meta.get("scorer") or {}
    known = ("root", "scale", "patch", "stride", "mode", "precision", "boundary")
    rows = [(name.capitalize(), meta.get(name)) for name in known]
    rows += [("Scorer", scorer.get("name")), ("Weights, SHA-256", scorer.get("sha256"))]
    rows += [(f"Selection: {_SAID.get(k, k.replace('_', ' '))}", v) for k, v in scores.selection.items()]
    return [(name, str(value)) for name, value in rows if value is not None]


PARTS = {"left_out": "Left out", "sizes": "Sizes", "ratio": "How much"}
"""Part of a recommendation -> its heading."""
MANY = 6
"""Largest number of pictures of images that are left out."""
KNOWN = {
    "large": "132 large, soft images: what this rule keeps was 0.24 dB [0.19, 0.29] ahead of all patches, and the "
    "hardest tenth after every image was halved (--shrink 1/2 --keep 0.1 --no-clean) 0.30 dB [0.24, 0.36] (FSRCNN, "
    "1,951 updates, BSD100).",
    "collected": "two folders of 348 and 420 pictures of all kinds, which had no part in the choice of this rule: what "
    "it keeps was 0.27 dB [0.23, 0.32] ahead of all patches (FSRCNN, 1,951 updates, BSD100).",
    "degraded": "400 photographs, 60 % of them degraded: what this rule keeps was 0.17 dB [0.13, 0.21] ahead of all "
    "patches, as far as the hardest half of the clean ones (FSRCNN, 1,951 updates, BSD100).",
    "sharp": "400 small, sharp photographs: what this rule keeps was 0.05 dB [0.01, 0.08] ahead of all patches, as far "
    "as the hardest half (FSRCNN, 1,951 updates, BSD100).",
}
"""The results measured on pools of a kind, with a 95 % confidence interval; docs/will-it-help.md has the studies."""


def decided(scores: ReportScores, decision: Any) -> list[Part]:
    """The parts with their pictures; none if there is no decision, or what the metadata hold is none."""
    if not _is_decision(decision):
        return []
    pictures = {"left_out": _left_out(scores, decision), "sizes": _sizes(scores, decision), "ratio": _border(scores)}
    return [Part(title, decision[name]["sentence"], pictures[name]) for name, title in PARTS.items()]


def known(decision: Any) -> str:
    """The studies' result for pools like this one, as a sentence; empty if there is no decision."""
    if not _is_decision(decision):
        return ""
    out, sizes, ratio = (decision[name]["figures"] for name in PARTS)
    of = KNOWN.get(kind(out, sizes, ratio))
    return f"The nearest of the studied pools, {of}" if of else "Pools of large, sharp images were not studied."


def kind(out: Mapping[str, Any], sizes: Mapping[str, Any], ratio: Mapping[str, Any]) -> str:
    """The studied kind of pool that is most like one, by the figures of its decision: a name in ``KNOWN``, or "" for
    large, sharp images.

    The bounds lie between those of the studied pools; they were chosen afterwards, to name a kind.
    """
    given = (out, "left_out"), (sizes, "taken_smaller"), (ratio, "patches"), (out, "images")
    left_out, smaller, patches, images = (_count_or_zero(figures.get(name)) for figures, name in given)
    n = max(1, images)
    large = patches >= 400 * n
    if 3 * smaller >= n:
        return "large" if large else "degraded"
    if 4 * left_out >= n:
        return "degraded"
    if 10 * (left_out + smaller) >= n:
        return "collected"
    return "" if large else "sharp"


def _is_decision(decision: Any) -> bool:
    parts = [decision.get(name) for name in PARTS] if isinstance(decision, Mapping) else [None]
    return all(
        isinstance(p, Mapping) and isinstance(p.get("sentence"), str) and isinstance(p.get("figures"), Mapping)
        for p in parts
    )


def _count_or_zero(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0


def _examples(scores: ReportScores, decision: Mapping[str, Any], part: str) -> list[tuple[int, str]]:
    """The images that a part names as examples, as their index, and what it says of each."""
    index = {name: i for i, name in enumerate(scores.images)}
    listed = decision[part]["figures"].get("examples")
    entries = [e for e in listed if isinstance(e, (list, tuple)) and len(e) == 2] if isinstance(listed, list) else []
    return [(index[name], str(said)) for name, said in entries if isinstance(name, str) and name in index][:MANY]


def _pixels(scores: ReportScores, image: int) -> np.ndarray | None:
    """An image of the table; None if it cannot be shown. That it is gone is said with the page's other pictures."""
    pixels, why = source(scores, image)
    if pixels is None and why != GONE:
        log.warning("pictures cannot be shown of %s: %s", scores.images[image], why)
    return pixels


def _left_out(scores: ReportScores, decision: Mapping[str, Any]) -> list[Picture]:
    examples = _examples(scores, decision, "left_out")
    shown = [(_pixels(scores, image), f"{scores.images[image]}: {reason}") for image, reason in examples]
    return [Picture(reduced(pixels, 160), said) for pixels, said in shown if pixels is not None]


def _sizes(scores: ReportScores, decision: Mapping[str, Any]) -> list[Picture]:
    """The hardest place of an image that is taken smaller, at full size and at the largest that is taken."""
    for image, size in _examples(scores, decision, "sizes"):
        rows = np.flatnonzero(scores.code == image)
        factor = float(scores.factor[rows].max())
        rows = rows[scores.factor[rows] == factor]
        row = int(rows[np.argmax(scores.loss[rows])])
        pixels = _pixels(scores, image)
        if pixels is None:
            continue
        side, x, y = int(scores.size[row]), int(scores.x[row]), int(scores.y[row])
        small = shrunk(pixels, factor)[y : y + side, x : x + side]
        middle = [round((c + side / 2) / factor) for c in (y, x)]
        top, left = (max(0, min(c - side // 2, n - side)) for c, n in zip(middle, pixels.shape[:2], strict=True))
        whole = pixels[top : top + side, left : left + side]
        name = scores.images[image]
        return [Picture(encoded(whole), f"{name}, full size"), Picture(encoded(small), f"the same place at {size}")]
    return []


def _border(scores: ReportScores) -> list[Picture]:
    """The hardest patches that are kept, the last ones, and the hardest that are not."""
    if scores.status is None:
        return []
    kept = scores.order[scores.status[scores.order] == KEPT]
    if not len(kept):
        return []
    others = scores.order[scores.status[scores.order] != KEPT]
    after = others[scores.rank[others] > scores.rank[kept[-1]]]
    pictures = []
    for caption, rows in (("hardest kept", kept[:2]), ("last kept", kept[-2:]), ("first not kept", after[:2])):
        for row in rows.tolist():
            pixels = _pixels(scores, int(scores.code[row]))
            if pixels is not None:
                seen, _ = patch(shrunk(pixels, float(scores.factor[row])), scores, row, alone=True)
                said = f"{caption}, loss {number(float(scores.loss[row]))}"
                pictures += [Picture(hr, said) for hr in seen.values()]
    return pictures
