"""The description of a study: what its TOML file says, each key declared once, and the cells that follow from it."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from srfast.coreset.settings import ARGUMENTS, METHODS, Selection
from srfast.data.images import shard_of
from srfast.data.toml import Key
from srfast.errors import InputError
from srfast.ops.device import Device
from srfast.scoring.settings import Mode, Scale, ScoreArguments
from srfast.settings import SCALES, Kind, Settings, fitting, fraction, number, one_of, several, text, whole
from srfast.training.plan import Plan
from srfast.training.recipes import Recipe, recipe
from srfast.training.settings import TrainSettings

DEGRADED = "-degraded"
"""The suffix of the name of a test set whose LR images are degraded like those of the trainings."""
SELECT = tuple(name for name in ARGUMENTS if name not in ("keep", "keep_loss", "seed"))
"""Arguments of ``srfast.select`` that an arm may set."""
DRAWS = ("even", "sizes", "loss^0.5", "loss")
"""The values of ``Arm.draws``."""
RECIPE = tuple(f.name for f in dataclasses.fields(Recipe) if f.name != "lr_factors")
"""Fields of a model's recipe that a study, or one of its arms, may change."""


def key(kind: Kind, default: Any = MISSING, table: str = "", name: str = "") -> Any:
    """A field of a study's description that is a key of a table of its file: its values, its default, and its name
    there if it is another."""
    about = {"key": Key(kind, default), "table": table, "name": name}
    return field(metadata=about) if default is MISSING else field(default_factory=lambda: default, metadata=about)


def setting_of(settings: type[Settings], name: str, table: str = "", **default: Any) -> Any:
    """A setting of a command as such a field, with the command's default unless another is given."""
    own = settings.__dataclass_fields__[name]
    return key(own.metadata["kind"], default.get("default", own.default), table)


def keys(of: type, table: str = "") -> dict[str, Key]:
    """The keys of a table, by the fields of a description."""
    known = ((f.metadata, f.name) for f in dataclasses.fields(of) if f.metadata.get("table") == table)
    return {about["name"] or name: about["key"] for about, name in known}


TABLE = Kind("a table", fitting(lambda value: isinstance(value, dict)))


def _options(value: Any) -> dict[str, Any]:
    json.dumps(value)  # dates, which models do not take either, cannot be kept beside the results
    return {model: TABLE.convert(sizes) for model, sizes in TABLE.convert(value).items()}


