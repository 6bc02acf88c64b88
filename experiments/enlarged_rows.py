"""The tables of docs/defects.md and of its results about the limit of ``upscaled``, from ``experiments.enlarged``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scipy.stats import beta

from experiments.study_rows import Table, markdown
from srfast.scoring.defect_columns import THRESHOLDS

KEPT = Path(__file__).parent / "results" / "enlarged.json"
LIMITS = tuple(n / 20 for n in range(21, 41))
"""Limits at which the images are counted."""
BEFORE = 1.85
"""The limit until these figures were measured."""
FACTORS = (1.25, 1.5, 2, 3)
QUALITIES = (95, 85, 75)
UNSEEN = "photographs unknown to the network"
"""The kind whose enlarged images the table counts."""
KERNELS = ("torch bicubic", "Pillow bicubic", "Pillow Lanczos", "torch bilinear", "Pillow bilinear")
LIMIT, JPEG = (next(t.image for t in THRESHOLDS if t.column == name) for name in ("upscaled", "jpeg"))


def kept() -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(KEPT.read_text())
    return figures


def reached(counts: list[int], limit: float) -> tuple[int, int]:
    """How many images are at the limit or beyond it, and of how many."""
    return counts[1 + LIMITS.index(limit)], counts[0]


def least() -> float:
    """The least limit that counts no more of the setting half as enlarged than ``BEFORE``, lossless and as JPEG of the
    qualities that are not left out by themselves."""
    rows = kept()["counts"]["setting"]
    names = ("as it is", *(f"JPEG {q}" for q in QUALITIES if q > JPEG))
    return next(at for at in LIMITS if all(reached(rows[n], at) <= reached(rows[n], BEFORE) for n in names))


def bound(k: int, n: int) -> float:
    """Upper confidence bound of 95 %, one-sided, of a share (Clopper and Pearson, 1934)."""
    return 1.0 if k == n else float(beta.ppf(0.95, k + 1, n - k))


def alarms() -> str:
    """Images that were not enlarged and are counted as enlarged, with the limit and with that before."""
    lines = []
    for kind, rows in kept()["counts"].items():
        for name, counts in rows.items():
            if kind != "setting" and name.startswith(("as it is", "JPEG")):
                k, n = reached(counts, LIMIT)
                now, before = (f"{some:,} ({some / n:.1%})" for some in (k, reached(counts, BEFORE)[0]))
                lines.append([kind, name, f"{n:,}", now, f"{bound(k, n):.1%}", before])
    return markdown(["images", "saved", "n", f"at {LIMIT:g}", "at most", f"at {BEFORE:g}"], lines)


def caught() -> str:
    """The share of enlarged photographs that is found, by factor and kernel, with the limit / with that before."""
    rows = kept()["counts"][UNSEEN]
    names = [*KERNELS, *(f"JPEG {q} {when}" for when in ("before", "after") for q in QUALITIES)]
    lines = []
    for name in names:
        cells = []
        for factor in FACTORS:
            counts = rows[f"{factor:g} {name}"]
            cells.append(" / ".join(f"{k / n:.0%}" for k, n in (reached(counts, at) for at in (LIMIT, BEFORE))))
        lines.append([name, *cells])
    return markdown(["kernel", *(f"{f:g} x" for f in FACTORS)], lines)


def briefly() -> str:
    """The share that the limit finds, by kernel and factor, after the false alarms of all photographs as they are."""
    rows = kept()["counts"]
    clean = [reached(some["as it is"], LIMIT) for kind, some in rows.items() if kind.startswith("photographs")]
    k, n = (sum(v) for v in zip(*clean, strict=True))
    lines = [["none", f"{k}/{n}, at most {bound(k, n):.1%}", "", "", ""]]
    for name in KERNELS:
        found = (reached(rows[UNSEEN][f"{factor:g} {name}"], LIMIT) for factor in FACTORS)
        lines.append([name, *(f"{k / n:.0%}" for k, n in found)])
    return markdown(["kernel", *(f"{f:g}x" for f in FACTORS)], lines)


TABLES: dict[str, Table] = {"enlarged": briefly, "enlarged-alarms": alarms, "enlarged-caught": caught}
