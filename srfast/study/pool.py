"""The data of a study: training images and test sets, scores of the whole pool, and the store of one cell."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from srfast.coreset.joining import join_columns, keys_of, read_table
from srfast.coreset.methods.base import targeted
from srfast.coreset.pairs import read_patches
from srfast.coreset.selection import CoreSet, select
from srfast.coreset.settings import SelectArguments
from srfast.data.atomic import atomic_path
from srfast.data.images import find_images
from srfast.data.run_folder import check_same
from srfast.data.workers import ordered_map
from srfast.degradation.plan import Degradation, Draws
from srfast.errors import InputError
from srfast.runtime.locks import Lock
from srfast.runtime.threads import cores
from srfast.scoring.metadata import read_meta
from srfast.scoring.network import load_network
from srfast.scoring.pipeline import write_scores
from srfast.scoring.scored import unchanged
from srfast.scoring.settings import Scale, ScoreArguments
from srfast.scoring.table import ScoreTable
from srfast.study.description import DEGRADED, Arm, Cell, Study
from srfast.study.results import images_as_text, read_json
from srfast.training.loop import train
from srfast.training.plan import Plan
from srfast.training.recipes import recipe
from srfast.training.sources import open_store
from srfast.training.store import PairStore, regions_of

_POOL_STREAM = 7  # apart from the streams of training and selection


@dataclass(frozen=True)
class Data:
    """The image files of a study."""

    train: list[str]
    test: dict[str, list[str]]
    """Name of a test set -> its files; those of a degradation come a second time, by a name that ends in DEGRADED."""


@dataclass(frozen=True)
class Scored:
    """The scores of the pool by one scorer."""

    table: Path
    scorer: str
    patches: int
    seconds: float
    """Seconds of training the scorer, if the study trains it, and of scoring."""
    targets: Mapping[str, float] = field(default_factory=dict)
    """The columns of arms with a target, and the seconds that each took."""

    def seconds_of(self, arm: Arm) -> float:
        """The seconds of scoring that an arm's selection needs."""
        return self.seconds + self.targets.get(arm.column, 0.0)


def find_data(study: Study) -> Data:
    """Lists the images; without test sets, every n-th training image is held out for testing."""
    files = [str(f.path) for f in find_images(study.train)]
    tests = {name: [str(f.path) for f in find_images(folder)] for name, folder in study.test.items()}
    if not tests and len(files) < 2:
        raise InputError(f"data.train: expected at least 2 images, one of them for testing, got {len(files)}")
    if not tests:
        count = max(1, int(study.holdout * len(files) + 0.5))
        kept = {int((i + 0.5) * len(files) / count) for i in range(count)}
        tests = {"holdout": [f for i, f in enumerate(files) if i in kept]}
        files = [f for i, f in enumerate(files) if i not in kept]
    degraded = {f"{t}{DEGRADED}": of for t, of in tests.items() if study.degradation}
    return Data(files, {**tests, **degraded})


def scores_file(out: Path, number: int, scale: int) -> Path:
    """The score table of one of the study's scorers at one scale."""
    return out / f"scores-{number}{f'-x{scale}' if scale != 2 else ''}.parquet"


def score_pool(study: Study, data: Data, out: Path, number: int, scale: Scale, workers: int) -> Scored:
    """Scores the whole pool by one of the study's scorers, once for all cells."""
    table = scores_file(out, number, scale)
    with Lock.wait(table.with_suffix(".lock"), table):
        if (before := check_scored(study, data, out, number, scale)) is not None:
            return before
        recorded = _table_settings(study, data, number, scale)
        began = time.perf_counter()
        scorer = _scorer(study, data, out, number, scale)
        settings = ScoreArguments(
            scale=scale, patch=study.patch, stride=study.stride, mode=study.mode, scorer=scorer, device=study.device,
            threads=workers, shrink=study.shrink, defects=study.defects,
        )  # fmt: skip
        summary = write_scores(data.train, table, settings)
        if study.join:
            other = read_table(Path(study.join))
            join_columns(ScoreTable.read(table), other, keys_of(other)).table.write(table)
        seconds = time.perf_counter() - began
        known: dict[str, Any] = {
            "patches": summary.patches,
            "seconds": round(seconds, 3),
            "targets": _add_targets(study, table),
        }
        with atomic_path(table.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps({"asked": recorded, **known}), encoding="utf-8")
        return Scored(table, study.scorers[number], **known)


