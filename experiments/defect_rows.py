"""The tables of docs/results/defects.md, from the figures that ``python -m experiments.defects --keep`` left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from experiments.study_rows import Table, markdown
from srfast.scoring.defect_columns import THRESHOLDS

Figures = dict[str, Any]
KEPT = Path(__file__).parent / "results" / "defects.json"
FOLDERS = ("BSD100/2", "BSD100", "Urban100", "Set14")
ASKED: tuple[tuple[str, str, str, float | None, float], ...] = (
    ("noise", "noise", "Set14", 0.95, 0.98),
    ("upscaled", "x2 lanczos, JPEG 90", "BSD100", None, 0.99),
    ("jpeg", "JPEG 80", "Urban100", None, 0.995),
    ("overlay", "text", "Urban100", None, 0.95),
    ("overlay", "text", "Set14", None, 0.95),
    ("halo", "unsharp mask", "Set14", 0.9, 0.9),
)
"""Column, how the rows' names begin, folder, and the AUC that was asked for a patch and for an image."""


def figures(section: str, name: str) -> Figures:
    kept: Figures = json.loads(KEPT.read_text())[section][name]
    return kept


def rows(name: str, column: str, begins: str = "") -> dict[str, list[float]]:
    """What was spoilt -> AUC for a patch, for an image, share of images left out."""
    by_defect = figures("spoilt", name)["rows"].get(column, {})
    return {what: values for what, values in by_defect.items() if what.startswith(begins)}


def words(folder: str) -> str:
    return folder.replace("/2", " halved")


def both(patch: float | None, image: float | None) -> str:
    return " / ".join("-" if v is None else f"{v:.3f}" for v in (patch, image))


def spoilt(names: Sequence[str], only: tuple[str, ...] = ("",)) -> str:
    """AUC of every row whose name begins so, beside each other for some folders, with the share left out of the
    first."""
    lines = []
    for t in THRESHOLDS:
        for what, values in rows(names[0], t.column).items():
            if what.startswith(only):
                cells = (both(*rows(name, t.column)[what][:2]) for name in names)
                lines.append([f"`{t.column}`", what, *cells, f"{values[2]:.0%}"])
    return markdown(["column", "degraded by", *map(words, names), "left out"], lines)


def missed() -> str:
    """The rows that fall short of what was asked."""
    lines = [
        [f"`{column}`", what, folder, both(*required), both(*reached[:2])]
        for column, begins, folder, *required in ASKED
        for what, reached in rows(folder, column, begins).items()
        if any(a is not None and f < a for f, a in zip(reached[:2], required, strict=True))
    ]
    return markdown(["column", "degraded by", "on", "asked, patch / image", "found"], lines)


def left_out(after: str = "") -> str:
    """What ``--clean`` leaves out of clean photographs."""
    lines, total = [], [0, 0, 0, 0]
    for folder in FOLDERS:
        f = figures("clean", folder + after)
        counts = [len(f["whole"]), f["images"], f["patches_out"], f["patches"]]
        total = [a + b for a, b in zip(total, counts, strict=True)]
        whole = [
            f"{name} by {' and '.join(f'`{c}` ({v:.3g})' for c, v in why.items())}" for name, why in f["whole"].items()
        ]
        single = []
        for t in THRESHOLDS:
            if some := {name: why[t.column] for name, why in f["single"].items() if t.column in why}:
                names = ", ".join(some) if len(some) < 4 else f"{len(some)} images"
                single.append(f"{sum(some.values())} of {names} by `{t.column}`")
        lines.append(
            [words(folder), *_shares(*counts), "; ".join(whole), "; ".join(single), f"{f['nulls']['any']:.1%}"]
        )
    lines.append(["together", *_shares(*total), "", "", ""])
    return markdown(["", "images", "patches", "the images", "patches of other images", "nulls"], lines)


def _shares(*counts: int) -> list[str]:
    return [f"{n} of {of:,} ({n / of:.2%})" for n, of in (counts[:2], counts[2:])]


_GRAY = ("noise", "film", "Gaussian 1.2", "x2 bicubic", "x2 lanczos, JPEG 90", "text", "unsharp")
TABLES: dict[str, Table] = {
    "defects": partial(spoilt, FOLDERS),
    "defects-gray": partial(spoilt, ["BSD100/2, gray"], _GRAY),
    "defects-missed": missed,
    "defects-left-out": left_out,
    "defects-left-out-gray": partial(left_out, ", gray"),
}
