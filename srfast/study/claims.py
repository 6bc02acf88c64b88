"""The claims that a study named before it was run, judged together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from srfast.evaluation.inference import LEVEL, Comparison, Interval, holm, judge, sequential_level
from srfast.study.result_groups import Group, Key, cells_of, groups, main_dataset, paired
from srfast.study.results import Results


@dataclass(frozen=True)
class Judged:
    """A claim with its result, corrected for all claims of its family."""

    claim: Mapping[str, Any]
    """The claim as in the study's file."""
    arm: Group
    control: Group
    dataset: str
    stratum: str
    """Name of the stratum; "" is the whole test set."""
    result: Comparison
    family: int
    """Number of claims that are judged together."""
    p: float
    """Holm's adjusted p-value of "there is no difference"."""

    @property
    def interval(self) -> Interval:
        """Simultaneous interval: all intervals of a family contain the true values with 95 % (Bonferroni)."""
        return self.result.effect if self.result.seeds < 2 else self.result.at(1 - (1 - LEVEL) / self.family)

    @property
    def verdict(self) -> str:
        """Verdict by Holm's p-value, and for "as good" by the p-value of equivalence times the number of claims."""
        r = self.result
        if r.seeds < 2:
            return r.verdict
        sure = Interval(r.effect.mean, r.effect.mean, r.effect.mean) if self.p < 1 - LEVEL else Interval(0, -1, 1)
        return r.judged(sure, min(1.0, self.family * r.p_equivalent))

    def decided(self, alpha: float, part: float) -> bool:
        """Whether the claim is detected, or shown to be as good, at a fraction of all seeds (O'Brien and Fleming's
        bounds).

        Args:
            alpha: Level of this claim: 5 % over the number of claims.
            part: Fraction of the largest number of seeds.
        """
        level = sequential_level(alpha, part)
        return self.result.seeds > 1 and (self.result.p <= level or self.result.p_equivalent <= level / 2)


def judged(results: Results) -> list[Judged]:
    """The claims of a study that have results: first those about test sets, then those about strata."""
    claims = results.meta["study"].get("claims", [])
    some = [g for g in groups(results) if g.key.pool == 1]
    some = [g for g in some if g.key.scorer == some[0].key.scorer]
    if not claims or not some:
        return []
    found: list[tuple[Mapping[str, Any], Group, Group, str, Comparison]] = []
    for claim in claims:
        arm, control = (_group(some, claim, results.meta["study"], *names) for names in SIDES)
        both = sorted(set(arm.seeds) & set(control.seeds)) if arm and control else []
        dataset = claim["dataset"] or main_dataset(some)
        if arm and control and both and dataset in arm.psnr:
            if claim["stratum"]:
                sides = (results, arm.key), (results, control.key)
                differences = strata_difference(*sides, dataset, claim["stratum"], both)
            else:
                a, b = paired(arm, control, dataset)
                differences = a - b
            found.append((claim, arm, control, dataset, judge(differences)))
    done: list[Judged] = []
    for of_strata in (False, True):
        family = [f for f in found if bool(f[0]["stratum"]) == of_strata]
        tested = [f[-1].p for f in family if not math.isnan(f[-1].p)]
        adjusted = iter(holm(tested))
        for claim, arm, control, dataset, c in family:
            p = math.nan if math.isnan(c.p) else next(adjusted)
            done.append(Judged(claim, arm, control, dataset, claim["stratum"], c, max(1, len(tested)), p))
    return done


SIDES = (("arm", "keep"), ("against", "against_keep"))


def _group(
    some: Sequence[Group], claim: Mapping[str, Any], study: Mapping[str, Any], name: str, keep: str
) -> Group | None:
    asked = (claim["model"] or some[0].key.model, claim[name], claim[keep], claim["updates"] or study["updates"])
    return next((g for g in some if (g.key.model, g.key.arm, g.key.keep, g.key.updates) == asked), None)


def strata_difference(
    arm: tuple[Results, Key], control: tuple[Results, Key], dataset: str, stratum: str, seeds: Sequence[int]
) -> np.ndarray:
    """Differences of PSNR on a stratum [seeds, images], whose mean over images is that of the whole stratum.

    PSNR is that of the mean squared error over all tiles of the stratum, which is not a mean over images. Each image
    has the difference plus its influence on it (the infinitesimal jackknife), so that images are a sample here too.
    """
    names: list[str] = []
    sums: list[np.ndarray] = []
    for results, key in (arm, control):
        cells, strata = cells_of(results)[key], results.strata
        asked = pc.and_(pc.equal(strata["dataset"], dataset), pc.equal(strata["stratum"], stratum))
        rows = [r for r in strata.filter(asked).to_pylist() if cells.get(r["cell"]) in seeds]
        names = names or sorted({r["image"] for r in rows})
        errors = np.zeros((len(seeds), len(names)))
        for row in rows:
            errors[seeds.index(cells[row["cell"]]), names.index(row["image"])] = row["mse"] * row["pixels"]
        sums.append(errors)
    a, b = (np.maximum(s, 1e-12) for s in sums)
    difference = 10 * np.log10(b.sum(1, keepdims=True) / a.sum(1, keepdims=True))
    own = b / b.sum(1, keepdims=True) - a / a.sum(1, keepdims=True)
    influence: np.ndarray = difference + 10 / math.log(10) * len(names) * own
    return influence
