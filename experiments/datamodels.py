"""Is the prediction true? The linear datamodeling score of the columns that a selection for a target sorts by.

``python -m experiments.datamodels POOL TARGETS OUT.json`` (Park et al., "TRAK", ICML 2023, Section 4): SUBSETS random
tenths of the pool's images, an SRCNN trained on each from SEEDS seeds, and its mean squared error on the images of
each folder in TARGETS. A column predicts the error on a target by its mean over the patches of a subset. The score is
Spearman's correlation, over the subsets, of what is predicted with minus what was measured, the mean of the seeds;
its interval is a bootstrap's over the subsets. Beside it: how far the measurements of the two seeds agree, and the
control that knows the kinds, the share of the subset's patches that are of the target's kind (its folder's name).

Trainings that have ended are kept in ``OUT.runs`` beside OUT and not made again.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import torch
from scipy import stats

import srfast
from experiments.study_rows import markdown
from srfast.coreset.methods.base import targeted
from srfast.coreset.settings import SelectArguments
from srfast.data.images import find_images
from srfast.scoring.table import ScoreTable
from srfast.training.loop import train
from srfast.training.plan import Plan
from srfast.training.recipes import recipe
from srfast.training.sources import open_store
from srfast.training.store import Region

SUBSETS, SEEDS, SHARE = 100, 2, 0.1
PATCH, STRIDE = 96, 48
UPDATES, BATCH, LR_PATCH = 200, 8, 16
METHODS: tuple[Literal["influence", "similar"], ...] = ("influence", "similar")
DRAWS = 2000
"""Of the bootstrap."""


def scored(pool: Path, targets: Mapping[str, Path], path: Path) -> ScoreTable:
    """The pool's scores with a column METHOD.KIND for every method and target, made once."""
    table = ScoreTable.read(path) if path.exists() else srfast.score(pool, patch=PATCH, stride=STRIDE, mode="dense")
    for method in METHODS:
        for kind, folder in targets.items():
            if (name := f"{method}.{kind}") not in table.columns:
                column = targeted(table, SelectArguments(method=method, target=str(folder)))
                table = ScoreTable(table.table.append_column(name, column.table.column(method)), table.meta)
                table.write(path)
    return table


def subsets(names: list[str], seed: int = 0) -> list[list[str]]:
    draw = np.random.default_rng(seed)
    return [sorted(draw.choice(names, int(SHARE * len(names) + 0.5), replace=False)) for _ in range(SUBSETS)]


def losses(targets: Mapping[str, Path], weights: Path) -> dict[str, float]:
    """The mean squared error of all pixels of each target, images cropped to a multiple of 16 pixels."""
    by_kind = {}
    for kind, folder in targets.items():
        table = srfast.score(folder, patch=16, stride=16, mode="dense", scorer=str(weights), threads=1)
        inside = (table.column("x") % 16 == 0) & (table.column("y") % 16 == 0)
        by_kind[kind] = float(table.column("loss")[inside].mean(dtype=np.float64))
    return by_kind


def trained(pool: Path, targets: Mapping[str, Path], table: ScoreTable, runs: Path) -> list[dict[str, Any]]:
    """Each subset's images and its losses by seed; every seed 0 first."""
    how = dataclasses.replace(recipe("srcnn"), batch=BATCH, lr_patch=LR_PATCH)
    store, _ = open_store([str(pool)], 2, color="y", patch=PATCH, quantise=how.quantise, cache_bytes=1 << 30)
    root = Path(table.meta["root"])
    numbers = {f.path.relative_to(root).as_posix(): i for i, f in enumerate(find_images([str(pool)]))}
    image = np.array(table.table.column("image").to_pylist())
    x, y = table.column("x"), table.column("y")
    chosen = subsets(sorted(numbers))
    runs.mkdir(parents=True, exist_ok=True)
    runs_made: list[dict[str, Any]] = [{"images": names, "losses": []} for names in chosen]
    for seed in range(SEEDS):
        for i, names in enumerate(chosen):
            path = runs / f"{i:03d}-{seed}.json"
            if not path.exists():
                rows = np.flatnonzero(np.isin(image, names))
                some = [Region(numbers[image[r]], int(x[r]), int(y[r]), PATCH, PATCH) for r in rows]
                folder = runs / f"{i:03d}-{seed}"
                plan = Plan("srcnn", 2, UPDATES, how, seed)
                result = train(plan, store.over(some), folder, resume=True, quiet=True, device="cpu")
                path.write_text(json.dumps(losses(targets, result.weights)), encoding="utf-8")
                shutil.rmtree(folder)
            runs_made[i]["losses"].append(json.loads(path.read_text(encoding="utf-8")))
    return runs_made


