"""The cells of a study: its trainings and their order."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from srfast.data.images import shard_of
from srfast.errors import InputError
from srfast.scoring.settings import Scale
from srfast.study.description import Arm, Study
from srfast.training.plan import Plan


@dataclass(frozen=True)
class Cell:
    """One training and its evaluations."""

    arm: Arm
    model: str
    keep: float
    updates: int
    pool: float
    scale: Scale
    scorer: int
    """Index among the study's scorers."""
    seed: int

    @property
    def needs_scores(self) -> bool:
        """Whether scoring is part of its cost; bicubic and Sobel are columns of the same table."""
        return self.arm.of_loss or (self.keep < 1 and dict(self.arm.select) != {"method": "random"})

    @property
    def name(self) -> str:
        """Name of the cell and of its folder."""
        parts = [self.model, self.arm.name, f"k{100 * self.keep:g}", f"u{self.updates}"]
        if self.pool < 1:
            parts.append(f"p{100 * self.pool:g}")
        if self.scale != 2:
            parts.append(f"x{self.scale}")
        if self.scorer:
            parts.append(f"c{self.scorer}")
        return "-".join([*parts, f"s{self.seed}"])


def plan_of(study: Study, cell: Cell) -> Plan:
    """The plan of the training of a cell."""
    return Plan(
        study.network(cell.model),
        cell.scale,
        cell.updates,
        study.recipe_of(cell.arm, cell.model, cell.scale),
        cell.seed,
        study.precision,
        study.options.get(cell.model, {}),
        redraw=cell.keep if cell.arm.redraw == "pass" else 1.0,
    )


def cells(study: Study) -> list[Cell]:
    """All cells, every seed 0 before any seed 1, so that an interrupted study is balanced."""
    by_name: dict[str, Cell] = {}
    settings = product(study.seeds, range(len(study.scorers)), study.pool, study.scales, study.models, study.arms)
    for seed, scorer, pool, scale, model, arm in settings:
        if (arm.models and model not in arm.models) or (scorer and not arm.asks_scorer):
            continue
        for keep, budget in product(arm.keep, arm.budget):
            cell = Cell(arm, model, keep, study.updates_of(budget, keep, pool), pool, scale, scorer, seed)
            known = by_name.setdefault(cell.name, cell)
            if known != cell:
                raise InputError(
                    f"arm {arm.name!r}: expected values that differ in their first six digits, got keep {known.keep!r} "
                    f"and {cell.keep!r}, pool {known.pool!r} and {cell.pool!r} for one training, {cell.name}"
                )
    return list(by_name.values())


def serves(study: Study, cell: Cell, claim: Mapping[str, Any]) -> bool:
    """Whether a claim compares this cell."""
    sides = ((claim["arm"], claim["keep"]), (claim["against"], claim["against_keep"]))
    same = cell.pool == 1 and cell.scorer == 0 and cell.scale == (claim["scale"] or study.scales[0])
    same &= cell.model == (claim["model"] or study.models[0])
    return same and (cell.arm.name, cell.keep) in sides and cell.updates == (claim["updates"] or study.updates)


def pick(all_cells: Sequence[Cell], only: str | None, shard: tuple[int, int] | None) -> list[Cell]:
    """The cells of one shard whose name matches a pattern (* and ?; a plain word matches anywhere in the name)."""
    chosen = list(all_cells)
    if only is not None:
        pattern = only if any(c in only for c in "*?[") else f"*{only}*"
        chosen = [c for c in chosen if fnmatch.fnmatchcase(c.name, pattern)]
        if not chosen:
            raise InputError(f"only: expected a pattern of cell names, such as {all_cells[0].name}, got {only!r}")
    return shard_of(chosen, shard)
