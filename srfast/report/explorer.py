"""The data of the page's sliders: curves of the whole table, a sample of its rows, rows for the maps, and shown
rows."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, Literal

import numpy as np

from srfast.coreset.settings import GROUP, METHODS, Method, Selection
from srfast.data.shrink import COLUMN
from srfast.report.content import ColumnLabel
from srfast.report.scores import DROPPED, KEPT, LEFT_OUT, ReportScores, hardest_first, ranked
from srfast.runtime.plugins import added, is_file
from srfast.scoring.defect_columns import DEFECTS
from srfast.scoring.rows import descending
from srfast.scoring.statistics import agreement

SAMPLE, SAMPLE_BYTES = 40_000, 2_000_000
"""Largest number of rows in the page, and their bytes, beyond which the effect of a condition is estimated, not
computed."""
MAPPED_BYTES = 1_200_000
"""Bytes of the rows that are only for maps of whole images."""
_LOOKED_AT = 20_000
MOST = 200
"""Largest number of patches with pictures."""


def columns(scores: ReportScores) -> dict[str, ColumnLabel]:
    """Every column that the page can show, sort and filter by, with ``reducible`` and ``relative``."""
    names = list(dict.fromkeys(chain(scores.scores, scores.extra, scores.words)))
    if scores.by_bicubic and "bicubic" not in names:
        names.insert(1, "bicubic")
    kinds: dict[str, Any] = {**dict.fromkeys(scores.flags, "flag"), **dict.fromkeys(scores.words, "word")}
    return {name: label(name, kinds.get(name, "number")) for name in names}


def label(name: str, kind: Literal["number", "flag", "word"] = "number") -> ColumnLabel:
    """How a page shows a column, by the descriptor of its defect or of the method of its name."""
    if (defect := next((d for d in DEFECTS if d.name == name), None)) is not None:
        return ColumnLabel(defect.label, defect.unit, kind)
    said = "Size of the image" if name == COLUMN else name.replace("_", " ").capitalize()
    method = METHODS.get(name, Method(""))
    return ColumnLabel(said, method.unit, kind, method.help.replace("`", ""))


REJECTS = "rejects.csv"
"""The list that a decision writes beside its tables, by whose name alone a core-set's metadata know it."""


def explorer(
    scores: ReportScores, shown: np.ndarray, sizes: dict[str, tuple[int, int]], source: Sequence[str]
) -> dict[str, Any]:
    """Plain values for the script; ``shown`` are the rows that have pictures, in the order of the content's shots."""
    rows = sample(scores, len(scores.scores))
    whole = len(rows) == len(scores)
    mapped = np.zeros(0, np.int64) if whole else _mapped(scores, shown)
    curves: dict[str, Any] = {}
    ranks: list[dict[str, np.ndarray]] = [{}, {}, {}]
    for name, values in scores.scores.items():  # one order in memory at a time
        order = scores.order if name == "loss" else hardest_first(values)
        curves[name], rank = _curve(scores, values, order), ranked(order)
        for some, known in zip((rows, shown, mapped), ranks, strict=True):
            known[name] = rank[some]
    number = {name: i for i, name in enumerate(scores.images)}
    alike = {name: agreement(scores.loss, values) for name, values in scores.scores.items() if name != "loss"}
    return {
        "patches": len(scores),
        "source": list(source),
        "images": scores.images,
        "curves": curves,
        "rows": _rows(scores, rows, ranks[0], everything=True),
        "whole": whole,
        "shown": _rows(scores, shown, ranks[1], everything=True),
        "mapped": None if whole else _rows(scores, mapped, ranks[2], everything=False),
        "sizes": [[number[name], *size] for name, size in sizes.items()],
        "perImage": {k: packed(v, "f32" if v.dtype.kind == "f" else "u32") for k, v in scores.per_image.items()},
        "given": _coreset_shares(scores, source),
        "agreement": [{"name": n, "rho": a["spearman"], "shared": a["top_half"]} for n, a in alike.items()],
        "reconstructed": scores.network is not None,
    }


