"""The kinds of tables of the studies' pages, from the committed results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from srfast.evaluation.inference import Comparison, interval, judge
from srfast.study.claims import SIDES, Judged, judged, strata_difference
from srfast.study.groups import Group, groups
from srfast.study.publication import results_folder
from srfast.study.results import Results

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ROOT / "studies"
RESULTS = STUDIES / "results"
DATASET = "BSD100"
STRATA = ("easy", "middle", "hard", "flat")


def place(study: str) -> Path:
    """The folder of results: "STUDY/POOL", or "STUDY" of a study that was run on one pool."""
    folder = results_folder(STUDIES / f"{study}.toml") if "/" not in study else RESULTS / study
    if folder is None:
        raise SystemExit(f"{study}: no results")
    return folder


class Table(Protocol):
    def markdown(self) -> str: ...


@dataclass(frozen=True)
class Claims:
    """Comparisons of one study: words, arm, control. An arm is "name keep updates [pool]", keep and pool in percent."""

    study: str
    model: str
    rows: tuple[tuple[str, str, str], ...]
    seeds: bool = True

    def markdown(self) -> str:
        head = ["claim", "difference (dB)", *(["seeds"] if self.seeds else []), "verdict"]
        lines = []
        for words, arm, control in self.rows:
            c = difference(self.study, self.model, arm, control)
            lines.append([words, signed(c), *([str(c.seeds)] if self.seeds else []), c.verdict])
        return markdown(head, lines)


@dataclass(frozen=True)
class Answers:
    """What to do with which images, and its gain: images, what to do, training, studies (" + " joins), model, arm,
    control."""

    rows: tuple[tuple[str, str, str, str, str, str, str], ...]

    def differences(self, stratum: str = "") -> list[Comparison]:
        """One for each row; "" is the whole test set."""
        return [judge(paired(*row[3:], dataset=DATASET, stratum=stratum)) for row in self.rows]

    def markdown(self) -> str:
        columns = [self.differences(s) for s in ("", "easy")]
        lines = [
            [images, words, training, *map(signed, cells), str(cells[0].seeds)]
            for (images, words, training, *_), *cells in zip(self.rows, *columns, strict=True)
        ]
        return markdown(["your images", "do", "training", "gain (dB)", "on easy tiles (dB)", "seeds"], lines)


@dataclass(frozen=True)
class Strata:
    """Differences on a test set and on its strata: words, study, model, arms, controls, test set.

    Arms and controls are separated by " + ": their mean, seed by seed; studies too: their seeds, joined. Bold: the
    interval excludes zero.
    """

    rows: tuple[tuple[str, str, str, str, str, str], ...]

    def markdown(self) -> str:
        head = ["", "seeds", "all", *STRATA]
        lines = []
        for words, study, model, arms, controls, dataset in self.rows:
            pairs = [(a, c) for a in arms.split(" + ") for c in controls.split(" + ")]
            comparisons = [
                judge(_mean([paired(study, model, a, c, dataset, s) for a, c in pairs])) for s in ("", *STRATA)
            ]
            lines.append([words, str(comparisons[0].seeds), *map(bold, comparisons)])
        return markdown(head, lines)


@dataclass(frozen=True)
class Across:
    """The claims of studies' files, judged together in each: a row a claim, a column a study, significant ones bold."""

    studies: tuple[tuple[str, str], ...]
    """Name and head of the column."""
    arms: tuple[tuple[str, str], ...]
    """Words, "name keep"."""
    strata: bool = False

    def markdown(self) -> str:
        rows: dict[str, list[str]] = {}
        for at, (study, _) in enumerate(self.studies):
            for j in judged(_results(study)):
                if bool(j.stratum) == self.strata:
                    mark = "**" if j.p < 0.05 else ""
                    on = f", {j.stratum} tiles" if self.strata else f", on {j.dataset}" * (j.dataset != DATASET)
                    cells = rows.setdefault(_claim(j, self.arms) + on, [""] * len(self.studies))
                    cells[at] = f"{mark}{simultaneous(j)}{mark}" if j.result.seeds else j.verdict
        return markdown(["claim", *(head for _, head in self.studies)], [[k, *v] for k, v in rows.items()])


