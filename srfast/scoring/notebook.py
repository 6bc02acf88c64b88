"""How results look in a notebook: HTML without scripts, in which every name is escaped."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srfast.data.images import stays_inside
from srfast.data.shrink import read_shrunk
from srfast.data.thumbnails import reduced, uri
from srfast.errors import InputError, RunError

if TYPE_CHECKING:
    from srfast.scoring.rows import Rows

PATCHES = 8
"""Number of patches that are shown, at even steps along the loss."""
SECONDS = 2.0
"""Time after which no further image is read for a thumbnail."""
_SIDE = 64
_WIDTH, _HEIGHT = 600, 100
_POINTS = 200
_QUANTILES = (1, 5, 25, 50, 75, 95, 99)
_TEMPLATE = """\
<div style="max-width: 60em; font-variant-numeric: tabular-nums">
<p><b>{{ title }}</b></p>
{% if sentences %}
<ul>{% for sentence in sentences %}<li>{{ sentence }}</li>{% endfor %}</ul>
{% endif %}
{% for caption, cells in tables %}
<table><tbody>
<tr><th>{{ caption }}</th>{% for name, _ in cells %}<th>{{ name }}</th>{% endfor %}</tr>
<tr><td></td>{% for _, value in cells %}<td>{{ value }}</td>{% endfor %}</tr>
</tbody></table>
{% endfor %}
{% if curve %}
<svg viewBox="0 0 {{ width }} {{ height }}" width="{{ width }}" height="{{ height }}" style="max-width: 100%" role="img"
 aria-label="The loss of the patches, hardest left, on a logarithmic scale">
<path d="M0 {{ height }}L{{ curve }}V{{ height }}Z" fill="#3d8bc4" fill-opacity="0.25"></path>
<path d="M{{ curve }}" fill="none" stroke="#3d8bc4" stroke-width="2"></path></svg>
{% endif %}
{% if pictures %}
<div style="display: flex; flex-wrap: wrap; gap: 4px">
{% for source, text in pictures %}
<img src="{{ source }}" alt="{{ text }}" title="{{ text }}" style="margin: 0">
{% endfor %}
</div>
{% endif %}
</div>"""


def html(title: str, sentences: Sequence[str] = (), given: Mapping[str, Any] | None = None) -> str:
    """HTML of a result: its title, sentences, and settings by name."""
    tables = [("Settings", list(given.items()))] if given else []
    return _rendered(title=title, sentences=sentences, tables=tables)


def html_of_rows(title: str, rows: Rows, sentences: Sequence[str] = ()) -> str:
    """HTML of patches: the number at each size, quantiles and a curve of the loss, and thumbnails. A patch has no
    thumbnail if its image is gone, cannot be read or has become smaller."""
    loss = rows.column("loss").astype(np.float64)
    loss = np.sort(loss[np.isfinite(loss)])[::-1]
    sizes, at = rows.sizes()
    counts = np.bincount(at, minlength=len(sizes)).tolist()
    by_size = [(str(size), f"{n:,}") for size, n in zip(sizes, counts, strict=True)]
    tables = [("Size", by_size)] if len(sizes) > 1 else []
    if len(loss):
        quantiles = [(f"{q} %", f"{loss[q * len(loss) // 100]:.4g}") for q in _QUANTILES]
        tables.append(("Loss at the hardest", quantiles))
    values = {"tables": tables, "curve": _curve(loss), "pictures": _thumbnails(rows)}
    return _rendered(title=title, sentences=sentences, **values)


def _rendered(**values: Any) -> str:
    import jinja2

    template = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(_TEMPLATE)
    return template.render(width=_WIDTH, height=_HEIGHT, **values)


def _curve(loss: np.ndarray) -> str:
    """Points of an SVG path for losses [n] in descending order; "" if there are none."""
    if not len(loss):
        return ""
    at = np.unique(np.linspace(0, len(loss) - 1, _POINTS).astype(np.int64))
    shown = np.log10(np.maximum(loss[at], 1e-4))
    low, high = float(shown.min()), float(shown.max())
    y = _HEIGHT - 5 - (_HEIGHT - 10) * (shown - low) / (high - low or 1.0)
    x = _WIDTH * (at + 0.5) / len(loss)
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip([0.0, *x, _WIDTH], [y[0], *y, y[-1]], strict=True))


def _thumbnails(rows: Rows) -> list[tuple[str, str]]:
    """Sources and captions of thumbnails, hardest first; images are read until ``SECONDS`` have passed."""
    root, n = rows.meta.get("root"), len(rows)
    if not n or not isinstance(root, str):
        return []
    sizes, at = rows.sizes()
    order = np.argsort(-rows.column("loss"), kind="stable")
    chosen = [int(order[int((i + 0.5) * n / min(PATCHES, n))]) for i in range(min(PATCHES, n))]
    places = [rows[i] for i in chosen]
    # By image and size, so that each is read once, and one at a time: some have a hundred million pixels.
    key, pixels = None, None
    found: dict[int, tuple[str, str]] = {}
    end = time.monotonic() + SECONDS
    for i in sorted(range(len(chosen)), key=lambda i: (places[i]["image"], at[chosen[i]])):
        row, size = places[i], sizes[at[chosen[i]]]
        name, x, y, side = row["image"], row["x"], row["y"], row["size"]
        if key != (name, size):
            key, pixels = (name, size), None
            if time.monotonic() < end and stays_inside(name):
                try:
                    pixels = read_shrunk(Path(root) / name, float(size))
                except (OSError, InputError, RunError):
                    continue
        if pixels is None or y + side > pixels.shape[0] or x + side > pixels.shape[1]:
            continue
        shown = "" if size == 1 else f" of size {size}"
        caption = f"{name}{shown}, x {x}, y {y}, loss {row['loss']:.4g}"
        found[i] = uri(reduced(pixels[y : y + side, x : x + side], _SIDE)), caption
    return [found[i] for i in sorted(found)]
