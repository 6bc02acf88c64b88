"""Two selections, or two scorers of the same patches, side by side: pictures of what only one of them keeps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa

from srfast.coreset.joining import located
from srfast.coreset.selection import CoreSet, select
from srfast.coreset.settings import SCORES
from srfast.errors import InputError
from srfast.report.content import ColumnLabel, Content, Fact, Gallery, ShotGroup, count, percent
from srfast.report.explorer import label, spread
from srfast.report.pictures import cut
from srfast.report.report import checksum, lede, shot
from srfast.report.scores import ReportScores, read_scores
from srfast.scoring.rows import Rows
from srfast.scoring.settings import COMPARED
from srfast.scoring.table import SCHEMA, ScoreTable

_SHOWN = 32
"""Largest number of patches in a gallery."""


def comparison(a: Rows, b: Rows, names: Sequence[str], root: Path | None = None) -> Content:
    """The content of a page that compares two core-sets, or the hardest halves of the same patches by two score tables.
    Raises InputError if one is a core-set and the other is not, or they have other images, grids or patches."""
    if isinstance(a, CoreSet) != isinstance(b, CoreSet):
        raise InputError(f"{names[1]}: expected two core-sets or two score tables, got one of each")
    ignored = ("scorer", "mode", "boundary", "precision")
    for setting in ("root", *(s for s in COMPARED if s not in ignored)):
        if a.meta.get(setting) != b.meta.get(setting):
            raise InputError(
                f"{names[1]}: {setting} differs: {names[0]} has {a.meta.get(setting)!r}, "
                f"this table has {b.meta.get(setting)!r}"
            )
    matched = located(a, b)
    if isinstance(a, CoreSet):
        return _of_selections(a, b, matched, names, root)
    if len(a) != len(b) or (matched < 0).any():
        raise InputError(f"{names[1]}: expected the {len(a)} patches of {names[0]}, got other patches")
    return _of_scorers(a, b, matched, names, root)


def _of_selections(a: Rows, b: Rows, matched: np.ndarray, names: Sequence[str], root: Path | None) -> Content:
    others = np.flatnonzero(matched < 0)
    table = pa.concat_tables([a.table.select(SCHEMA.names), b.table.select(SCHEMA.names).take(pa.array(others))])
    scores = _scores(ScoreTable(table, a.meta), root)
    in_a = np.arange(len(scores)) < len(a)
    in_b = ~in_a
    in_b[matched[matched >= 0]] = True
    columns = {name: label(name) for name in SCORES}
    values = {name: getattr(scores, name) for name in SCORES}
    return _content(scores, in_a, in_b, names, columns, values, "keeps")


def _of_scorers(a: Rows, b: Rows, matched: np.ndarray, names: Sequence[str], root: Path | None) -> Content:
    scores = _scores(a, root)
    other = np.empty(len(b), np.float32)
    other[matched] = b.column("loss")
    kept = np.zeros((2, len(a)), bool)
    for inside, t, rows in zip(kept, (a, b), (np.arange(len(a)), matched), strict=True):
        numbered = ScoreTable(t.table.append_column("srfast row", pa.array(rows)), t.meta)
        inside[select(numbered, engine="memory").column("srfast row")] = True
    columns = {"a": ColumnLabel(f"Loss, {names[0]}", "mse"), "b": ColumnLabel(f"Loss, {names[1]}", "mse")}
    return _content(scores, kept[0], kept[1], names, columns, {"a": scores.loss, "b": other}, "has in its hardest half")


def _scores(table: Rows, root: Path | None) -> ReportScores:
    if "shrink" in table.columns:
        raise InputError("scores: two tables of images at several sizes (shrink) cannot be compared as pictures yet")
    return read_scores(ScoreTable(table.table.select(SCHEMA.names), table.meta), None, root=root)


def _content(
    scores: ReportScores,
    in_a: np.ndarray,
    in_b: np.ndarray,
    names: Sequence[str],
    columns: dict[str, ColumnLabel],
    values: dict[str, np.ndarray],
    keeps: str,
) -> Content:
    parts = [
        ("only-a", f"Only {names[0]}", in_a & ~in_b),
        ("only-b", f"Only {names[1]}", in_b & ~in_a),
        ("both", "Both", in_a & in_b),
    ]
    picked = [_spread(scores, np.flatnonzero(inside)) for _, _, inside in parts]
    # The first of each, then the second of each, and so on, so that a budget cuts all of them alike.
    pictures = cut(scores, [row for rows in zip_longest(*picked) for row in rows if row is not None])
    rows = list(pictures.patches)
    place = {row: i for i, row in enumerate(rows)}
    galleries = []
    for (id, title, inside), some in zip(parts, picked, strict=True):
        caption = "A sample spread evenly from the hardest to the easiest."
        groups = [ShotGroup(caption, [place[r] for r in some if r in place])] if some else []
        galleries.append(Gallery(id, f"{title}: {count(int(inside.sum()), 'patch')}", groups, reason="by hand"))
    shared, either = int((in_a & in_b).sum()), int((in_a | in_b).sum())
    apart = scores.loss[in_a ^ in_b].sum(dtype=np.float64) / (scores.loss.sum(dtype=np.float64) or 1.0)
    facts = [
        Fact(names[0], f"{int(in_a.sum()):,}", f"patches, mean loss {scores.loss[in_a].mean():.4g}"),
        Fact(names[1], f"{int(in_b.sum()):,}", f"patches, mean loss {scores.loss[in_b].mean():.4g}"),
        Fact("In both", f"{shared:,}", f"{percent(shared, int(in_a.sum()))} of the first"),
        Fact("Overlap", f"{shared / either:.3f}", "in both, of all that are in either (Jaccard)"),
        Fact("Error apart", percent(float(apart)), "of the summed loss lies in one"),
    ]
    return Content(
        kind="report",
        title=f"{percent(shared, int(in_a.sum()))} of what the first {keeps}, the second {keeps} too",
        lede=lede(scores),
        checksum=checksum(scores),
        facts=facts,
        columns=columns,
        shots=[shot(scores, row, pictures, values) for row in rows],
        galleries=galleries,
        galleries_title=f"{names[0]} beside {names[1]}",
        galleries_text=f"What only one of the two {keeps}, and what both do.",
    )


def _spread(scores: ReportScores, rows: np.ndarray) -> list[int]:
    """Rows spread evenly over the order of the loss, hardest first."""
    return spread(rows[np.argsort(-scores.loss[rows], kind="stable")], _SHOWN) if len(rows) else []