@dataclass(frozen=True)
class Family:
    """The claims of one study's file, judged together: Holm's p, simultaneous intervals."""

    study: str
    arms: tuple[tuple[str, str], ...]
    """Words, "name keep"."""
    strata: bool = False

    def judged(self) -> list[tuple[str, Judged]]:
        """Each claim, with its words."""
        return [(_claim(j, self.arms), j) for j in judged(_results(self.study)) if bool(j.stratum) == self.strata]

    def markdown(self) -> str:
        return family(self.judged())


def family(claims: list[tuple[str, Judged]]) -> str:
    """The table of claims that were judged together, each with its words."""
    lines = []
    for words, j in claims:
        p = "" if math.isnan(j.p) else f"{j.p:.2g}"
        lines.append([words, on(j), simultaneous(j), str(j.result.seeds), p, j.verdict])
    return markdown(["claim", "on", "difference (dB), simultaneous", "seeds", "p (Holm)", "verdict"], lines)


def on(j: Judged) -> str:
    """What a claim is about: a test set, or a stratum of it."""
    return f"{j.dataset}{f', {j.stratum}' if j.stratum else ''}"


def simultaneous(j: Judged) -> str:
    """The difference and its interval; "" of a claim that was not run."""
    i = j.interval
    return f"{i.mean:+.3f} [{i.low:+.3f}, {i.high:+.3f}]" if j.result.seeds else ""


def _claim(j: Judged, arms: tuple[tuple[str, str], ...]) -> str:
    """Its two sides, in the words of their arms."""
    words = {arm: of for of, arm in arms}
    one, other = (words[f"{j.claim[name]} {j.claim[keep] * 100:g}"] for name, keep in SIDES)
    return f"{one}{',' * (',' in one)} against {other}"


@dataclass(frozen=True)
class Means:
    """PSNR of arms (rows: words, "name keep") after updates (columns: "model updates", or "keep updates"), with
    "STUDY: " before those of another study; of two seeds and fewer the mean alone."""

    study: str
    head: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    datasets: tuple[str, ...] = (DATASET,)

    def markdown(self) -> str:
        lines = []
        for words, arm in self.rows:
            cells = [(c, d) for c in self.columns for d in self.datasets]
            lines.append([words, *(self._cell(arm, column, dataset) for column, dataset in cells)])
        return markdown(list(self.head), lines)

    def _cell(self, arm: str, column: str, dataset: str) -> str:
        study, _, column = column.rpartition(": ") if ": " in column else (self.study, "", column)
        model, updates, *keep = column.split()
        name, own = arm.split()
        g = group(study, model, f"{name} {own if own != '-' else keep[0]} {updates}")
        if g is None:
            return ""
        i = interval(g.per_seed(dataset))
        return f"{i.mean:.3f} ± {i.high - i.mean:.3f}" if len(g.seeds) > 2 else f"{i.mean:.3f}"


def of_study(
    study: str, arms: tuple[tuple[str, str], ...], *sets: str, name: str = "", model: str = "fsrcnn",
    updates: int = 1951, means: tuple[tuple[str, str], ...] = (), head: str = "",
) -> dict[str, Table]:  # fmt: skip
    """The means of a study on test sets, and its claims about them and about strata."""
    title, name = f"{head}{updates:,} updates", name or study
    heads = (title, *sets) if sets else (DATASET, title)
    return {
        f"{name}-means": Means(study, heads, (f"{model} {updates}",), means or arms, sets or (DATASET,)),
        name: Family(study, arms),
        f"{name}-strata": Family(study, arms, strata=True),
    }


@dataclass(frozen=True)
class Ratios:
    """What is kept against all patches, several studies beside each other: (head, study, model, updates)."""

    columns: tuple[tuple[str, str, str, int], ...]
    rows: tuple[tuple[str, str], ...]

    def markdown(self) -> str:
        head = ["kept"]
        columns = []
        for words, study, model, updates in self.columns:
            comparisons = [self._difference(study, model, arm, updates) for _, arm in self.rows]
            most = max(c.seeds for c in comparisons if c)
            head.append(f"{words}, {most} seeds")
            columns.append(["" if c is None or c.seeds < 2 else self._cell(c, most) for c in comparisons])
        return markdown(head, [[words, *cells] for (words, _), *cells in zip(self.rows, *columns, strict=True)])

    @staticmethod
    def _difference(study: str, model: str, arm: str, updates: int) -> Comparison | None:
        there = group(study, model, f"{arm} {updates}")
        return difference(study, model, f"{arm} {updates}", f"full 100 {updates}") if there else None

    @staticmethod
    def _cell(c: Comparison, most: int) -> str:
        return signed(c, " dB") + ("" if c.seeds == most else f" ({c.seeds} seeds)")


