"""The claims that a study made before it was run, judged together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from srfast.evaluation.inference import LEVEL, Comparison, Interval, compare, holm, judge
from srfast.study.groups import Group, groups, main_dataset, paired
from srfast.study.results import Results


@dataclass(frozen=True)
class Judged:
    """A claim with its result, corrected for all claims of its family."""

    claim: Mapping[str, Any]
    """The claim as in the study's file."""
    dataset: str
    result: Comparison
    """The result of no seed, while one of its sides was not run."""
    family: int
    """Number of claims that are judged together, whether they were run or not."""
    p: float
    """Holm's p-value of "there is no difference"; NaN with fewer than two seeds."""
    p_equivalent: float
    """p-value of equivalence, times the number of claims."""

    @property
    def stratum(self) -> str:
        """Name of the stratum; "" is the whole test set."""
        return str(self.claim["stratum"])

    @property
    def interval(self) -> Interval:
        """Simultaneous interval: all intervals of a family contain the true values with 95 % (Bonferroni)."""
        return self.result.effect if self.result.seeds < 2 else self.result.at(1 - (1 - LEVEL) / self.family)

    @property
    def verdict(self) -> str:
        """Verdict by the corrected p-values."""
        r = self.result
        if not r.seeds:
            return "not run"
        sure = Interval(r.effect.mean, r.effect.mean, r.effect.mean) if self.p < 1 - LEVEL else Interval(0, -1, 1)
        return r.judged(sure, self.p_equivalent)


def judged(results: Results) -> list[Judged]:
    """All claims of a study that has results: first those about test sets, then those about strata. Each kind is a
    family."""
    study = results.meta["study"]
    every = [g for g in groups(results) if g.key.pool == 1]
    if not every:
        return []
    main, scale = main_dataset(every), every[0].key.scale
    first = study.get("scorers") or [every[0].key.scorer]  # older results name none
    some = [g for g in every if g.key.scorer == first[0]]
    families: tuple[list[Found], list[Found]] = [], []
    for claim in study.get("claims", []):
        dataset = claim["dataset"] or main
        # Claims from before they had a scale are of one scale.
        whole = {**claim, "scale": claim.get("scale") or scale}
        arm, control = (_group(some, whole, study, *names) for names in SIDES)
        both = sorted(set(arm.seeds) & set(control.seeds)) if arm and control else []
        result = NOT_RUN
        if arm and control and both and dataset in arm.psnr:
            if claim["stratum"]:
                sides = (results, arm), (results, control)
                result = judge(strata_difference(*sides, dataset, claim["stratum"], both))
            else:
                result = compare(*paired(arm, control, dataset))
        families[bool(claim["stratum"])].append((claim, dataset, result))
    return [*judge_family(families[0]), *judge_family(families[1])]


Found = tuple[Mapping[str, Any], str, Comparison]
NOT_RUN = Comparison(Interval(math.nan, math.nan, math.nan), 0, math.nan, math.nan, math.nan)


def judge_family(family: Sequence[Found]) -> list[Judged]:
    """The claims of one family: each claim, its test set and its result, where one without a p-value counts as not
    significant."""
    judgements = []
    for found, p in zip(family, holm([1.0 if math.isnan(c.p) else c.p for *_, c in family]), strict=True):
        both = (p, min(1.0, len(family) * found[2].p_equivalent)) if found[2].seeds > 1 else (math.nan, math.nan)
        judgements.append(Judged(*found, len(family), *both))
    return judgements


SIDES = (("arm", "keep"), ("against", "against_keep"))


def _group(
    some: Sequence[Group], claim: Mapping[str, Any], study: Mapping[str, Any], name: str, keep: str
) -> Group | None:
    model, updates = claim["model"] or study["models"][0], claim["updates"] or study["updates"]
    wanted = (claim["scale"], model, claim[name], claim[keep], updates)
    return next((g for g in some if g.key[:5] == wanted), None)


def strata_difference(
    arm: tuple[Results, Group], control: tuple[Results, Group], dataset: str, stratum: str, seeds: Sequence[int]
) -> np.ndarray:
    """Differences of PSNR on a stratum [seeds, images], whose mean over images is that of the whole stratum.

    PSNR is that of the mean squared error over all tiles of the stratum, which is not a mean over images. Each image
    has the difference plus its influence on it (the infinitesimal jackknife), so that images are a sample here too.
    """
    names: list[str] = []
    sums: list[np.ndarray] = []
    for results, group in (arm, control):
        cells = [group.cells[group.seeds.index(s)] for s in seeds]
        rows = results.strata.filter(
            (pc.field("dataset") == dataset) & (pc.field("stratum") == stratum) & pc.field("cell").isin(cells)
        )
        names = names or sorted(rows["image"].unique().to_pylist())
        errors = np.zeros((len(seeds), len(names)))
        seed, image = (
            pc.index_in(rows[column], value_set=pa.array(of)).to_numpy()
            for column, of in (("cell", cells), ("image", names))
        )
        errors[seed, image] = rows["mse"].to_numpy() * rows["pixels"].to_numpy()
        sums.append(errors)
    a, b = (np.maximum(s, 1e-12) for s in sums)
    difference = 10 * np.log10(b.sum(1, keepdims=True) / a.sum(1, keepdims=True))
    own = b / b.sum(1, keepdims=True) - a / a.sum(1, keepdims=True)
    influence: np.ndarray = difference + 10 / math.log(10) * len(names) * own
    return influence
