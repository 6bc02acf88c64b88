"""How rows of patches look in a notebook: counts, quantiles, a small curve, 16 patches and a few rows."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

PATCHES = 16
SECONDS = 2.0
"""Seconds after which no further image is read for a picture."""
_SIDE = 64
_TEMPLATE = """\
<div style="max-width: 60em; font-variant-numeric: tabular-nums">
<p><b>{{ title }}</b></p>
{% if quantiles %}
<table><thead><tr><th>Hardest</th>{% for q, _ in quantiles %}<th>{{ q }} %</th>{% endfor %}</tr></thead>
<tbody><tr><th>Loss</th>{% for _, v in quantiles %}<td>{{ v }}</td>{% endfor %}</tr></tbody></table>
<svg viewBox="0 0 600 120" width="600" height="120" style="max-width: 100%" role="img"
 aria-label="The sorted loss, hardest left, on a logarithmic scale">
<path d="M0 120L{{ curve }}V120Z" fill="#3d8bc4" fill-opacity="0.25"/>
<path d="M{{ curve }}" fill="none" stroke="#3d8bc4" stroke-width="2"/></svg>
{% endif %}
{% if pictures %}
<div style="display: flex; flex-wrap: wrap; gap: 4px">
{% for uri, text in pictures %}
<img src="{{ uri }}" alt="{{ text }}" title="{{ text }}" width="64" height="64" style="margin: 0">
{% endfor %}
</div>
{% endif %}
<table><thead><tr>{% for name in names %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr>{% for value in row %}<td>{{ value }}</td>{% endfor %}</tr>{% endfor %}</tbody></table>
</div>"""


def html(title: str, table: pa.Table, meta: dict[str, Any]) -> str:
    """HTML of a score table or a core-set, without scripts. Names are escaped, and patches are left out whose image is
    missing or has another size."""
    import jinja2

    few = table.slice(0, 5).to_pylist()
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    loss = np.sort(table["loss"].to_numpy().astype(np.float64))[::-1]
    return environment.from_string(_TEMPLATE).render(
        title=title,
        quantiles=[(q, _text(float(loss[q * len(loss) // 100]))) for q in (1, 5, 25, 50, 75, 95, 99) if len(loss)],
        curve=_curve(loss) if len(loss) else "",
        pictures=_pictures(table, meta),
        names=table.column_names,
        rows=[[_text(v) for v in row.values()] for row in few],
    )


def _curve(loss: np.ndarray) -> str:
    """Points of an SVG path, 600 x 120, for losses in descending order."""
    at = np.unique(np.linspace(0, len(loss) - 1, 200).astype(np.int64))
    shown = np.log10(np.maximum(loss[at], 1e-4))
    low, high = float(shown.min()), float(shown.max())
    y = 115 - 110 * (shown - low) / (high - low or 1.0)
    x = 600 * (at + 0.5) / len(loss)
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip([0.0, *x, 600.0], [y[0], *y, y[-1]], strict=True))


def _pictures(table: pa.Table, meta: dict[str, Any]) -> list[tuple[str, str]]:
    """Patches at even steps along the loss, hardest first, as data URIs with captions."""
    from PIL import Image

    from srfast.data.images import read_rgb, stays_inside
    from srfast.errors import InputError, RunError

    root, n = meta.get("root"), len(table)
    if not n or not isinstance(root, str) or "shrink" in table.column_names:
        return []
    order = np.argsort(-table["loss"].to_numpy(), kind="stable")
    chosen = [int(order[int((i + 0.5) * n / min(PATCHES, n))]) for i in range(min(PATCHES, n))]
    end, found = time.monotonic() + SECONDS, []
    read: dict[str, Any] = {}
    for row in table.take(chosen).to_pylist():
        name, x, y, size = (row[k] for k in ("image", "x", "y", "size"))
        if name not in read:
            read = {}  # one image at a time: some have a hundred million pixels
            if time.monotonic() > end or not stays_inside(name):
                continue
            try:
                read[name] = read_rgb(Path(root) / name)
            except (OSError, InputError, RunError):
                read[name] = None
        pixels = read[name]
        if pixels is None or y + size > pixels.shape[0] or x + size > pixels.shape[1]:
            continue
        picture = Image.fromarray(np.ascontiguousarray(pixels[y : y + size, x : x + size]))
        picture.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        found.append((uri, f"{name}, x {x}, y {y}, loss {_text(row['loss'])}"))
    return found


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
