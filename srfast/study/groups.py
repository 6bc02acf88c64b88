"""Results in groups, the seeds of one selection, model and budget as arrays, and which groups are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from srfast.evaluation.inference import Comparison, compare
from srfast.study.description import RECIPE
from srfast.study.results import Results
from srfast.training.recipes import Recipe

MAIN = ("BSD100", "B100", "BSDS100")
"""Test sets for tables of one test set: the first of these that exists, otherwise the largest."""


class GroupKey(NamedTuple):
    """The settings that the seeds of a group share."""

    scale: int
    model: str
    arm: str
    keep: float
    updates: int
    pool: float
    scorer: str


@dataclass(frozen=True)
class Group:
    """One row of a table: all seeds of one key."""

    key: GroupKey
    seeds: tuple[int, ...]
    cells: tuple[str, ...]
    """Name of the cell of each seed."""
    psnr: dict[str, np.ndarray]
    """PSNR in dB by test set [seeds, images], images in the order of their names."""
    ssim: dict[str, np.ndarray]
    seconds: np.ndarray
    """Seconds of training [seeds]."""
    scoring_seconds: np.ndarray
    patches: int
    select: dict[str, Any]
    """Arguments of ``srfast.select`` that the arm sets."""
    redraw: str
    adaptive: bool = False
    """Whether crops are not drawn evenly from the selection, or the training itself chose patches by their losses,
    which older results can have."""
    recipe: str = ""
    """The recipe of its trainings, as JSON."""
    of_loss: bool = False
    """Whether ``key.keep`` is a share of the summed loss instead of the patches."""

    def per_seed(self, dataset: str, metric: str = "psnr") -> np.ndarray:
        """The mean over the images of a test set [seeds]."""
        values: np.ndarray = getattr(self, metric)[dataset].mean(1)
        return values

    @property
    def network(self) -> tuple[int, str, str]:
        """Scale, model and recipe: what is trained, whatever it is trained on."""
        return self.key.scale, self.key.model, self.recipe

    @property
    def setting(self) -> tuple[tuple[int, str, str], float]:
        """The network and the part of the images, which groups that are compared share."""
        return self.network, self.key.pool

    @property
    def is_full(self) -> bool:
        """Whether it holds all patches, without a selection; those of an arm are the ones of its ``setting``."""
        return self.key.keep == 1 and not self.of_loss and not self.select and not self.adaptive

    @property
    def kept(self) -> str:
        """The share that is kept, in words."""
        return f"{100 * self.key.keep:g} %" + (" of the error" if self.of_loss else "")

    @property
    def is_random(self) -> bool:
        """Whether it is a random subset, drawn once for each seed."""
        return self.select == {"method": "random"} and self.redraw == "seed" and not self.is_full


@lru_cache(maxsize=64)
def groups(results: Results) -> Sequence[Group]:
    """The groups, in the order in which the study names them."""
    settings = {name: cell["settings"] for name, cell in results.meta["cells"].items()}
    by_cell: dict[str, list[dict[str, Any]]] = {}
    for row in results.table.to_pylist():
        by_cell.setdefault(row["cell"], []).append(row)
    by_key: dict[GroupKey, dict[int, list[dict[str, Any]]]] = {}
    for rows in by_cell.values():
        by_key.setdefault(GroupKey(*(rows[0][k] for k in GroupKey._fields)), {})[rows[0]["seed"]] = rows
    order = [arm["name"] for arm in results.meta["study"]["arms"]]
    models = list(results.meta["study"]["models"])
    keys = sorted(
        by_key, key=lambda k: (k.scale, models.index(k.model), order.index(k.arm), -k.pool, -k.keep, k.updates)
    )
    return tuple(_group(key, by_key[key], settings) for key in keys)


def _group(key: GroupKey, by_seed: dict[int, list[dict[str, Any]]], settings: dict[str, dict[str, Any]]) -> Group:
    seeds = tuple(sorted(by_seed))
    first = by_seed[seeds[0]]
    own = settings[first[0]["cell"]]
    arm = own["arm"]
    # Results from before a recipe had a field were trained with its default.
    recipe = {
        name: own.get("recipe", {}).get(name, f.default)
        for name, f in Recipe.__dataclass_fields__.items()
        if name in RECIPE
    }
    datasets = list(dict.fromkeys(row["dataset"] for row in first))
    datasets = [d for d in datasets if all(any(row["dataset"] == d for row in rows) for rows in by_seed.values())]

    ordered = [sorted(by_seed[s], key=lambda r: str(r["image"])) for s in seeds]

    def values(name: str, dataset: str) -> np.ndarray:
        return np.array([[r[name] for r in rows if r["dataset"] == dataset] for rows in ordered])

    return Group(
        key,
        seeds,
        tuple(by_seed[s][0]["cell"] for s in seeds),
        {d: values("psnr", d) for d in datasets},
        {d: values("ssim", d) for d in datasets},
        np.array([by_seed[s][0]["seconds"] for s in seeds]),
        np.array([by_seed[s][0]["scoring_seconds"] for s in seeds]),
        first[0]["patches"],
        arm["select"],
        arm["redraw"],
        bool(arm.get("reselect_every") or arm.get("sample") or arm.get("mix") or arm.get("draws", "even") != "even"),
        json.dumps(recipe, sort_keys=True),
        arm.get("of_loss", False),
    )


def paired(group: Group, other: Group, dataset: str) -> tuple[np.ndarray, np.ndarray]:
    """PSNR of two groups on a test set, at the seeds that both have [seeds, images]."""
    both = sorted(set(group.seeds) & set(other.seeds))
    a, b = (g.psnr[dataset][[g.seeds.index(s) for s in both]] for g in (group, other))
    return a, b


def main_dataset(some: Sequence[Group]) -> str:
    """The test set of tables and figures that show only one."""
    sizes = {d: a.shape[1] for g in some for d, a in g.psnr.items()}
    return next((d for d in MAIN if d in sizes), max(sizes, key=lambda d: sizes[d]))


def training_seconds(some: Sequence[Group]) -> dict[GroupKey, float]:
    """Seconds of training: the updates at the fastest pace of any cell of the network.

    The selection does not change the time of an update, and other load of the machine only adds to it. Arms that choose
    while training have a pace of their own.
    """
    paces: dict[tuple[Any, bool], list[float]] = {}
    for g in some:
        paces.setdefault((g.network, g.adaptive), []).extend(g.seconds / g.key.updates)
    return {g.key: g.key.updates * float(min(paces[g.network, g.adaptive])) for g in some}


_RIVALS: tuple[Mapping[str, Any], ...] = (
    *({"method": m} for m in ("bicubic", "sobel", "reducible", "hdc", "diverse", "stratified")),
    {"order": "asc"},
)
"""Selections with which the hardest by loss are compared."""
_SCORED = ("loss", "reducible", "stratified")
"""Methods that need the network."""


@dataclass(frozen=True)
class GroupPair:
    """A group against one of its controls."""

    group: Group
    control: Group
    question: str
    result: Comparison


def pairs(some: Sequence[Group], dataset: str) -> list[GroupPair]:
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
    compared: list[GroupPair] = []
    for g in some:
        for c in some:
            question = None if c is g or g.is_full else _question(g, c, most.get(c.setting, 0))
            if question is not None and set(g.seeds) & set(c.seeds):
                compared.append(GroupPair(g, c, question, compare(*paired(g, c, dataset))))
    return compared


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