def predictions(table: ScoreTable, runs: list[dict[str, Any]], kinds: list[str]) -> dict[str, dict[str, list[float]]]:
    """Of every target: what each method predicts of the subsets, higher is better."""
    image = np.array(table.table.column("image").to_pylist())
    own = {kind: np.array([name.startswith(f"{kind}/") for name in image], float) for kind in kinds}
    by_kind: dict[str, dict[str, list[float]]] = {}
    for kind in kinds:
        columns = {
            "influence": table.column(f"influence.{kind}"),
            "similar": table.column(f"similar.{kind}"),
            "loss": table.column("loss"),
            "kind": own[kind],
        }
        rows = [np.isin(image, run["images"]) for run in runs]
        by_kind[kind] = {n: [float(c[r].mean(dtype=np.float64)) for r in rows] for n, c in columns.items()}
    return by_kind


def spearman(a: np.ndarray, b: np.ndarray, less: np.ndarray | None = None) -> tuple[float, float, float]:
    """Spearman's correlation of a and b, less that of ``less`` and b, and its interval of 95 % by a bootstrap over the
    entries."""

    draw = np.random.default_rng(0)
    rows = np.array([np.arange(len(a)), *(draw.integers(len(a), size=len(a)) for _ in range(DRAWS))])

    def ranks(values: np.ndarray) -> np.ndarray:
        centred: np.ndarray = stats.rankdata(values[rows], axis=1) - (len(a) + 1) / 2
        return centred

    def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # NaN of a draw of one value
            cosine: np.ndarray = (one * other).sum(1) / np.sqrt((one**2).sum(1) * (other**2).sum(1))
        return cosine

    values = correlation(ranks(a), ranks(b)) - (0 if less is None else correlation(ranks(less), ranks(b)))
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return float(values[0]), float(low), float(high)


WORDS = {
    "influence": "`influence`",
    "similar": "`similar`",
    "loss": "loss",
    "kind": "the share of patches of the target's kind, which a user does not know",
}


def table(path: str | Path) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a result's table."""
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    kinds = list(content["predicted"])
    measured = {k: -np.array([[by[k] for by in run] for run in content["losses"]]) for k in kinds}
    predicted = {k: {n: np.array(v) for n, v in content["predicted"][k].items()} for k in kinds}
    rows = [[w, *(_shown(spearman(predicted[k][n], measured[k].mean(1))) for k in kinds)] for n, w in WORDS.items()]
    rows.append(["one seed's errors by the other's", *(_shown(spearman(*measured[k].T)) for k in kinds)])
    for name in ("similar", "loss"):
        pairs = ((predicted[k]["influence"], measured[k].mean(1), predicted[k][name]) for k in kinds)
        rows.append([f"`influence` less {WORDS[name]}", *(_shown(spearman(*pair)) for pair in pairs)])
    return ["predicted by", *kinds], rows


def _shown(interval: tuple[float, float, float]) -> str:
    return "{:+.2f} [{:+.2f}, {:+.2f}]".format(*interval)


@click.command()
@click.argument("pool", type=Path)
@click.argument("targets_in", metavar="TARGETS", type=Path)
@click.argument("out", type=Path)
def main(pool: Path, targets_in: Path, out: Path) -> None:
    """The linear datamodeling score. TARGETS is a folder of one folder for each target."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    targets = {folder.name: folder for folder in sorted(targets_in.iterdir()) if folder.is_dir()}
    runs = out.with_suffix(".runs")
    runs.mkdir(parents=True, exist_ok=True)
    scores = scored(pool, targets, runs / "scores.parquet")
    done = trained(pool, targets, scores, runs)
    how = {"updates": UPDATES, "batch": BATCH, "lr_patch": LR_PATCH, "share": SHARE, "patches": len(scores)}
    predicted, losses_of = predictions(scores, done, list(targets)), [run["losses"] for run in done]
    content = {"trainings": how, "predicted": predicted, "losses": losses_of}
    six = json.loads(json.dumps(content), parse_float=lambda value: float(f"{float(value):.6g}"))
    out.write_text(json.dumps(six) + "\n", encoding="utf-8")
    print(markdown(*table(out)), end="")


if __name__ == "__main__":
    main()