def packed(values: np.ndarray, kind: str) -> dict[str, str]:
    """An array in the format that the page reads: u8, u16, u32, i32 or f32, little-endian, in base64."""
    dtype = np.dtype(f"<{kind[0]}{int(kind[1:]) // 8}")
    return {"kind": kind, "data": base64.b64encode(values.astype(dtype).tobytes()).decode("ascii")}


def points(n: int) -> np.ndarray:
    """Counts from 0 to n at which curves are given: every thousandth, rounded as by ``select``, and finer steps at the
    ends."""
    if n <= 2000:
        return np.arange(n + 1)
    even = (np.arange(1001) / 1000 * n + 0.5).astype(np.int64)
    fine = np.geomspace(1, n, 100).astype(np.int64)
    return np.unique(np.concatenate([even, fine, n - fine]))


def _curve(scores: ReportScores, values: np.ndarray, order: np.ndarray) -> dict[str, Any]:
    """Along the order of one score: the value at each point, and the share of the summed loss above it."""
    n, at = len(scores), points(len(scores))
    parts = np.split(scores.loss[order], at[1:-1])
    summed = np.cumsum([0.0, *(part.sum(dtype=np.float64) for part in parts)])
    error = summed / summed[-1] if summed[-1] else at / n
    chosen = values[order[np.minimum(at, n - 1)]]
    return {"at": packed(at, "u32"), "value": packed(chosen, "f32"), "error": packed(error, "f32")}


