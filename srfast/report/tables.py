"""The tables of the report: per-image counts, what was not scored, the settings."""

from __future__ import annotations

from typing import Any

import numpy as np

from srfast.report.scores import KEPT, Scores
from srfast.report.text import count, escape, percent

_EACH_END = 200
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
    "short": "fewer than asked for",
    "keep": "share to keep",
}


def images_table(scores: Scores) -> str:
    """Patches, kept, mean and largest loss per image; of the 200 at either end where there are over 400."""
    stats, n = scores.per_image, len(scores.images)
    ordered = np.argsort(-stats.mean, kind="stable").tolist()
    shown = ordered if n <= 2 * _EACH_END else ordered[:_EACH_END] + ordered[-_EACH_END:]
    selected = scores.status is not None
    dropped = bool(stats.dropped.any())
    heads = [("Image", False), ("Patches", True)]
    heads += [("Dropped", True)] if dropped else []
    heads += [("Kept", True), ("Share kept", True)] if selected else []
    heads += [("Mean loss", True), ("Largest loss", True)]
    digits = 1 if stats.largest.max() >= 1000 else 2
    rows = []
    for position, i in enumerate(shown):
        gap = ' class="gap"' if n > 2 * _EACH_END and position == _EACH_END else ""
        name = escape(scores.images[i])
        cells = f'<th scope="row" title="{name}">{name}</th><td>{stats.patches[i]:,}</td>'
        cells += f"<td>{stats.dropped[i]:,}</td>" if dropped else ""
        if selected:
            share = stats.kept[i] / stats.patches[i]
            cells += (
                f'<td>{stats.kept[i]:,}</td><td data-v="{share:.6f}"><span class="bar" '
                f'style="--share:{share:.3f}"></span>{percent(share)}</td>'
            )
        cells += f"<td>{stats.mean[i]:,.{digits}f}</td><td>{stats.largest[i]:,.{digits}f}</td>"
        rows.append(f"<tr{gap}>{cells}</tr>")
    total = f'<th scope="row">All {n:,}</th><td>{len(scores):,}</td>' if n > 1 else ""
    if total and dropped:
        total += f"<td>{int(stats.dropped.sum()):,}</td>"
    if total and selected:
        total += f"<td>{scores.count(KEPT):,}</td><td>{percent(scores.count(KEPT), len(scores))}</td>"
    if total:
        total += f"<td>{scores.loss.mean():,.{digits}f}</td><td>{scores.loss.max():,.{digits}f}</td>"
    buttons = "".join(f'<th scope="col"{_sorted(name)}><button type="button">{name}</button></th>' for name, _ in heads)
    some = (
        ""
        if len(shown) == n
        else f" Of {n:,} images, the {_EACH_END} with the highest and the {_EACH_END} with the lowest mean."
    )
    return (
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Counts per image">'
        '<table class="sortable">'
        f"<caption>Counts per image, highest mean loss first.{some} Click a heading to sort.</caption>"
        f"<thead><tr>{buttons}</tr></thead><tbody>{''.join(rows)}</tbody>"
        f"<tfoot><tr>{total}</tr></tfoot></table></div>"
    )


def _sorted(name: str) -> str:
    return ' aria-sort="descending"' if name == "Mean loss" else ""


def aside(scores: Scores) -> str:
    """Images that could not be read or hold no patch."""
    skipped = [_named(entry) for entry in scores.meta.get("skipped") or []]
    small = scores.meta.get("small") or []
    small = [_named(entry) for entry in small] if isinstance(small, (list, tuple)) else []
    parts = []
    for title, text, entries in (
        ("Skipped", "These files could not be read as images.", skipped),
        ("Too small", "These images are smaller than one patch.", small),
    ):
        if not entries:
            continue
        items = "".join(
            f"<li><b>{escape(name)}</b>{' ' if note else ''}<span>{escape(note)}</span></li>"
            for name, note in entries[:_LISTED]
        )
        more = f"<p>And {len(entries) - _LISTED:,} more.</p>" if len(entries) > _LISTED else ""
        parts.append(
            f"<h3>{title}: {count(len(entries), 'file')}</h3><p>{text}</p><ul class='files'>{items}</ul>{more}"
        )
    body = "".join(parts) or "<p>Every image was read, and none is smaller than a patch.</p>"
    return f'<section id="aside"><h2>Not scored</h2>{body}</section>'


def _named(entry: Any) -> tuple[str, str]:
    if not isinstance(entry, dict):
        return str(entry), ""
    note = entry.get("reason")
    if note is None and "width" in entry and "height" in entry:
        note = f"{entry['width']} × {entry['height']}"
    return str(entry.get("image", "?")), str(note or "")


def settings(scores: Scores) -> str:
    """What was asked for, word for word from the metadata of both tables."""
    meta = scores.meta
    scorer = meta.get("scorer")
    scorer = scorer if isinstance(scorer, dict) else {"name": scorer}
    rows = [("Root", meta.get("root")), ("Scale", meta.get("scale")), ("Patch", meta.get("patch"))]
    rows += [
        ("Stride", meta.get("stride")),
        ("Mode", meta.get("mode")),
        ("Precision", meta.get("precision")),
        ("Boundary", meta.get("boundary")),
    ]
    rows += [("Scorer", scorer.get("name")), ("Weights, SHA-256", scorer.get("sha256"))]
    rows += [(f"Selection: {_SAID.get(k, k.replace('_', ' '))}", v) for k, v in scores.selection.items()]
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows
        if value is not None
    )
    return (
        '<section id="settings"><h2>Settings</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Settings"><table class="settings">'
        f"<caption>As recorded in the tables.</caption><tbody>{cells}</tbody></table></div>"
        "<p>A loss is the mean over the patch of (SR − HR)² on Y, the BT.601 luma (16 to 235), in units of "
        "[0, 255]². PSNR is 10 log<sub>10</sub>(255² / loss) of the same pixels, borders included.</p>"
        "</section></main>"
    )