def _seeds(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return tuple(range(whole(1, (1 << 16) - 1).convert(value)))
    seeds = tuple(whole(0, (1 << 31) - 1).convert(v) for v in value)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError
    return seeds


def _budget(value: Any) -> str | float:
    return str(one_of("epochs", "updates").convert(value)) if isinstance(value, str) else float(_PART.convert(value))


_PART = number("a number above 0", lambda v: 0 < v <= sys.float_info.max)
_UPDATES = whole(1, (1 << 31) - 1)
_NAME = Kind(
    "letters, digits, . and _", fitting(lambda value: isinstance(value, str) and re.fullmatch(r"[\w.]+", value))
)
_OPTIONS = Kind("a table of tables, one a model", _options)
_SEEDS = Kind("a number of seeds below 65,536, or a list of different ones below 2^31", _seeds)
_BUDGET = several(Kind("'epochs', 'updates' or a fraction of the updates", _budget))


def share(name: str) -> Kind:
    """A fraction above 0."""
    return fraction(name, zero=False, one=True)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One selection at one or more fractions kept and budgets."""

    name: str = key(_NAME)
    keep: tuple[float, ...] = key(several(share("keep")), None)
    budget: tuple[str | float, ...] = key(_BUDGET, ("epochs",))
    """"epochs": the updates times the fraction kept, the paper's fixed epochs. "updates": all; a number: a fraction."""
    select: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of ``srfast.select``, except keep, keep_loss and seed."""
    redraw: str = key(one_of("seed", "pass"), "seed")
    """"seed": a random subset is drawn once for each seed. "pass": afresh for every pass over the data (RS2)."""
    models: tuple[str, ...] = key(several(text("a model")), ())
    """Models that this arm trains; empty: all of the study."""
    scorers: tuple[str, ...] = key(several(text("a scorer")), ())
    """Scorers of the study by whose scores this arm selects; empty: all of them."""
    draws: str = key(one_of(*DRAWS), "even")
    """How often a patch is drawn for a crop: "even": each as often as the others. "sizes": each size of the images as
    often as the others. "loss^0.5", "loss": in proportion to that power of its loss."""
    mix: float = key(fraction("mix", zero=True, one=False), 0.0)
    """Share of the crops that are drawn evenly from all patches among which the arm selects; the others are drawn from
    its selection."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the model's recipe that differ from the study's."""
    of_loss: bool = False
    """Whether ``keep`` holds shares of the summed loss, as ``keep_loss`` of the file, instead of the patches."""

    @property
    def asks_scorer(self) -> bool:
        """Whether another scorer would give another core-set."""
        method = METHODS.get(self.select.get("method", ""), METHODS["loss"])
        by_loss = self.of_loss or self.draws.startswith("loss")
        return by_loss or (not self.column and (set(self.select) != {"method"} or method.scored))

    @property
    def column(self) -> str:
        """Column of the pool's scores by which an arm with a target sorts, such as "influence.documents"; or ""."""
        target = self.select.get("target")
        return f"{self.select['method']}.{Path(target).name}" if target else ""

    def selection(self, keep: float, seed: int) -> Selection:
        """The arguments of ``srfast.select``; for a target those of the pool's column."""
        select = dict(self.select)
        if self.column:
            select["method"] = self.column
            del select["target"]
        if self.of_loss:
            return Selection(keep_loss=keep, seed=seed, **select)
        return Selection(keep=1.0 if self.redraw == "pass" else keep, seed=seed, **select)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A comparison that the study names before it is run: the arm minus its control, at the same updates."""

    arm: str = key(text("the name of an arm"))
    keep: float = key(share("keep"), 0.0)
    against: str = key(text("the name of an arm"))
    against_keep: float = key(share("against_keep"), 0.0)
    updates: int = key(_UPDATES, 0)
    """Number of updates; 0 takes the study's."""
    dataset: str = key(text("the name of a test set"), "")
    stratum: str = key(one_of("easy", "middle", "hard", "flat"), "")
    """"" is the whole test set, a claim of the first family; otherwise one of the strata, of the second."""
    model: str = key(text("the name of a model"), "")
    """Name of the model; "" takes the study's first."""
    scale: int = key(one_of(*SCALES), 0)
    """0 takes the study's only one."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A grid of trainings; docs/running-a-study.md describes the keys of its file."""

    name: str
    title: str
    train: tuple[str, ...] = key(several(text("a folder of images")), (), "data")
    test: Mapping[str, str] = key(TABLE, {}, "data")
    holdout: float = key(number("a fraction below 1", lambda v: 0 < v <= 0.999), 0.1, "data")
    pool: tuple[float, ...] = key(several(share("pool")), (1.0,), "data")
    scales: tuple[Scale, ...] = key(several(one_of(*SCALES)), (2,), "scoring", "scale")
    patch: int = setting_of(ScoreArguments, "patch", "scoring")
    stride: int = setting_of(ScoreArguments, "stride", "scoring", default=None)
    mode: Mode = setting_of(ScoreArguments, "mode", "scoring")
    shrink: tuple[str, ...] = setting_of(ScoreArguments, "shrink", "scoring")
    """Sizes at which each image is scored, as fractions of its own."""
    defects: bool = setting_of(ScoreArguments, "defects", "scoring")
    """Whether the scores have the columns of defects."""
    scorers: tuple[str, ...] = key(
        several(text("srcnn, srcnn:SEED, bicubic or a file of weights")), ("srcnn",), "scoring"
    )
    scorer_updates: int = key(_UPDATES, 500, "scoring")
    join: str = key(text("a .csv, .parquet or .txt file"), "", "scoring")
    """A table whose columns are joined to the scores, by image or by image, x and y; "": none."""
    models: tuple[str, ...] = key(several(text("a model")), table="training")
    updates: int = key(_UPDATES, table="training")
    seeds: tuple[int, ...] = key(_SEEDS, (0, 1, 2, 3), "training")
    precision: str = setting_of(TrainSettings, "precision", "training")
    device: Device = setting_of(TrainSettings, "device", "training")
    save_every: int = setting_of(TrainSettings, "save_every", "training")
    cache_mb: int = setting_of(TrainSettings, "cache_mb", "training")
    recipe: Mapping[str, Any]
    options: Mapping[str, Mapping[str, Any]] = key(_OPTIONS, {}, "training")
    arms: tuple[Arm, ...]
    claims: tuple[Claim, ...] = ()
    degradation: str = key(text("a degradation: a TOML file, or a preset"), "", "training")
    """The degradation of the LR images of trainings: a preset, or the path of a file; "": bicubic. Each test set is
    then tested with both."""
    own: Mapping[str, str] = field(default_factory=dict)
    """FILE.py:NAME of each model of the user's, by its NAME, which ``models`` holds."""

    def network(self, model: str) -> str:
        """A model as ``srfast.models.create`` takes it."""
        return self.own.get(model, model)

    def recipe_of(self, arm: Arm, model: str, scale: int) -> Recipe:
        """The model's recipe at a scale, with the study's changes and those of the arm."""
        return dataclasses.replace(recipe(model, scale), **{**self.recipe, **arm.recipe})

    def updates_of(self, budget: str | float, keep: float, pool: float) -> int:
        """Optimiser updates of a budget, at least one, rounded half up."""
        part = {"epochs": keep * pool, "updates": 1.0}[budget] if isinstance(budget, str) else budget
        return max(1, int(part * self.updates + 0.5))


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
        by_loss = self.arm.of_loss or self.arm.draws.startswith("loss")
        return by_loss or (self.keep < 1 and dict(self.arm.select) != {"method": "random"})

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
        if arm.scorers and Path(study.scorers[scorer]).name not in arm.scorers:
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


def pick(all_cells: Sequence[Cell], only: str | None, shard: tuple[int, int] | None) -> list[Cell]:
    """The cells of one shard whose name matches a pattern (* and ?; a plain word matches anywhere in the name)."""
    chosen = list(all_cells)
    if only is not None:
        pattern = only if any(c in only for c in "*?[") else f"*{only}*"
        chosen = [c for c in chosen if fnmatch.fnmatchcase(c.name, pattern)]
        if not chosen:
            raise InputError(f"only: expected a pattern of cell names, such as {all_cells[0].name}, got {only!r}")
    return shard_of(chosen, shard)
