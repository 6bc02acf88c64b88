"""Comparison of evaluations: their differences, and which cannot be distinguished from the best."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from srfast.errors import InputError
from srfast.evaluation.entries import Entry, EvaluationSource, read
from srfast.evaluation.inference import LEVEL, Interval, StandardError, judge
from srfast.evaluation.metrics import Protocol
from srfast.evaluation.settings import MEASURES
from srfast.settings import did_you_mean

Over = Literal["trainings and images", "images"]


@dataclass(frozen=True)
class Contestant:
    """One of the evaluations that are compared."""

    name: str
    mean: float
    """Over all its trainings and the images in common."""
    seeds: int
    """Number of its trainings."""
    difference: float
    """This one minus the best, in units of the metric, over the trainings that both have; 0 for the best."""
    low: float
    high: float
    """Upper bound of the difference; bounds hold simultaneously for all pairs at 95 %. NaN for the best."""
    p: float
    """p-value of "as good as the best", times the number of pairs; NaN for the best."""
    paired: int
    """Number of trainings that it and the best have in common, by their seeds, which must be named."""
    over: Over | None
    """Whether the interval and the test are over trainings and images, or over images alone, if fewer than two
    trainings are in common. None for the
    best."""
    verdict: str
    """"best", "worse", "not significantly different from the best", or "better": over the trainings in common."""


@dataclass(frozen=True)
class Contest:
    """The result of a comparison, the best evaluation first."""

    metric: str
    images: int
    left_out: int
    """Number of images that only some evaluations have, or whose value is not finite."""
    datasets: dict[str, int]
    """Number of images of each test set; empty if none is named."""
    rows: tuple[Contestant, ...]

    @property
    def seeds(self) -> bool:
        """Whether all intervals are over trainings and images, and none over images alone."""
        return all(r.over != "images" for r in self.rows)

    def __str__(self) -> str:
        lines = [["", self.metric, "trainings", "difference", "simultaneous 95 %", "p", "tested over", "verdict"]]
        for r in self.rows:
            own = ["", "", "", ""]
            if r.over:
                own = [f"{r.difference:+.4f}", f"[{r.low:+.4f}, {r.high:+.4f}]", f"{r.p:.2g}", self._tested(r)]
            lines.append([r.name, f"{r.mean:.4f}", str(r.seeds), *own, r.verdict])
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([*text, *self.notes])

    def _tested(self, row: Contestant) -> str:
        if row.over == "images":
            return "images alone" + (", 1 training in common" if row.paired and self._partly(row) else "")
        return f"images, {row.paired} trainings" + (" in common" if self._partly(row) else "")

    def _partly(self, row: Contestant) -> bool:
        """Whether the difference is of some of the trainings that the means are of."""
        return 0 < row.paired < max(row.seeds, self.rows[0].seeds)

    @property
    def notes(self) -> list[str]:
        """What the differences are measured over and what does not follow from them, in sentences."""
        others = self.rows[1:]
        over = f"{self.images} images"
        if len(self.datasets) > 1:
            over += f" ({', '.join(f'{count} of {name}' for name, count in self.datasets.items())})"
        elif self.datasets:
            over += f" of {next(iter(self.datasets))}"
        if self.seeds and len(count := {r.paired for r in others}) == 1:
            over += f" and {count.pop()} trainings"
        left = f"; {self.left_out} images left out, which not all have as finite values" if self.left_out else ""
        notes = [f"Paired over {over}{left}."]
        if len(self.datasets) > 1:
            notes.append(f"{len(self.datasets)} test sets are pooled, every image alike; `dataset` picks one.")
        if not self.seeds:
            where = "In the rows over" if any(r.over != "images" for r in others) else "Tested over"
            notes.append(
                f"{where} images alone, fewer than two trainings are in common: such a difference says nothing of "
                "other trainings; another training of the same could differ by more."
            )
        if any(map(self._partly, others)):
            notes.append(
                "Where the trainings are not the same, the difference is of those in common, and not that of the means."
            )
        return notes

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        known = {k: getattr(self, k) for k in ("metric", "images", "left_out", "datasets", "seeds", "notes")}
        return {**known, "rows": [vars(r) for r in self.rows]}


def compare(
    runs: Mapping[str, EvaluationSource | Sequence[EvaluationSource]],
    metric: str = "psnr",
    *,
    lower_is_better: bool = False,
    dataset: str | None = None,
    scale: int | None = None,
    protocol: Protocol | None = None,
) -> Contest:
    """Compares evaluations on the same images.

    An evaluation and the best are compared over the trainings that both have, by their seeds: with two or more in
    common, interval and test are over trainings and images, the wider of a crossed mixed model's and of Student's over
    the trainings. With fewer, they are over images alone, of the training in common or else of the means, and say
    nothing of other trainings. Every pair counts for the correction (Bonferroni), because the best is found in the
    data.

    Args:
        runs: By name: a JSON file of ``srfast eval --json``, a CSV file with the columns ``image`` and the metric (and
            ``seed`` and ``dataset``, if there are several), a study's results.parquet or its folder (its arms are then
            compared one by one), the result of ``srfast.evaluate``, values by image, or a list of these, one for each
            seed. The place in the list is the seed, if there is no column.
        metric: "psnr", "ssim", a perceptual measure of ``srfast.evaluate``, or a column of the CSV files, in any case.
        lower_is_better: Whether lower values are better; of lpips, lpips-vgg and dists they always are.
        dataset: Test set whose images are compared, if the evaluations name some. None takes all together.
        scale: Scale of the evaluations that are compared, if they have several.
        protocol: Protocol of those that are compared, "classic" or "rgb", if they have both, as a study of Y and RGB
            models has.

    Returns:
        The evaluations, the best first, with their differences from the best.

    Raises:
        InputError: a file is none of these, lacks the metric, there are fewer than two evaluations, they have fewer
            than two images in common, they are of several scales or protocols, or there is no such test set, scale
            or protocol.
        RunError: scipy is not installed.
    """
    lower_is_better = lower_is_better or metric.strip().lower() in MEASURES
    entries = _of_dataset(_entries(runs, metric, {"scale": scale, "protocol": protocol}), dataset)
    images, left_out = _common(entries)
    values = {n: {s: np.array([e.values[s, i] for i in images]) for s in e.seeds} for n, e in entries.items()}
    means = {n: float(np.mean(list(of.values()))) for n, of in values.items()}
    order = sorted(means, key=lambda n: means[n] if lower_is_better else -means[n])
    pairs = len(order) * (len(order) - 1) // 2
    best = order[0]
    count, nan = {n: len(of) for n, of in values.items()}, math.nan
    rows = [Contestant(best, means[best], count[best], 0.0, nan, nan, nan, count[best], None, "best")]
    for name in order[1:]:
        shared = [s for s in values[name] if s and s in values[best]]
        own, other = ([of[s] for s in shared] or [np.mean(list(of.values()), 0)] for of in (values[name], values[best]))
        d = np.subtract(own, other)
        bounds, raw = _tested(d, 1 - (1 - LEVEL) / pairs)
        p = min(1.0, pairs * raw)
        verdict = "not significantly different from the best"
        if p < 1 - LEVEL:
            verdict = "worse" if (bounds.mean > 0) == lower_is_better else "better"
        over: Over = "trainings and images" if len(shared) > 1 else "images"
        interval = bounds.mean, bounds.low, bounds.high
        rows.append(Contestant(name, means[name], count[name], *interval, p, len(shared), over, verdict))
    sets = [s for i in images if (s := next((e.sets[i] for e in entries.values() if i in e.sets), None))]
    return Contest(metric, len(images), left_out, {s: sets.count(s) for s in sorted(set(sets))}, tuple(rows))


def _tested(difference: np.ndarray, level: float) -> tuple[Interval, float]:
    """The interval of differences [seeds, images], and their p-value; over images alone if there is one seed."""
    if len(difference) > 1:
        comparison = judge(difference)
        return comparison.at(level), comparison.p
    of_images = difference[0]
    mean = float(of_images.mean())
    error = StandardError.of(of_images)
    return error.around(mean, level), 2 * error.beyond(abs(mean))


def _entries(
    runs: Mapping[str, EvaluationSource | Sequence[EvaluationSource]], metric: str, conditions: Mapping[str, Any]
) -> dict[str, Entry]:
    """The evaluations that were measured under the requested conditions, by name; an InputError if they differ in
    others."""
    measured: list[tuple[str, Entry]] = []
    for name, sources in runs.items():
        single = isinstance(sources, (str, os.PathLike, Mapping)) or not isinstance(sources, Iterable)
        several: list[Any] = [sources] if single else list(sources)  # type: ignore[arg-type]
        files = [os.path.realpath(s) for s in several if isinstance(s, (str, os.PathLike))]
        if twice := next((f for f in files if files.count(f) > 1), None):
            raise InputError(f"{name}: expected a file for each training, got {twice} twice")
        for number, source in enumerate(several):
            arms = read(source, name, metric, str(number) if len(several) > 1 else "")
            measured += [(f"{name}: {arm}" if arm else name, entry) for arm, entry in arms.items()]
    conditions = {k: value for k, value in conditions.items() if value is not None}
    for k, value in conditions.items():
        values = {entry.measured[k] for _, entry in measured if k in entry.measured}
        if value not in values:
            names = f"one of {', '.join(map(str, sorted(values)))}" if values else f"evaluations that name their {k}"
            raise InputError(f"{k}: expected {names}, got {repr(value) if values else 'none'}")
    measured = [(n, e) for n, e in measured if all(e.measured.get(k, v) == v for k, v in conditions.items())]
    alike = ("scale", "protocol", *(("ssim_window",) if metric.lower() == "ssim" else ()), "measure")
    for (_, a), (_, b) in itertools.combinations(measured, 2):
        if differ := [k for k in alike if k in a.measured and k in b.measured and a.measured[k] != b.measured[k]]:
            had, got = (", ".join(f"{k} {e.measured[k]}" for k in differ) for e in (a, b))
            pick = [f"`{k}`" for k in differ if k in ("scale", "protocol")]
            hint = f"{' and '.join(pick)} pick{'s' if len(pick) == 1 else ''} one" if pick else None
            raise InputError(f"{b.source}: expected {had}, as {a.source} has, got {got}", hint=hint)
    entries: dict[str, Entry] = {}
    for name, entry in measured:
        if name in entries:
            entries[name].join(entry)
        else:
            entries[name] = entry
    if len(entries) < 2:
        of = " of " + " and ".join(f"{k} {v}" for k, v in conditions.items()) if conditions else ""
        names = f" ({', '.join(entries)})" if entries else ""
        raise InputError(f"compare: expected at least two evaluations{of}, got {len(entries)}{names}")
    return entries


def _of_dataset(entries: dict[str, Entry], dataset: str | None) -> dict[str, Entry]:
    """The evaluations with the images of one test set only."""
    named = {name for entry in entries.values() for name in entry.sets.values()}
    if (only := dataset or (min(named) if len(named) == 1 else None)) in named:
        for entry in (e for e in entries.values() if not e.sets):
            # What names no test set may be of the one that the others name.
            whole = {i: i if i.startswith(f"{only}/") else f"{only}/{i}" for _, i in entry.values}
            entry.values = {(seed, whole[image]): value for (seed, image), value in entry.values.items()}
            entry.sets = {image: str(only) for _, image in entry.values}
    if dataset is None:
        return entries
    if dataset not in named:
        names = f"one of {', '.join(sorted(named))}" if named else "evaluations that name their test sets"
        raise InputError(f"dataset: expected {names}, got {repr(dataset) if named else 'none'}")
    for entry in entries.values():
        entry.values = {(s, i): v for (s, i), v in entry.values.items() if entry.sets.get(i) == dataset}
        if not entry.values:
            raise InputError(f"dataset: expected images of {dataset} in {entry.source}, got none")
    return entries


def _common(entries: Mapping[str, Entry]) -> tuple[list[str], int]:
    """The images that all trainings of all evaluations have as finite values, and the number of others."""
    every = sorted({i for e in entries.values() for _, i in e.values})
    seeds = [(e, s) for e in entries.values() for s in e.seeds]
    images = [i for i in every if all(math.isfinite(e.values.get((s, i), math.nan)) for e, s in seeds)]
    if len(images) < 2:
        raise InputError(
            f"compare: expected at least two images that all evaluations have, got {len(images)} of {len(every)}"
            + (_example(entries) if len(images) < len(every) else "")
        )
    return images, len(every) - len(images)


def _example(entries: Mapping[str, Entry]) -> str:
    """An image that not all have, in words."""
    names = {n: {i for _, i in e.values} for n, e in entries.items()}
    for a, b in itertools.permutations(names, 2):
        if only := sorted(names[a] - names[b]):
            near = did_you_mean(only[0], sorted(names[b] - names[a]), 0.0)
            return f": {a} has {only[0]!r}, {b} has " + (repr(near) if near else "none of that name")
    return ": the others are missing in some of the trainings, or not finite"
