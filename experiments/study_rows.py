"""The kinds of tables of the studies' pages, from the committed results; a table is called and returns its Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from srfast.evaluation.inference import Comparison, interval, judge
from srfast.study.claims import SIDES, Judged, judge_family, judged, strata_difference
from srfast.study.groups import Group, groups
from srfast.study.publication import results_folder
from srfast.study.results import Results

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ROOT / "studies"
RESULTS = STUDIES / "results"
DATASET = "BSD100"
STRATA = ("easy", "middle", "hard", "flat")
Table = Callable[[], str]
Words = tuple[tuple[str, str], ...]
"""Arms or studies: the words of a row and "name keep", or the folder of results and the head of its column."""
Side = str | Callable[[str], str]
"""An arm, "name keep updates [pool]" with keep and pool in percent, or what returns that of a study; "STUDY: arm" is
an arm of another study, and the mean is taken of arms between " + "."""
Pair = Callable[..., Comparison]
"""``compared`` with its sides given."""
Column = tuple[str, Callable[[Comparison], str], dict[str, Any]]
"""Head, how a comparison is shown, and the test set, stratum or side that it is of."""


def place(study: str) -> Path:
    """The folder of results: "STUDY/POOL", or "STUDY" of a study that was run on one pool."""
    folder = results_folder(STUDIES / f"{study}.toml") if "/" not in study else RESULTS / study
    if folder is None:
        raise SystemExit(f"{study}: no results")
    return folder


@lru_cache
def results_in(folder: Path) -> Results:
    """Committed results, read once."""
    return Results.read(folder)


def group(study: str, model: str, arm: str) -> Group | None:
    """The seeds of one arm by the shipped scorer, or where there are no others by the first."""
    if ": " in arm:
        study, _, arm = arm.partition(": ")
    name, keep, updates, *pool = arm.split()
    wanted = (model, name, float(keep) / 100, int(updates), float(pool[0]) / 100 if pool else 1.0)
    some = groups(results_in(place(study)))
    return next((g for g in some if (g.key.model, g.key.arm, g.key.keep, g.key.updates, g.key.pool) == wanted), None)


def paired(study: str, arm: str, control: str, model: str, dataset: str, stratum: str) -> np.ndarray:
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
                (results_in(place(n.partition(": ")[0] if ": " in n else one)), g) for n, g in ((arm, a), (control, b))
            )
            differences.append(strata_difference(left, right, dataset, stratum, both))
        elif both:
            differences.append(np.subtract(*(x.psnr[dataset][[x.seeds.index(s) for s in both]] for x in (a, b))))
    if not differences:
        raise SystemExit(f"{study}: no {model} {arm} and {control}")
    return np.concatenate(differences)


def mean_difference(
    studies: str | tuple[str, ...], arm: Side, control: Side, model: str = "fsrcnn", dataset: str = DATASET,
    stratum: str = "",
) -> np.ndarray:  # fmt: skip
    """The mean of ``paired`` over studies, arms and controls [seeds, images]."""
    every = (studies,) if isinstance(studies, str) else studies
    sides = [[s(study) if callable(s) else s for s in (arm, control)] for study in every]
    mean: np.ndarray = np.mean(
        [
            paired(study, a, c, model, dataset, stratum)
            for study, (one, other) in zip(every, sides, strict=True)
            for a in one.split(" + ")
            for c in other.split(" + ")
        ],
        axis=0,
    )
    return mean


@cache
def compared(*sides: Any, **how: Any) -> Comparison:
    """The statistics of ``mean_difference``."""
    return judge(mean_difference(*sides, **how))


def signed(c: Comparison, unit: str = "") -> str:
    """An effect, and its interval if there is more than one seed."""
    e = c.effect
    return f"{e.mean:+.3f}{unit}" + (f" [{e.low:+.3f}, {e.high:+.3f}]" if c.seeds > 1 else "")


def bold(c: Comparison) -> str:
    """An effect with its interval, bold where that leaves zero out."""
    mark = "**" if c.effect.low > 0 or c.effect.high < 0 else ""
    return f"{mark}{signed(c)}{mark}"


def effect(head: str, **how: Any) -> Column:
    return head, signed, how


SEEDS: Column = ("seeds", lambda c: str(c.seeds), {})
BOLD: tuple[Column, ...] = (SEEDS, ("all", bold, {}), *((s, bold, {"stratum": s}) for s in STRATA))
"""The difference on a test set and on its strata; bold: the interval excludes zero."""


@dataclass(frozen=True)
class Differences:
    """Comparisons: a row has its words and its sides."""

    head: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, Pair]]

    def cells(self) -> list[list[Comparison]]:
        return [[pair(**how) for *_, how in self.columns] for _, pair in self.rows]

    def __call__(self) -> str:
        shown = [[show(c) for (_, show, _), c in zip(self.columns, row, strict=True)] for row in self.cells()]
        lines = [[words, *cells] for (words, _), cells in zip(self.rows, shown, strict=True)]
        return markdown([self.head, *(head for head, *_ in self.columns)], lines)


def claims(study: str, rows: Iterable[tuple[str, str, str]], model: str = "fsrcnn", seeds: bool = True) -> Differences:
    """Comparisons of one study: words, arm, control."""
    columns = effect("difference (dB)"), *([SEEDS] if seeds else []), ("verdict", lambda c: c.verdict, {})
    return Differences("claim", columns, [(words, partial(compared, study, *sides, model)) for words, *sides in rows])


def judgements(study: str, arms: Words, strata: bool = False) -> list[tuple[str, Judged]]:
    """The claims of a study's file about test sets or strata, each with its words."""
    words = {arm: of for of, arm in arms}
    results = results_in(place(study))
    lines = []
    for j in judged(results):
        one, other = (words[f"{j.claim[name]} {j.claim[keep] * 100:g}"] for name, keep in SIDES)
        model = j.claim["model"] or results.meta["study"]["models"][0]
        more = f", {model.upper()}" * (model != results.meta["study"]["models"][0])
        lines.append((f"{one}{',' * (',' in one)} against {other}{more}", j))
    return [(words, j) for words, j in lines if bool(j.stratum) == strata]