@dataclass(frozen=True)
class Saved:
    """After how many updates a selection has the PSNR of all patches: (words, study, model, arm, updates of both).

    Its last doubling of updates gave it a gain g, so that a lead d is worth a factor of 2^(-d / g); the bounds are
    those of d. Beyond the updates that were run nothing is claimed.
    """

    rows: tuple[tuple[str, str, str, str, int], ...]

    def markdown(self) -> str:
        head = ["selection", "updates of all patches", "updates of the selection for the same PSNR"]
        lines = []
        for words, study, model, arm, updates in self.rows:
            lead = difference(study, model, f"{arm} {updates}", f"full 100 {updates}").effect
            gain = difference(study, model, f"{arm} {updates}", f"{arm} {updates // 2 + updates % 2}").effect.mean
            mean, most, fewest = (updates * 2 ** (-d / gain) for d in (lead.mean, lead.low, lead.high))
            lines.append(
                [words, f"{updates:,}", f"{_upto(mean, updates)} [{_upto(fewest, updates)}, {_upto(most, updates)}]"]
            )
        return markdown(head, lines)


def _upto(value: float, most: int) -> str:
    return f"more than {most:,}" if value > most else f"{round(value, -2):,.0f}"


def _results(study: str) -> Results:
    return results_in(place(study))


@lru_cache
def results_in(folder: Path) -> Results:
    """Committed results, read once."""
    return Results.read(folder)


@lru_cache
def _groups(study: str) -> Sequence[Group]:
    return groups(_results(study))


def group(study: str, model: str, arm: str) -> Group | None:
    """The seeds of one arm by the shipped scorer, or where there are no others by the first; "STUDY: arm"
    of another."""
    if ": " in arm:
        study, _, arm = arm.partition(": ")
    name, keep, updates, *pool = arm.split()
    wanted = (model, name, float(keep) / 100, int(updates), float(pool[0]) / 100 if pool else 1.0)
    matches = [
        g for g in _groups(study) if (g.key.model, g.key.arm, g.key.keep, g.key.updates, g.key.pool) == wanted
    ]  # fmt: skip
    return matches[0] if matches else None


def paired(study: str, model: str, arm: str, control: str, dataset: str = DATASET, stratum: str = "") -> np.ndarray:
    """Arm less control [seeds, images] over the seeds that both have; of studies between " + ", each seed from the
    first that has it."""
    differences: list[np.ndarray] = []
    seen: set[int] = set()
    for one in study.split(" + "):
        a, b = group(one, model, arm), group(one, model, control)
        if a is None or b is None:
            continue
        both = sorted((set(a.seeds) & set(b.seeds)) - seen)
        seen.update(both)
        if both and stratum:
            left, right = (
                (_results(n.partition(": ")[0] if ": " in n else one), g) for n, g in ((arm, a), (control, b))
            )
            differences.append(strata_difference(left, right, dataset, stratum, both))
        elif both:
            differences.append(np.subtract(*(x.psnr[dataset][[x.seeds.index(s) for s in both]] for x in (a, b))))
    if not differences:
        raise SystemExit(f"{study}: no {model} {arm} and {control}")
    return np.concatenate(differences)


def difference(study: str, model: str, arm: str, control: str, dataset: str = DATASET) -> Comparison:
    """Arm less control, over the seeds that both have."""
    return judge(paired(study, model, arm, control, dataset))


def _mean(some: list[np.ndarray]) -> np.ndarray:
    mean: np.ndarray = np.mean(some, axis=0)
    return mean


def bold(c: Comparison) -> str:
    """An effect with its interval, bold where that leaves zero out."""
    mark = "**" if c.effect.low > 0 or c.effect.high < 0 else ""
    return f"{mark}{signed(c)}{mark}"


def signed(c: Comparison, unit: str = "") -> str:
    e = c.effect
    return f"{e.mean:+.3f}{unit} [{e.low:+.3f}, {e.high:+.3f}]"


def markdown(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)
