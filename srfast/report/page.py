"""The HTML document. Every value that comes from a table goes through ``escape`` or ``script_json``."""

from __future__ import annotations

import base64
import hashlib
import math
from importlib.resources import files
from typing import Any

import numpy as np

from srfast import __version__
from srfast.report import charts
from srfast.report.galleries import Gallery, galleries, strip
from srfast.report.pictures import LARGEST, Picture, cut
from srfast.report.scores import DROPPED, KEPT, LEFT_OUT, Scores, agreement
from srfast.report.tables import aside, images_table, settings
from srfast.report.text import count, escape, number, percent, psnr, script_json

GENERATOR = '<meta name="generator" content="srfast report '
"""Marks a file as a report."""
_WORDS = {KEPT: "kept", DROPPED: "dropped", LEFT_OUT: "left out"}


def render(scores: Scores) -> str:
    """The whole document as text; the same scores and source images give the same text."""
    shown, filmstrip = galleries(scores), strip(scores)
    pictures = cut(scores, [*filmstrip, *(row for g in shown for group in g.groups for row in group.rows)])
    image_chart, image_bars = charts.by_image(scores)
    style, script = (files("srfast.report").joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    # Only this script may run and nothing may be fetched, whatever a file name holds.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    data = script_json(_hover_data(scores, image_bars))
    sections = [
        _header(scores),
        _curve(scores, filmstrip, pictures),
        _galleries(scores, shown, pictures),
        _images(scores, image_chart),
        _agreement(scores),
        aside(scores),
        settings(scores),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{GENERATOR}{escape(__version__)}">
<title>srfast report: {escape(count(len(scores), "patch"))}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
{"".join(section + chr(10) for section in sections)}<footer>srfast {escape(__version__)}. The score is that of
“A Study in Dataset Pruning for Image Super-Resolution” (Moser, Raue, Dengel, 2024).</footer>
<dialog id="zoom" aria-label="Enlarged patch"></dialog>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def _hover_data(scores: Scores, image_bars: list[int]) -> dict[str, Any]:
    """What the pointer reads off the two charts."""
    ranks = charts.curve_points(scores)
    stats = scores.per_image

    def short(values: np.ndarray) -> list[float]:
        return [float(f"{v:.4g}") for v in values]

    return {
        "n": len(scores),
        "ranks": ranks.tolist(),
        "loss": short(scores.ranked[ranks]),
        "images": [scores.images[i] for i in image_bars],
        "q10": short(stats.q10[image_bars]),
        "median": short(stats.median[image_bars]),
        "q90": short(stats.q90[image_bars]),
    }


def _header(scores: Scores) -> str:
    meta, n = scores.meta, len(scores)
    sizes = np.unique(scores.size)
    size = f"{sizes[0]} × {sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    scorer = meta.get("scorer") or {}
    name = scorer.get("name", "?") if isinstance(scorer, dict) else scorer
    known = {"srcnn": "SRCNN", "bicubic": "bicubic up-sampling"}
    lede = (
        f"{count(n, 'patch')} of {size} pixels from {count(len(scores.images), 'image')}, scored at "
        f"×{meta.get('scale', '?')} by {known.get(str(name), str(name))} in {meta.get('mode', '?')} mode."
    )
    median = float(np.median(scores.loss))
    facts = [
        ("Median loss", number(median), f"{psnr(median)} dB"),
        ("Half of the error", percent(scores.half_of_error), "of the patches hold it, hardest first"),
    ]
    title = f"{count(n, 'patch')} scored"
    if scores.status is None:
        spread = f"{number(scores.ranked[-1])} to {number(scores.ranked[0])}"
        facts = [
            ("Images", f"{len(scores.images):,}", ""),
            *facts,
            ("Range of the loss", spread, "easiest to hardest"),
        ]
    else:
        kept, dropped = scores.count(KEPT), scores.count(DROPPED)
        title = f"{kept:,} of {count(n, 'patch')} kept"
        held = [("Kept", percent(kept, n), f"of the patches, {percent(scores.share_of_error(KEPT))} of the error")]
        if dropped:
            text = f"of the patches, {percent(scores.share_of_error(DROPPED))} of the error"
            held.append(("Dropped as the hardest", percent(dropped, n), text))
        used = int(np.count_nonzero(scores.per_image.kept))
        facts = [*held, ("Images in the core-set", f"{used:,}", f"of {len(scores.images):,}"), *facts]
    cells = "".join(
        f"<div><dt>{escape(term)}</dt><dd><b>{escape(value)}</b> <span>{escape(note)}</span></dd></div>"
        for term, value, note in facts
    )
    links = [
        ("curve", "Loss curve"),
        ("patches", "Patches"),
        ("images", "Images"),
        ("agreement", "Agreement"),
    ]
    links += [("aside", "Not scored"), ("settings", "Settings")]
    nav = "".join(f'<li><a href="#{target}">{text}</a></li>' for target, text in links)
    return (
        f'<header><p class="mark">srfast report</p><h1>{escape(title)}</h1><p class="lede">{escape(lede)}</p>'
        f'<dl class="facts">{cells}</dl><nav aria-label="Sections"><ul>{nav}</ul></nav></header>\n<main>'
    )


def _curve(scores: Scores, filmstrip: list[int], pictures: dict[int, Picture]) -> str:
    n = len(scores)
    frames = "".join(
        f'<li class="{_status_class(scores, row)}">{_image(scores, row, pictures[row])}</li>' for row in filmstrip
    )
    strip = (
        f'<ol class="strip" aria-label="Patches at even steps along the curve">{frames}</ol>\n'
        "<figcaption>What patches look like at even steps along the curve: hardest left, easiest right.</figcaption>"
    )
    if all(pictures[row].uri is None for row in filmstrip):
        strip = ""
    quantiles = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
    at = [float(scores.ranked[min(n - 1, int(q * n))]) for q in quantiles]
    heads = "".join(f'<th scope="col">{percent(q)}</th>' for q in quantiles)
    losses = "".join(f"<td>{number(v)}</td>" for v in at)
    decibels = "".join(f"<td>{psnr(v)}</td>" for v in at)
    marks = (
        "",
        " The dashed line marks the cut, with the loss there.",
        " The dashed lines mark the cuts, with the loss there.",
    )
    half = f" The hardest {percent(scores.half_of_error)} hold half of the summed loss." if n > 1 else ""
    note, shares = half + marks[min(_cuts(scores), 2)], ""
    if scores.status is not None and not scores.cut_by_loss:
        note += " This selection does not cut by loss: the lower chart shows the share it keeps along the curve."
        shares = charts.shares(scores)
    low = int(np.count_nonzero(scores.loss < charts.FLOOR))
    if low:
        drawn = "is drawn" if low == 1 else "are drawn"
        note += f" {count(low, 'patch')} below {charts.FLOOR:g} {drawn} at the bottom edge."
    return f"""<section id="curve"><h2>The loss of every patch, hardest first</h2>
<p>One point of the curve is one patch.{escape(note)}</p>
{charts.legend(scores)}<figure class="wide">{charts.curve(scores)}{shares}
{strip}
</figure>
<div class="scroll" tabindex="0" role="region" aria-label="Loss at chosen ranks"><table class="quantiles">
<caption>The loss of the patch that stands at this share of the order, hardest first.</caption>
<thead><tr><th scope="col">Hardest</th>{heads}</tr></thead>
<tbody><tr><th scope="row">Loss</th>{losses}</tr>
<tr><th scope="row">PSNR, dB</th>{decibels}</tr></tbody></table></div>
</section>"""


def _cuts(scores: Scores) -> int:
    """Cuts that the charts draw."""
    return len(scores.runs) - 1 if scores.cut_by_loss else 0


def _status_class(scores: Scores, row: int) -> str:
    return "plain" if scores.status is None else charts.CLASS[int(scores.status[row])]


def _image(scores: Scores, row: int, picture: Picture) -> str:
    where = f"{scores.images[scores.code[row]]}, x {scores.x[row]}, y {scores.y[row]}"
    if picture.uri is None:
        note = escape(picture.note)
        return f'<span class="gone" title="{escape(where)}: {note}">{note}</span>'
    text = escape(f"Patch of {where}, loss {number(float(scores.loss[row]))}")
    side = min(int(scores.size[row]), LARGEST)
    return f'<img src="{picture.uri}" alt="{text}" title="{text}" width="{side}" height="{side}">'


def _galleries(scores: Scores, shown: list[Gallery], pictures: dict[int, Picture]) -> str:
    parts = []
    for gallery in shown:
        groups = "".join(
            f'<p class="what">{escape(group.caption)}</p>{_cards(scores, group.rows, pictures)}'
            for group in gallery.groups
        )
        if not gallery.groups:
            groups = '<p class="what">There are none: the core-set holds every patch.</p>'
        parts.append(f'<section class="gallery" id="{gallery.id}"><h3>{gallery.title}</h3>{groups}</section>')
    notes = ["Of windows that overlap only one is shown."]
    first = "Loss first, then that of plain bicubic up-sampling."
    if scores.by_bicubic:
        first = "The loss of plain bicubic up-sampling."
    if scores.status is not None:
        notes.append("The bar under a picture says what became of it, in the colours of the curve.")
    if scores.size.max() > LARGEST:
        notes.append(f"Patches larger than {LARGEST} pixels are shown reduced.")
    return f"""<section id="patches"><h2>The patches behind the numbers</h2>
<p>{first} {" ".join(notes)}
Click a picture, or press Enter on it, to enlarge; the arrow keys walk on.</p>
{"".join(parts)}</section>"""


def _cards(scores: Scores, rows: list[int], pictures: dict[int, Picture]) -> str:
    """Pictures with their scores; one line and a list of where they lie where none can be shown."""
    if rows and all(pictures[row].uri is None for row in rows):
        note = escape(pictures[rows[0]].note)
        items = "".join(
            f"<li><b>{number(float(scores.loss[row]))}</b> "
            f"<span>{escape(scores.images[scores.code[row]])}, x {scores.x[row]}, y {scores.y[row]}</span></li>"
            for row in rows
        )
        return f'<p class="what">No pictures: {note} ({escape(scores.root)}).</p><ul class="files places">{items}</ul>'
    return f'<div class="cards">{"".join(_card(scores, row, pictures[row]) for row in rows)}</div>'


def _card(scores: Scores, row: int, picture: Picture) -> str:
    name = scores.images[scores.code[row]]
    loss, bicubic = float(scores.loss[row]), float(scores.bicubic[row])
    image = _image(scores, row, picture)
    if picture.uri is not None:
        image = f'<button type="button" aria-haspopup="dialog">{image}</button>'
    note = f'<span class="note">{escape(picture.note)}</span>' if picture.uri and picture.note else ""
    plain = "" if scores.by_bicubic else f'<span class="bicubic">bicubic {number(bicubic)}</span>'
    word = "" if scores.status is None else f", {_WORDS[int(scores.status[row])]}"
    return (
        f'<figure class="card {_status_class(scores, row)}">{image}<figcaption>'
        f'<span class="scores"><b>{number(loss)}</b><span>{psnr(loss)} dB</span></span>'
        f"{plain}"
        f'<span class="name" title="{escape(name)}">{escape(name.rpartition("/")[2])}</span>'
        f'<span class="at">x {scores.x[row]}, y {scores.y[row]}</span>'
        f'<span class="more">rank {scores.rank[row] + 1:,} of {len(scores):,}{word}</span>{note}'
        f"</figcaption></figure>"
    )


def _images(scores: Scores, chart: str) -> str:
    cut_note = ("", " The dashed line is the cut.", " The dashed lines are the cuts.")[min(_cuts(scores), 2)]
    return f"""<section id="images"><h2>Where the hard patches come from</h2>
<p>A bar spans the 10th to the 90th percentile of one image's losses; the mark across it is the
median.{cut_note}</p>
<figure class="wide">{chart}</figure>
{images_table(scores)}</section>"""


def _agreement(scores: Scores) -> str:
    panels = []
    others = [(scores.sobel, "Sobel", "Sobel score: mean gradient")]
    if not scores.by_bicubic:
        others.insert(0, (scores.bicubic, "Bicubic", "Loss of plain bicubic up-sampling"))
    for values, name, unit in others:
        rho, shared = agreement(scores, values)
        text = "undefined, one of the two is constant" if math.isnan(rho) else f"{rho:.4f}"
        chart = charts.scatter(scores, values, unit)
        panels.append(
            f'<figure><h3>{name}</h3><p class="rho">Spearman <b>{text}</b></p>'
            f"{chart}<figcaption>Of the hardest half by loss, {percent(shared)} "
            "are also in the hardest half by this score.</figcaption></figure>"
        )
    needs = "This score needs" if scores.by_bicubic else "Both scores need"
    return f"""<section id="agreement"><h2>Would a cheaper score have chosen alike?</h2>
<p>{needs} no network. The closer Spearman's rank correlation is
to 1, the less it matters which score chooses.</p>
<div class="pair">{"".join(panels)}</div></section>"""
