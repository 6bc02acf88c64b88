"""Which arms are compared: every selection with its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srfast.evaluation.inference import Comparison, compare
from srfast.study.result_groups import Group, paired

_RIVALS: tuple[Mapping[str, Any], ...] = (
    *({"method": m} for m in ("bicubic", "sobel", "reducible", "hdc", "diverse", "stratified")),
    {"order": "asc"},
)
"""Selections with which the hardest by loss are compared."""
_SCORED = ("loss", "reducible", "stratified")
"""Methods that need the network."""


@dataclass(frozen=True)
class Pair:
    """A group against one of its controls."""

    group: Group
    control: Group
    question: str
    result: Comparison


def pairs(some: Sequence[Group], dataset: str) -> list[Pair]:
    """Every group against its controls, which are trained by the same recipe.

    * a random subset of the same size, and one redrawn for each pass, at the same updates
    * the same size and updates by another method, or in the other order
    * a selection that drops the hardest first against one that does not
    * all patches at the same updates
    * all patches at all updates, to find out whether the core-set is as good as everything
    """
    most: dict[tuple[Any, ...], int] = {}
    for g in some:
        if g.is_full:
            most[g.setting] = max(most.get(g.setting, 0), g.key.updates)
    found: list[Pair] = []
    for g in some:
        for c in some:
            question = None if c is g or g.is_full else _question(g, c, most.get(c.setting, 0))
            if question is not None and set(g.seeds) & set(c.seeds):
                found.append(Pair(g, c, question, compare(*paired(g, c, dataset))))
    return found


def _question(g: Group, c: Group, most: int) -> str | None:
    """The question that comparing g with c answers; None if there is none."""
    if g.setting != c.setting:
        return None
    if c.is_full:
        if c.key.updates == g.key.updates:
            return "all patches, same updates"
        return "all patches, all updates" if c.key.updates == most > g.key.updates else None
    if (g.kept, g.key.updates) != (c.kept, c.key.updates):
        return None
    if g.key.arm == c.key.arm or (g.key.scorer != c.key.scorer and c.select.get("method", "loss") in _SCORED):
        return None  # another scorer: a table of its own
    if g.is_random or g.redraw == "pass":
        return "random, drawn once" if g.redraw == "pass" and c.is_random else None
    if c.is_random:
        return "random, drawn once"
    if c.redraw == "pass":
        return "random, redrawn for each pass"
    if c.adaptive or g.adaptive:
        return None
    if not c.select and dict(g.select).keys() == {"drop_hardest"}:
        return "nothing dropped first"
    return "other method" if not g.select and c.select in _RIVALS else None
