"""Comparison of evaluations: their differences, and which cannot be distinguished from the best."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from srfast.errors import InputError, RunError

Source = str | os.PathLike[str] | Mapping[str, float]
STUDY = ("dataset", "model", "arm", "keep", "updates", "pool", "scorer", "seed", "image")
_NOT_METRICS = ("image", "seed", "dataset")


@dataclass(frozen=True)
class Contestant:
    """One of the evaluations that are compared."""

    name: str
    mean: float
    seeds: int
    difference: float
    """Difference from the best one, negative if that has higher values; 0 for the best."""
    low: float
    high: float
    """Upper bound of the difference; bounds hold simultaneously for all pairs at 95 %. NaN for the best, and without an
    interval."""
    p: float
    """p-value of "as good as the best", times the number of pairs; NaN for the best."""

    @property
    def verdict(self) -> str:
        if math.isnan(self.p):
            return "best"
        return "worse" if self.p < 0.05 else "cannot be told from the best"


@dataclass(frozen=True)
class Contest:
    """The result of a comparison, the best evaluation first."""

    metric: str
    images: int
    left_out: int
    """Number of images that only some evaluations have, or whose value is not finite."""
    seeds: bool
    """Whether intervals are over trainings and images, and not over images alone."""
    rows: tuple[Contestant, ...]

    def __str__(self) -> str:
        lines = [["", self.metric, "difference", "simultaneous 95 %", "p", "verdict"]]
        for r in self.rows:
            bounds = "" if math.isnan(r.low) else f"[{r.low:+.4f}, {r.high:+.4f}]"
            own = ["", "", ""] if math.isnan(r.p) else [f"{r.difference:+.4f}", bounds, f"{r.p:.2g}"]
            lines.append([r.name, f"{r.mean:.4f}", *own, r.verdict])
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([*text, self.about])

    @property
    def about(self) -> str:
        """The samples that the intervals are over, in words."""
        over = f"{self.images} images" + (f" and {min(r.seeds for r in self.rows)} trainings" if self.seeds else "")
        note = "" if self.seeds else "; of one training each: another training of the same could differ by more"
        left = f"; {self.left_out} images left out, which not all have as finite values" if self.left_out else ""
        return f"Paired over {over}{note}{left}."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [{**vars(r), "verdict": r.verdict} for r in self.rows]
        return {"metric": self.metric, "images": self.images, "left_out": self.left_out, "rows": rows}


def compare(
    runs: Mapping[str, Source | Sequence[Source]], metric: str = "psnr", *, lower_is_better: bool = False
) -> Contest:
    """Compares evaluations on the same images.

    With several trainings of each evaluation (seeds, the same number for all or named by a column ``seed``), intervals
    and tests are over trainings and images: the wider of a crossed mixed model's and of Student's over the trainings.
    With one training, they are over images alone. Every pair counts for the correction (Bonferroni), because the best
    is found in the data.

    Args:
        runs: By name: a JSON file of ``srfast eval --json``, a CSV file with the columns ``image`` and the metric (and
            ``seed`` and ``dataset``, if there are several), a study's results.parquet or its folder (its arms are then
            compared one by one), values by image, or a list of these, one for each seed.
        metric: "psnr", "ssim", or a column of the CSV files.
        lower_is_better: Whether lower values are better, as for LPIPS.

    Returns:
        The evaluations, the best first, with their differences from the best.

    Raises:
        InputError: a file is none of these, lacks the metric, there are fewer than two evaluations, or they have fewer
            than two images in common.
        RunError: scipy is not installed.
    """
    try:
        from srfast.evaluation.inference import Comparison, Error, judge
    except ImportError:
        raise RunError("compare needs scipy, which is not installed: pip install 'srfast[study]'") from None
    found: dict[str, dict[tuple[str, str], float]] = {}
    for name, sources in runs.items():
        several = [sources] if isinstance(sources, (str, os.PathLike, Mapping)) else list(sources)
        for number, source in enumerate(several):
            for own, read in _read(source, metric, str(number)).items():
                found.setdefault(f"{name}: {own}" if own else name, {}).update(read)
    if len(found) < 2:
        raise InputError(f"compare: expected at least two evaluations, got {len(found)}")
    seeds, images, left_out = _common(found)
    sign = -1 if lower_is_better else 1
    values = {n: sign * np.array([[of[s, i] for i in images] for s in seeds[n]]) for n, of in found.items()}
    order = sorted(values, key=lambda n: -values[n].mean())
    pairs = len(order) * (len(order) - 1) // 2
    sampled = all(len(s) > 1 for s in seeds.values())
    rows = []
    for name in order:
        mean = sign * float(values[name].mean())
        difference, low, high, p = 0.0, math.nan, math.nan, math.nan
        if name != order[0]:
            d = _difference(values[name], values[order[0]], seeds[name], seeds[order[0]])
            if sampled and len(d) > 1:
                c: Comparison = judge(d)
                bounds, raw = c.at(1 - 0.05 / pairs), c.p
            else:
                of_images = d.mean(0)
                error = Error(float(of_images.std(ddof=1) / math.sqrt(len(of_images))), len(of_images) - 1)
                bounds = error.around(float(of_images.mean()), 1 - 0.05 / pairs)
                raw = 2 * error.beyond(abs(float(of_images.mean())))
            difference, low, high, p = bounds.mean, bounds.low, bounds.high, min(1.0, pairs * raw)
        rows.append(Contestant(name, mean, len(seeds[name]), difference, low, high, p))
    return Contest(metric, len(images), left_out, sampled, tuple(rows))


def _difference(a: np.ndarray, b: np.ndarray, of_a: Sequence[str], of_b: Sequence[str]) -> np.ndarray:
    """[seeds, images] over the seeds that both have, or of their means if they share fewer than two."""
    both = [s for s in of_a if s in of_b]
    if len(both) < 2:
        return a.mean(0, keepdims=True) - b.mean(0, keepdims=True)
    difference: np.ndarray = a[[of_a.index(s) for s in both]] - b[[of_b.index(s) for s in both]]
    return difference


def _common(found: Mapping[str, Mapping[tuple[str, str], float]]) -> tuple[dict[str, list[str]], list[str], int]:
    """The seeds of each evaluation, the images that all seeds of all have as finite values, and the number left out."""
    seeds = {name: sorted({s for s, _ in of}) for name, of in found.items()}
    every = sorted({i for of in found.values() for _, i in of})
    images = [
        i for i in every if all(math.isfinite(of.get((s, i), math.nan)) for n, of in found.items() for s in seeds[n])
    ]
    if len(images) < 2:
        raise InputError(
            f"compare: expected at least two images that all evaluations have, got {len(images)} of {len(every)}"
        )
    return seeds, images, len(every) - len(images)


def _read(source: Source, metric: str, seed: str) -> dict[str, dict[tuple[str, str], float]]:
    """Name within the source ("" for a single evaluation) -> (seed, image) -> value."""
    if isinstance(source, Mapping):
        return {"": {(seed, image): float(value) for image, value in source.items()}}
    path = Path(source)
    if path.is_dir() and (path / "results.parquet").exists():
        path /= "results.parquet"
    try:
        if path.suffix == ".parquet":
            return _study(path, metric)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "expected text in UTF-8"
        hint = "; evaluate it first: srfast eval RUN --data IMAGES --json FILE" if path.is_dir() else ""
        raise InputError(f"{source}: {reason}{hint}") from None
    rows = _json(path, text) if text.lstrip().startswith("{") else list(csv.DictReader(text.splitlines()))
    if not rows or "image" not in rows[0]:
        raise InputError(f"{source}: expected a column 'image', as in eval --json or a CSV file, got none")
    if metric not in rows[0]:
        others = [c for c in rows[0] if c not in _NOT_METRICS]
        raise InputError(f"metric: expected one of {', '.join(others)} of {source}, got {metric!r}")
    values: dict[tuple[str, str], float] = {}
    for row in rows:
        key = (str(row.get("seed") or seed), "/".join(filter(None, (row.get("dataset"), row["image"]))))
        if key in values:
            raise InputError(f"{source}: image {row['image']!r} occurs twice")
        try:
            values[key] = math.inf if row[metric] is None else float(row[metric])
        except ValueError:
            raise InputError(
                f"{source}: {metric} of {row['image']!r}: expected a number, got {row[metric]!r}"
            ) from None
    return {"": values}


def _json(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        images = json.loads(text).get("images")
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(images, list):
        raise InputError(f"{path}: expected a file that `srfast eval --json` wrote, got no list 'images'")
    return images


def _study(path: Path, metric: str) -> dict[str, dict[tuple[str, str], float]]:
    """The arms of a study, by the settings that distinguish them."""
    from srfast.scoring.table import read_parquet

    table, _ = read_parquet(path)
    missing = [c for c in (*STUDY, metric) if c not in table.column_names]
    if missing:
        raise InputError(f"{path}: expected the results of a study with the column {missing[0]!r}, got none")
    rows = table.select([*STUDY, metric]).to_pylist()
    several = {k: len({r[k] for r in rows}) > 1 for k in ("model", "updates", "pool", "scorer")}
    found: dict[str, dict[tuple[str, str], float]] = {}
    for r in rows:
        more = [str(r[k]) for k in ("model", "updates", "pool", "scorer") if several[k]]
        own = " ".join([r["arm"], f"{100 * r['keep']:g} %", *more])
        found.setdefault(own, {})[str(r["seed"]), f"{r['dataset']}/{r['image']}"] = float(r[metric])
    return found