def check_scored(study: Study, data: Data, out: Path, number: int, scale: Scale) -> Scored | None:
    """The scores of the pool, if there are any. Raises InputError if they are of another pool or of other settings;
    nothing is scored."""
    table = scores_file(out, number, scale)
    about = table.with_suffix(".json")
    if not (about.exists() and table.exists()):
        return None
    known, settings = read_json(about), _table_settings(study, data, number, scale)
    way = "run the study into another folder"
    check_same(table, known["asked"], settings, done="scored", way=way, sums={"images": "other images"})
    then = [image for _, image in sorted(read_meta(table)["images"].items())]
    same = ordered_map(lambda pair: unchanged(Path(pair[0]), pair[1]), zip(data.train, then, strict=False), cores())
    with closing(same) as checked:
        for (file, _), is_same in checked:
            if not is_same:
                raise InputError(f"{file}: has changed since {table} was scored", hint=way)
    return Scored(table, study.scorers[number], known["patches"], known["seconds"], known["targets"])


def _targets(study: Study) -> dict[str, Arm]:
    """The columns by which arms with a target sort, and one arm of each."""
    return {arm.column: arm for arm in study.arms if arm.column}


def _add_targets(study: Study, path: Path) -> dict[str, float]:
    """Adds those columns to the score table of the pool, and returns the seconds of each."""
    table, seconds = ScoreTable.read(path), {}
    for column, arm in _targets(study).items():
        began = time.perf_counter()
        settings = SelectArguments(method=arm.select["method"], target=arm.select["target"])
        scored = targeted(table, settings)
        meta = {**table.meta, column: scored.meta[settings.method]} if settings.method in scored.meta else table.meta
        table = ScoreTable(table.table.append_column(column, scored.table.column(settings.method)), meta)
        seconds[column] = round(time.perf_counter() - began, 3)
    if seconds:
        table.write(path)
    return seconds


def _table_settings(study: Study, data: Data, number: int, scale: int) -> dict[str, Any]:
    """The settings on which a score table depends."""
    folders = {column: find_images([arm.select["target"]]) for column, arm in _targets(study).items()}
    return {
        "scorer": study.scorers[number],
        "scale": scale,
        **{k: getattr(study, k) for k in ("patch", "stride", "mode", "scorer_updates", "shrink", "defects")},
        "images": [Path(f).name for f in data.train],
        "join": hashlib.sha256(Path(study.join).read_bytes()).hexdigest() if study.join else None,
        "targets": {column: images_as_text([str(f.path) for f in files]) for column, files in folders.items()} or None,
    }


def _scorer(study: Study, data: Data, out: Path, number: int, scale: Scale) -> str:
    """The scorer as ``srfast.score`` takes it; ``srcnn:SEED`` is trained here, on the whole pool."""
    name, _, seed = study.scorers[number].partition(":")
    if name != "srcnn" or not seed:
        load_network(study.scorers[number], scale)
        return study.scorers[number]
    if not seed.isdigit():
        raise InputError(f"scoring.scorers: expected srcnn:SEED with an integer, got {study.scorers[number]!r}")
    how = recipe("srcnn")
    store, _ = open_store(
        data.train, scale, color="y", patch=how.lr_patch * scale, quantise=how.quantise,
        cache_bytes=study.cache_mb << 20,
    )  # fmt: skip
    plan = Plan("srcnn", scale, study.scorer_updates, how, int(seed))
    place = out / "scorers" / f"srcnn-{seed}-x{scale}"
    return str(train(plan, store, place, resume=True, quiet=True, device=study.device).weights)


