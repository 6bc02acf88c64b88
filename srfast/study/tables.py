"""The tables of a study, in the form of Moser et al.'s Tables 1, 2 and 3, and what the differences mean."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from srfast.evaluation.evaluator import STRATA
from srfast.evaluation.inference import DELTA, Interval, interval, minimum_detectable_effect, pooled_sigma, seeds_needed
from srfast.study.claims import SIDES, judged
from srfast.study.groups import Group, groups, main_dataset, pairs, training_seconds
from srfast.study.results import Results


def tables(results: Results) -> list[Table]:
    """All tables for which the results have data."""
    some = groups(results)
    if not some:
        return []
    dataset = main_dataset(some)
    whole = [g for g in some if g.key.pool == 1 and g.key.scorer == some[0].key.scorer]
    matched = [g for g in whole if g.key.updates == max(h.key.updates for h in whole)]
    all_tables = [
        _claims(results),
        _by_model(results, whole, dataset),
        _by_dataset("table2", "Table 2: selections at the same, full number of updates.", matched),
        _by_dataset("table3", "Table 3: all selections on all test sets.", whole),
        _comparisons(some, dataset),
        _spread(some, dataset),
        _costs(whole, dataset),
    ]
    if len({g.key.pool for g in some}) > 1:
        all_tables.append(_pools(some, dataset))
    if len({g.key.scorer for g in some}) > 1:
        all_tables.append(_scorers(some, dataset))
    return [t for t in all_tables if t.rows]


def _claims(results: Results) -> Table:
    study, rows, judgements = results.meta["study"], [], judged(results)
    scaled = len(study.get("scales", ())) > 1
    for j in judgements:
        arm, control = (f"{j.claim[name]} {100 * j.claim[keep]:g} %" for name, keep in SIDES)
        model = (j.claim["model"] or study["models"][0]) + (f" x{j.claim['scale']}" if scaled else "")
        rows.append(
            [
                f"{arm} against {control} ({model}, {j.claim['updates'] or study['updates']:,} updates)",
                f"{j.dataset}{f', {j.stratum} tiles' if j.stratum else ''}",
                Value(j.interval, 3, signed=True) if j.result.seeds else None,
                j.result.seeds,
                None if math.isnan(j.p) else f"{j.p:.2g}",
                j.verdict,
            ]
        )
    title = (
        "Claims of the study's file. Those about test sets are one family, those about strata another, whether "
        "they were run or not. The verdicts follow Holm's p over the family, the intervals "
        "hold all of a family at once (95 %, Bonferroni)."
    )
    header = ["Claim", "On", "Difference (dB)", "Seeds", "p (Holm)", "Verdict"]
    return Table("claims", title, header, rows, blocks=[bool(j.stratum) for j in judgements])


def _label(group: Group) -> list[TableEntry]:
    return [group.key.arm, group.kept, group.key.updates]


_LABELS = ["Selection", "Kept", "Updates"]


def _score(group: Group, dataset: str) -> list[TableEntry]:
    psnr, ssim = (interval(group.per_seed(dataset, m)) for m in ("psnr", "ssim"))
    return [Value(psnr, 3), Value(ssim, 4)]


def _by_model(results: Results, some: Sequence[Group], dataset: str) -> Table:
    """Rows: selections; columns: models, each with the strata beside the mean, which hides opposite changes in them."""
    strata = {g.key: groups_of for g, groups_of in strata_of(results, some, dataset)}
    models = list(dict.fromkeys((g.key.scale, g.key.model) for g in some))
    by_row: dict[tuple[str, float, int], dict[tuple[int, str], Group]] = {}
    for g in some:
        by_row.setdefault((g.key.arm, g.key.keep, g.key.updates), {})[g.key.scale, g.key.model] = g
    scaled = len({s for s, _ in models}) > 1
    header = [*_LABELS, "Seeds"]
    for scale, model in models:
        header += [f"{model}{f' x{scale}' if scaled else ''} {m}" for m in ("PSNR", "SSIM", *STRATA, "flat")]
    rows = []
    for groups_of in by_row.values():
        first = next(iter(groups_of.values()))
        row = [*_label(first), min(len(g.seeds) for g in groups_of.values())]
        for column in models:
            if column not in groups_of:
                row += [None] * (2 + len(STRATA) + 1)
                continue
            own = strata[groups_of[column].key]
            row += [
                *_score(groups_of[column], dataset),
                *(Value(own[s], 3) if s in own else None for s in (*STRATA, "flat")),
            ]
        rows.append(row)
    title = (
        f"Table 1: selections on {dataset}, at fixed epochs and at fixed updates: PSNR and SSIM, and PSNR on the easy, "
        "middle and hard thirds of the tiles and on flat ones."
    )
    return Table("table1", title, header, rows, frozenset(range(4, len(header))))


def _by_dataset(name: str, title: str, some: Sequence[Group]) -> Table:
    """Rows: scale, model, selection; columns: test sets."""
    datasets = list(dict.fromkeys(d for g in some for d in g.psnr))
    header = ["Scale", "Model", *_LABELS, "Seeds"] + [f"{d} {m}" for d in datasets for m in ("PSNR", "SSIM")]
    rows: list[list[TableEntry]] = []
    for g in some:
        scores = [entry for d in datasets for entry in (_score(g, d) if d in g.psnr else [None, None])]
        rows.append([f"x{g.key.scale}", g.key.model, *_label(g), len(g.seeds), *scores])
    blocks = [(g.key.scale, g.key.model) for g in some]
    return Table(name, title, header, rows, frozenset(range(6, len(header))), blocks)


def _comparisons(some: Sequence[Group], dataset: str) -> Table:
    header = ["Scale", "Model", *_LABELS, "Pool", "Against", "Difference (dB)"]
    header += ["Seeds", "p (equal)", "Verdict", "Needs"]
    rows: list[list[TableEntry]] = []
    for pair in pairs(some, dataset):
        k, r = pair.group.key, pair.result
        rows.append(
            [
                f"x{k.scale}",
                k.model,
                *_label(pair.group),
                f"{100 * k.pool:g} %",
                f"{pair.control.key.arm}: {pair.question}",
                Value(r.effect, 3, signed=True),
                r.seeds,
                None if math.isnan(r.p_equivalent) else f"{r.p_equivalent:.3f}",
                r.verdict,
                r.needed,
            ]
        )
    title = (
        f"Differences of PSNR on {dataset}, paired over seeds and images, 95 % intervals; p: of equivalence within "
        f"{DELTA} dB; needs: seeds that telling {DELTA} dB takes. Exploration: one true zero in twenty looks like a "
        "difference, and nothing is corrected for how many there are."
    )
    return Table("comparisons", title, header, rows)


def _spread(some: Sequence[Group], dataset: str) -> Table:
    """The standard deviation between seeds at each number of updates, and the difference that it lets one detect."""
    header = ["Scale", "Model", "Updates", "Groups", "Seeds in all", "Sigma (dB)", "Sigma of differences (dB)"]
    header += ["Seeds for 0.02 dB", "Fewest seeds", "Detectable with them (dB)"]
    rows: list[list[TableEntry]] = []
    for scale, model, updates in sorted({(g.key.scale, g.key.model, g.key.updates) for g in some}):
        own = [
            g for g in some if (g.key.scale, g.key.model, g.key.updates) == (scale, model, updates) and len(g.seeds) > 1
        ]
        if not own:
            continue
        row: list[TableEntry] = [f"x{scale}", model, updates, len(own), sum(len(g.seeds) for g in own)]
        row.append(f"{pooled_sigma([g.per_seed(dataset) for g in own]):.4f}")
        differences = [p.result.sigma for p in pairs(own, dataset) if not math.isnan(p.result.sigma)]
        if differences:
            sigma = math.sqrt(float(np.mean(np.square(differences))))
            fewest = min(len(g.seeds) for g in own)
            row += [f"{sigma:.4f}", seeds_needed(sigma), fewest, f"{minimum_detectable_effect(sigma, fewest):.3f}"]
        rows.append([*row, *([None] * (len(header) - len(row)))])
    title = f"The spread of PSNR on {dataset} between seeds, and the effect that it lets one detect with a power of "
    "80 %."
    return Table("spread", title, header, rows)


def _costs(some: Sequence[Group], dataset: str) -> Table:
    """The costs with the time of scoring and selecting, and what everything needs to be as good."""
    header = [*_LABELS, "Model", "Patches", "Training (s)", "Scoring and selecting (s)", "PSNR"]
    header += ["Updates of all patches for it"]
    training = training_seconds(some)
    rows: list[list[TableEntry]] = []
    for g in some:
        full = sorted((c for c in some if c.is_full and c.setting == g.setting), key=lambda c: c.key.updates)
        curve = [(c.key.updates, float(c.per_seed(dataset).mean())) for c in full]
        psnr = interval(g.per_seed(dataset))
        rows.append(
            [
                *_label(g),
                g.key.model,
                g.patches,
                f"{training[g.key]:.0f}",
                f"{g.scoring_seconds.mean():.1f}",
                Value(psnr, 3),
                None if g.is_full else updates_for(psnr.mean, curve),
            ]
        )
    return Table("costs", f"What the PSNR on {dataset} costs; training at the fastest pace of an update.", header, rows)


def updates_for(psnr: float, curve: Sequence[tuple[int, float]]) -> str | None:
    """Number of updates at which a curve of (updates, PSNR) reaches a PSNR, linear in the logarithm of the updates."""
    if len(curve) < 2:
        return None
    updates, values = np.array(curve).T
    if psnr > values.max():
        return f"> {int(updates[-1])}"
    if psnr < values.min():
        return f"< {int(updates[0])}"
    return str(round(float(np.exp(np.interp(psnr, np.maximum.accumulate(values), np.log(updates))))))


def _pools(some: Sequence[Group], dataset: str) -> Table:
    header = ["Images", "Model", *_LABELS, "Patches", "Seeds", "PSNR", "SSIM"]
    rows = [
        [f"{100 * g.key.pool:g} %", g.key.model, *_label(g), g.patches, len(g.seeds), *_score(g, dataset)] for g in some
    ]
    return Table(
        "pool", f"Parts of the images and of their patches: PSNR on {dataset}.", header, rows, frozenset({7, 8})
    )


def _scorers(some: Sequence[Group], dataset: str) -> Table:
    header = ["Scorer", "Model", *_LABELS, "Seeds", "PSNR", "SSIM"]
    rows = [[g.key.scorer, g.key.model, *_label(g), len(g.seeds), *_score(g, dataset)] for g in some]
    return Table("scorers", f"Other scorers: PSNR on {dataset}.", header, rows, frozenset({6, 7}))


def strata_psnr(results: Results, dataset: str) -> dict[str, dict[str, float]]:
    """PSNR of each cell on each stratum of a test set, by the mean squared error over all its tiles."""
    rows = results.strata.filter(pc.field("dataset") == dataset)
    rows = rows.append_column("error", pc.multiply(rows["mse"], pc.cast(rows["pixels"], "float64")))
    by_cell: dict[str, dict[str, float]] = {}
    for of in rows.group_by(["cell", "stratum"]).aggregate([("error", "sum"), ("pixels", "sum")]).to_pylist():
        psnr = 10 * math.log10(255**2 / max(of["error_sum"] / of["pixels_sum"], 1e-12))
        by_cell.setdefault(of["cell"], {})[of["stratum"]] = psnr
    return by_cell


def strata_of(results: Results, some: Sequence[Group], dataset: str) -> list[tuple[Group, dict[str, Interval]]]:
    """PSNR of each group on each stratum, over the seeds."""
    by_cell = strata_psnr(results, dataset)
    intervals = []
    for g in some:
        psnrs = [by_cell[c] for c in g.cells if c in by_cell]
        strata = [s for s in (*STRATA, "flat") if psnrs and all(s in p for p in psnrs)]
        intervals.append((g, {s: interval(np.array([p[s] for p in psnrs])) for s in strata}))
    return intervals


@dataclass(frozen=True)
class Value:
    """A number of a table with its interval and its rank in its column."""

    interval: Interval
    digits: int
    signed: bool = False

    @property
    def text(self) -> str:
        sign = "+" if self.signed else ""
        return f"{self.interval.mean:{sign}.{self.digits}f}"

    @property
    def bounds(self) -> str:
        i = self.interval
        if math.isnan(i.low):
            return ""
        if self.signed:
            return f"[{i.low:+.{self.digits}f}, {i.high:+.{self.digits}f}]"
        return f"± {(i.high - i.low) / 2:.{self.digits}f}"


TableEntry = str | int | Value | None


@dataclass(frozen=True)
class Table:
    """Rows of entries; in ``ranked`` columns the two highest values of each block of rows are marked."""

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[TableEntry]]
    ranked: frozenset[int] = frozenset()
    blocks: Sequence[object] = field(default_factory=list)
    """The block of each row; empty: all rows are one block."""

    def marks(self) -> dict[tuple[int, int], int]:
        """(row, column) -> 0 for the best of its block, 1 for the second."""
        marks: dict[tuple[int, int], int] = {}
        blocks = list(self.blocks) or [None] * len(self.rows)
        for column in self.ranked:
            for block in dict.fromkeys(blocks):
                values = [
                    (v.text, r)
                    for r, row in enumerate(self.rows)
                    if blocks[r] == block and isinstance(v := row[column], Value)
                ]
                # As printed: what rounds to the same shares a place.
                for place, text in enumerate(sorted({t for t, _ in values}, key=float, reverse=True)[:2]):
                    marks |= {(r, column): place for t, r in values if t == text}
        return marks

    def _shown(self, best: str, second: str, escape: Callable[[str], str] = str) -> list[list[str]]:
        """The entries as text; templates mark the best value and the second."""
        marks = self.marks()

        def show(r: int, c: int, entry: TableEntry) -> str:
            if not isinstance(entry, Value):
                return "" if entry is None else escape(str(entry))
            return f"{(best, second, '%s')[marks.get((r, c), 2)] % entry.text} {escape(entry.bounds)}".strip()

        return [[show(r, c, e) for c, e in enumerate(row)] for r, row in enumerate(self.rows)]

    def markdown(self) -> str:
        """The table as Markdown, with the best value bold and the second underlined."""
        lines = [list(self.header), ["---"] * len(self.header), *self._shown("**%s**", "<u>%s</u>")]
        return f"{self.title}\n\n" + "".join("| " + " | ".join(line) + " |\n" for line in lines)

    def csv(self) -> str:
        """The table as CSV, with means and bounds in columns of their own."""
        wide = [any(isinstance(row[c], Value) for row in self.rows) for c in range(len(self.header))]

        def cells(entry: TableEntry, is_wide: bool) -> list[str]:
            if not isinstance(entry, Value):
                return ["" if entry is None else str(entry), *([""] * (2 * is_wide))]
            i = entry.interval
            return ["" if math.isnan(v) else f"{v:.{entry.digits + 2}f}" for v in (i.mean, i.low, i.high)]

        head = [[h, f"{h} low", f"{h} high"] if w else [h] for h, w in zip(self.header, wide, strict=True)]
        lines = [head, *([cells(*entry) for entry in zip(row, wide, strict=True)] for row in self.rows)]
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([c for some in line for c in some] for line in lines)
        return out.getvalue()

    def latex(self) -> str:
        """The table as a tabular for the package booktabs, with the best value bold and the second underlined."""
        kinds = "".join(
            "r" if any(isinstance(row[c], (Value, int)) for row in self.rows) else "l" for c in range(len(self.header))
        )
        body = []
        blocks = list(self.blocks) or [None] * len(self.rows)
        for r, row in enumerate(self._shown(r"\textbf{%s}", r"\underline{%s}", _escape)):
            if r and blocks[r] != blocks[r - 1]:
                body.append(r"\midrule")
            body.append(" & ".join(row) + r" \\")
        head = " & ".join(_escape(h) for h in self.header) + r" \\"
        lines = [f"% {self.title}", rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *body]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _escape(text: str) -> str:
    special = {"\\": r"\textbackslash ", "±": r"$\pm$", **{sign: rf"\{sign}" for sign in "%&_#"}}
    return "".join(special.get(sign, sign) for sign in text)
