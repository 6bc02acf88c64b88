"""Which patches the report shows as pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from srfast.report.scores import DROPPED, KEPT, LEFT_OUT, Scores
from srfast.report.text import percent

STRIP = 12
"""Pictures under the loss curve."""
_LOOKED_AT = 20_000
"""Patches looked at to fill one group: with heavily overlapping windows most of them repeat one shown."""


@dataclass(frozen=True)
class Group:
    rows: list[int]
    caption: str


@dataclass(frozen=True)
class Gallery:
    id: str
    title: str
    groups: list[Group]


def strip(scores: Scores) -> list[int]:
    """Rows evenly spaced over the loss order: the middle of each twelfth."""
    n = min(STRIP, len(scores))
    return [int(scores.order[int((i + 0.5) * len(scores) / n)]) for i in range(n)]


def galleries(scores: Scores) -> list[Gallery]:
    """The hardest and the easiest patches; with a core-set also those at its border and those it lacks."""
    many = 16 if int(scores.size.max()) <= 96 else 12
    ranks = np.arange(len(scores))
    shown = [
        Gallery(
            "hardest",
            "Hardest",
            [Group(_distinct(scores, ranks, many), "The highest losses of the whole dataset, in order.")],
        ),
        Gallery(
            "easiest",
            "Easiest",
            [Group(_distinct(scores, ranks[::-1], many), "The lowest losses of the whole dataset, in order.")],
        ),
    ]
    if scores.status is not None:
        # Where a selection does not cut by loss, nothing lies beside its border.
        shown += [_borderline(scores, many // 2)] if scores.cut_by_loss else []
        shown += [_dropped(scores, many)]
    return shown


def _borderline(scores: Scores, many: int) -> Gallery:
    """The kept patches nearest in loss to what was left out, and the reverse."""
    kept, left = scores.ranks(KEPT), scores.ranks(LEFT_OUT)
    ascending = scores.selection.get("order") == "asc"
    inner = kept if ascending else kept[::-1]
    outer = left[::-1] if ascending else left
    low, high = ("highest", "lowest") if ascending else ("lowest", "highest")
    groups = [
        Group(_distinct(scores, inner, many), f"Just kept: the {low} losses inside the core-set."),
        Group(_distinct(scores, outer, many), f"Just left out: the {high} losses outside the core-set."),
    ]
    return Gallery("borderline", "Borderline", [group for group in groups if group.rows])


def _dropped(scores: Scores, many: int) -> Gallery:
    hardest, left = scores.ranks(DROPPED), scores.ranks(LEFT_OUT)
    groups = []
    if len(hardest):
        text = f"Removed as the hardest {percent(len(hardest), len(scores))} of the dataset"
        groups.append(Group(_spread(scores, hardest, many), f"{text}: a sample spread evenly from hardest to easiest."))
    if len(left):
        text = "Left out by the selection: a sample spread evenly from hardest to easiest."
        groups.append(Group(_spread(scores, left, many // 2 if groups else many), text))
    return Gallery("dropped", "Dropped", groups)


def _spread(scores: Scores, ranks: np.ndarray, many: int) -> list[int]:
    at = np.unique(np.rint(np.linspace(0, len(ranks) - 1, many)).astype(np.int64))
    return [int(row) for row in scores.order[ranks[at]]]


def _distinct(scores: Scores, ranks: np.ndarray, many: int) -> list[int]:
    """The first rows of ``ranks`` that do not overlap one another."""
    rows: list[int] = []
    for row in scores.order[ranks[:_LOOKED_AT]].tolist():
        if not _overlaps(scores, row, rows):
            rows.append(row)
        if len(rows) == many:
            break
    return rows


def _overlaps(scores: Scores, row: int, others: Iterable[int]) -> bool:
    for other in others:
        reach = max(scores.size[row], scores.size[other])
        if (
            scores.code[row] == scores.code[other]
            and abs(scores.x[row] - scores.x[other]) < reach
            and abs(scores.y[row] - scores.y[other]) < reach
        ):
            return True
    return False