def sample(scores: ReportScores, ranks: int) -> np.ndarray:
    """Rows of the page [S], ascending: all, or one from each stretch of the loss order, drawn with a fixed seed."""
    n = len(scores)
    each = 8 + 8 * ranks + 4 * (len(scores.extra) + len(scores.words))
    most = min(SAMPLE, SAMPLE_BYTES // each)
    if n <= most:
        return np.arange(n)
    edges = np.linspace(0, n, most + 1).astype(np.int64)
    drawn = edges[:-1] + (np.random.default_rng(0).random(most) * np.diff(edges)).astype(np.int64)
    return np.sort(scores.order[drawn])


def _mapped(scores: ReportScores, shown: np.ndarray) -> np.ndarray:
    """All rows of as many images as fit, with the images that have pictures first."""
    n = len(scores.images)
    most = MAPPED_BYTES // 20
    first = list(dict.fromkeys(chain(scores.code[shown].tolist(), range(n))))
    sizes = scores.per_image["patches"][first].cumsum()
    chosen = np.zeros(n, bool)
    chosen[first[: max(1, int(np.searchsorted(sizes, most, side="right")))]] = True
    return np.flatnonzero(chosen[scores.code])


def _rows(scores: ReportScores, rows: np.ndarray, ranks: dict[str, np.ndarray], *, everything: bool) -> dict[str, Any]:
    """Rows as the page reads them; ``ranks`` are theirs by score."""

    def least(values: np.ndarray) -> dict[str, str]:
        return packed(values, "u16" if not len(values) or values.max() < 2**16 else "u32")

    taken = list(ranks) if everything else [name for name in ("loss", "bicubic", "sobel") if name in ranks]
    made: dict[str, Any] = {
        **{name: least(column[rows]) for name, column in (("image", scores.code), ("x", scores.x), ("y", scores.y))},
        "size": int(scores.size[0]) if (scores.size == scores.size[0]).all() else least(scores.size[rows]),
        "shrink": None if (scores.factor == 1).all() else packed(scores.factor[rows], "f32"),
        "ranks": {name: packed(ranks[name], "u32") for name in taken},
        "given": None if scores.status is None else packed(scores.status[rows], "u8"),
    }
    values = scores.scores | scores.extra | {"bicubic": scores.bicubic} if everything else {"loss": scores.loss}
    words = scores.words if everything else {}
    made["values"] = {name: packed(column[rows], "f32") for name, column in values.items()}
    made["words"] = {name: {"words": w, "code": packed(code[rows], "i32")} for name, (w, code) in words.items()}
    return made


def _coreset_shares(scores: ReportScores, source: Sequence[str]) -> dict[str, Any] | None:
    """The shares that the core-set holds, and the arguments it was selected with."""
    if scores.status is None:
        return None
    n = len(scores)
    edges = np.linspace(0, n, min(100, n) + 1).astype(np.int64)
    parts = np.split(scores.status[scores.order] == KEPT, edges[1:-1])
    along = np.array([np.count_nonzero(part) / len(part) for part in parts])
    selection = {k: scores.selection.get(k, f.default) for k, f in Selection.__dataclass_fields__.items()}
    if scores.decision is not None and selection["reject"] == REJECTS:
        selection["reject"] = os.path.join(os.path.dirname(source[0]), REJECTS)
    known = {"asked": selection, "cut": scores.cut_by_loss, "options": _options(scores, selection)}
    return {"held": scores.held(scores.status), "along": packed(along, "f32"), **known}


def _options(scores: ReportScores, selection: dict[str, Any]) -> list[str] | None:
    """The words after ``srfast select TABLE`` that make the core-set again; None if its method was a function, of which
    only the name is known."""
    method = selection["method"]
    if method not in (*METHODS, *scores.scores, *scores.extra) and not is_file(method) and method not in added(GROUP):
        return None
    words = []
    for name, field in Selection.__dataclass_fields__.items():
        value = selection[name]
        if value is None or value == field.default:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words.append(":".join(f"{v:g}" for v in value) if isinstance(value, (list, tuple)) else str(value))
    return words


def wanted(scores: ReportScores) -> list[int]:
    """Rows to show as pictures, the most wanted first: along the curve, its ends, the borders of the core-set, and the
    extremes of every other column, from different images as far as possible; then the curve again, in ever finer steps.
    """
    n = len(scores)
    order = scores.order
    even = [int(order[int((i + 0.5) * n / min(24, n))]) for i in range(min(24, n))]
    sources = [_one_per_image(scores, order, 24), _one_per_image(scores, order[::-1], 16), even]
    if scores.status is not None:
        kept, left, dropped = (scores.ranks(s) for s in (KEPT, LEFT_OUT, DROPPED))
        if scores.cut_by_loss:
            up = scores.selection.get("order") == "asc"
            sources += [_one_per_image(scores, order[(kept if up else kept[::-1])], 12)]
            sources += [_one_per_image(scores, order[(left[::-1] if up else left)], 12)]
        sources += [spread(order[ranks], 12) for ranks in (dropped, left, kept) if len(ranks)]
    for name, values in scores.extra.items():
        if name == COLUMN or not np.isfinite(values).any():
            continue
        known = np.flatnonzero(np.isfinite(values))
        up = descending(values[known], "asc")
        ends = (up[::-1][:_LOOKED_AT], 6), (up[:_LOOKED_AT], 2)
        sources += [_one_per_image(scores, known[rows], many) for rows, many in ends]
    sources.append([int(row) for row in order[:24]])
    first = [row for several in zip_longest(*sources) for row in several if row is not None]
    # Multiples of the golden ratio: however many are taken, they are spread evenly.
    more = order if n <= MOST else order[((np.arange(MOST) * 0.6180339887498949) % 1.0 * n).astype(np.int64)]
    return list(dict.fromkeys([*first, *more.tolist()]))[:MOST]


def _one_per_image(scores: ReportScores, rows: np.ndarray, many: int) -> list[int]:
    """The first rows from different images, followed by rows that overlap none of them."""
    rows = rows[:_LOOKED_AT]
    _, first = np.unique(scores.code[rows], return_index=True)
    picked: list[int] = rows[np.sort(first)[:many]].tolist()
    for row in rows.tolist():
        if len(picked) == many:
            break
        if not any(_overlap(scores, row, other) for other in picked):
            picked.append(row)
    return picked


def spread(rows: np.ndarray, many: int) -> list[int]:
    """At most so many rows at even steps."""
    return [int(row) for row in rows[np.unique(np.rint(np.linspace(0, len(rows) - 1, many)).astype(np.int64))]]


def _overlap(scores: ReportScores, row: int, other: int) -> bool:
    if scores.code[row] != scores.code[other] or scores.factor[row] != scores.factor[other]:
        return False
    apart = max(abs(scores.x[row] - scores.x[other]), abs(scores.y[row] - scores.y[other]))
    return bool(apart < max(scores.size[row], scores.size[other]))