def on(j: Judged) -> str:
    """What a claim is about: a test set, or a stratum of it."""
    return f"{j.dataset}{f', {j.stratum}' if j.stratum else ''}"


def simultaneous(j: Judged) -> str:
    """The difference and its interval; "" of a claim that was not run."""
    i = j.interval
    return f"{i.mean:+.3f} [{i.low:+.3f}, {i.high:+.3f}]" if j.result.seeds else ""


def family(lines: Iterable[tuple[str, Judged]]) -> str:
    """Claims that were judged together: Holm's p, simultaneous intervals."""
    return markdown(
        ["claim", "on", "difference (dB), simultaneous", "seeds", "p (Holm)", "verdict"],
        [
            [words, on(j), simultaneous(j), str(j.result.seeds), "" if math.isnan(j.p) else f"{j.p:.2g}", j.verdict]
            for words, j in lines
        ],
    )


def of_file(study: str, arms: Words, strata: bool = False) -> Table:
    """The claims of one study's file."""
    return lambda: family(judgements(study, arms, strata))


@dataclass(frozen=True)
class Together:
    """Claims about means over pools, which were named before the trainings, judged together."""

    rows: Sequence[tuple[str, Pair]]
    strata: Sequence[str] = ("",)

    def __call__(self) -> str:
        words = [words for _ in self.strata for words, _ in self.rows]
        found = [({"stratum": s}, DATASET, pair(stratum=s)) for s in self.strata for _, pair in self.rows]
        return family(zip(words, judge_family(found), strict=True))


def across(studies: Words, arms: Words, strata: bool = False) -> Table:
    """The claims of studies' files, judged together in each: a row a claim, a column a study, significant ones bold."""

    def text() -> str:
        rows: dict[str, list[str]] = {}
        for at, (study, _) in enumerate(studies):
            for words, j in judgements(study, arms, strata):
                mark = "**" if j.p < 0.05 else ""
                where = f", {j.stratum} tiles" if strata else f", on {j.dataset}" * (j.dataset != DATASET)
                cells = rows.setdefault(words + where, [""] * len(studies))
                cells[at] = f"{mark}{simultaneous(j)}{mark}" if j.result.seeds else j.verdict
        return markdown(["claim", *(head for _, head in studies)], [[k, *v] for k, v in rows.items()])

    return text