def select_cell(cell: Cell, table: ScoreTable, **instead: Any) -> CoreSet:
    """The patches that a cell selects, with some arguments replaced; the whole pool if each pass draws its own."""
    selection = cell.arm.selection(cell.keep, cell.seed)
    return select(pool_of(table, cell.pool, cell.seed), **{**vars(selection), **instead})


def weighted_cell(cell: Cell, table: ScoreTable) -> tuple[CoreSet, np.ndarray | None]:
    """The patches on which a cell trains, and how often each is drawn beside the others [n]; None: all as often."""
    chosen = select_cell(cell, table)
    if cell.arm.mix:
        everything = select_cell(cell, table, keep=1.0, keep_loss=None)
        places = set(_places(chosen))
        inside = np.array([place in places for place in _places(everything)])
        return everything, (1 - cell.arm.mix) * inside / inside.sum() + cell.arm.mix / len(inside)
    if cell.arm.draws == "sizes":
        _, size, counts = np.unique(read_patches(chosen).factor, return_inverse=True, return_counts=True)
        return chosen, 1 / counts[size]
    if cell.arm.draws != "even":
        return chosen, chosen.column("loss") ** float(cell.arm.draws.partition("^")[2] or 1)
    return chosen, None


def _places(coreset: CoreSet) -> list[tuple[Any, ...]]:
    p = read_patches(coreset)
    return list(zip(p.image, p.factor.tolist(), p.x.tolist(), p.y.tolist(), p.size.tolist(), strict=True))


def pool_of(table: ScoreTable, fraction: float, seed: int) -> ScoreTable:
    """The patches of a random part of the images; for one seed, a smaller part lies in every larger one."""
    if fraction >= 1:
        return table
    names = sorted(table.table.column("image").unique().to_pylist())
    order = np.random.default_rng((seed, _POOL_STREAM)).permutation(len(names))
    chosen = [names[i] for i in order[: max(1, int(fraction * len(names) + 0.5))]]
    return ScoreTable(table.table.filter(pc.is_in(table.table.column("image"), pa.array(chosen))), table.meta)


def store_of(plan: Plan, coreset: CoreSet, study: Study, scored: Path, weights: np.ndarray | None = None) -> PairStore:
    """The training pairs of a cell, drawn by ``weights`` [n]; all cells of a process share decoded images."""
    drawn = (study.degradation, plan.seed) if study.degradation else None
    quantise = plan.recipe.quantise
    now = os.stat(scored)  # the store is kept while the file is the same
    state = (now.st_ino, now.st_size, now.st_mtime_ns)
    whole, numbers = _store_of_pool(scored, state, plan.scale, plan.color, quantise, study.cache_mb << 20, drawn)
    p = read_patches(coreset)
    sources = (numbers[place] for place in zip(p.image, p.factor.tolist(), strict=True))
    return whole.over(regions_of(p, sources), weights)


@lru_cache(1)
def _store_of_pool(
    scored: Path, state: object, scale: int, color: str, quantise: bool, cache_bytes: int, drawn: tuple[str, int] | None
) -> tuple[PairStore, dict[tuple[str, float], int]]:
    """A store over the whole pool, and the index of each image in it, at each of its sizes."""
    p = read_patches(scored)
    if drawn is not None:
        p = dataclasses.replace(p, draws=Draws(Degradation.read(drawn[0]), drawn[1]))
    places, number = p.places()
    sources = [p.source(image, factor) for image, factor in places]
    numbers = {place: i for i, place in enumerate(places)}
    store = PairStore(
        sources, regions_of(p, number), scale=scale, color=color, quantise=quantise, cache_bytes=cache_bytes
    )
    if store.fits:
        store.fill()
    return store, numbers


def loss_quantiles(path: Path) -> list[float]:
    """The hundredths of the losses of a score table."""
    quantiles = np.quantile(ScoreTable.read(path).column("loss"), np.linspace(0, 1, 101))
    return [float(f"{q:.6g}") for q in quantiles]