def means(
    study: str, head: Sequence[str], columns: Sequence[str], rows: Words, datasets: Sequence[str] = (DATASET,)
) -> Table:
    """PSNR of arms (rows: words, "name keep") after updates (columns: "model updates", or "keep updates"), with
    "STUDY: " before those of another study; of two seeds and fewer the mean alone."""

    def cell(arm: str, column: str, dataset: str) -> str:
        other, _, column = column.rpartition(": ")
        model, updates, keep, *_ = *column.split(), ""
        g = group(other or study, model, f"{arm.replace('-', keep) if keep else arm} {updates}")
        if g is None:
            return ""
        i = interval(g.per_seed(dataset))
        return f"{i.mean:.3f} ± {i.high - i.mean:.3f}" if len(g.seeds) > 2 else f"{i.mean:.3f}"

    every = [(column, dataset) for column in columns for dataset in datasets]
    return lambda: markdown(head, [[words, *(cell(arm, *which) for which in every)] for words, arm in rows])


def of_study(
    study: str, arms: Words, *sets: str, name: str = "", model: str = "fsrcnn", updates: int = 1951,
    rows: Words = (), head: str = "",
) -> dict[str, Table]:  # fmt: skip
    """The means of a study on test sets, and its claims about them and about strata."""
    title, name = f"{head}{updates:,} updates", name or study
    heads = (title, *sets) if sets else (DATASET, title)
    return {
        f"{name}-means": means(study, heads, (f"{model} {updates}",), rows or arms, sets or (DATASET,)),
        name: of_file(study, arms),
        f"{name}-strata": of_file(study, arms, strata=True),
    }


def ratios(columns: Sequence[tuple[str, str, str, int]], rows: Words) -> Table:
    """What is kept against all patches, several studies beside each other: (head, study, model, updates)."""

    def text() -> str:
        head, cells = ["kept"], []
        for words, study, model, updates in columns:
            some = [
                compared(study, f"{arm} {updates}", f"full 100 {updates}", model)
                if group(study, model, f"{arm} {updates}")
                else None
                for _, arm in rows
            ]
            most = max(c.seeds for c in some if c)
            head.append(f"{words}, {most} seeds")
            shown = [signed(c, " dB") + f" ({c.seeds} seeds)" * (c.seeds != most) if c else "" for c in some]
            cells.append(["" if c is None or c.seeds < 2 else text for c, text in zip(some, shown, strict=True)])
        return markdown(head, [[words, *row] for (words, _), *row in zip(rows, *cells, strict=True)])

    return text


def saved(rows: Sequence[tuple[str, str, str, int]]) -> Table:
    """After how many updates a selection has the PSNR of all patches: (words, study, arm, updates of both).

    Its last doubling of updates gave it a gain g, so that a lead d is worth a factor of 2^(-d / g); the bounds are
    those of d. Beyond the updates that were run nothing is claimed.
    """

    def line(words: str, study: str, arm: str, most: int) -> list[str]:
        lead = compared(study, f"{arm} {most}", f"full 100 {most}").effect
        gain = compared(study, f"{arm} {most}", f"{arm} {most // 2 + most % 2}").effect.mean
        needed = (most * 2 ** (-d / gain) for d in (lead.mean, lead.high, lead.low))
        shown = (f"more than {most:,}" if n > most else f"{round(n, -2):,.0f}" for n in needed)
        return [words, f"{most:,}", "{} [{}, {}]".format(*shown)]

    head = ["selection", "updates of all patches", "updates of the selection for the same PSNR"]
    return lambda: markdown(head, [line(*row) for row in rows])


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table; words with " | " between them are several columns."""
    first = " | ".join(head)
    rule = " | ".join(["---"] * (1 + first.count(" | ")))
    return "".join(f"| {row} |\n" for row in (first, rule, *map(" | ".join, lines)))
