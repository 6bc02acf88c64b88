"""The tables of the studies of ``prune``'s rule: studies/decision.toml, decision-*.toml and sceptic.toml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.study_rows import DATASET, Family, Means, Table, markdown, on, paired, signed, simultaneous
from srfast.evaluation.inference import Comparison, judge

POOLS = (
    ("BSDS400", "400 small, sharp photographs (BSDS400)"),
    ("dirty-wild-60", "the same, 60 % of them degraded"),
    ("wild", "132 large, soft images"),
    ("found", "505 mixed pictures"),
    ("pictures", "348 mixed pictures, unseen"),
    ("manuals", "420 pictures from manuals, unseen"),
)
"""The last two had no part in the choice of the rule."""
KINDS = (
    ("mixed pictures, as people collect them", ("pictures", "manuals")),
    ("large and soft", ("wild",)),
    ("60 % degraded", ("dirty-wild-60",)),
    ("small and sharp", ("BSDS400",)),
)
"""Kinds of images, with pools of them; the first two pools had no part in the choice of the rule."""
ARMS = (
    ("all patches", "full 100"),
    ("what `prune` decides", "decision 88"),
    ("what `--clean` leaves, the hardest half", "clean_half 50"),
    ("every image halved, the hardest tenth", "half_tenth 10"),
)
SCEPTIC = (
    ("every image halved, the hardest tenth", "half_tenth 10"),
    ("every image halved, a random tenth", "half_random 10"),
    ("every image halved, the hardest tenth by bicubic's error", "half_bicubic 10"),
    ("every image halved, the hardest tenth by Sobel", "half_sobel 10"),
    ("full size, soft images left out, the hardest tenth", "clean_tenth 10"),
    ("all patches in batches of 64", "full_64 100"),
    ("what `prune` decides", "decision 88"),
    ("what `prune --quick` decides (bicubic's error)", "decision_bicubic 88"),
    ("four sizes, a random 13 % of the clean patches", "four_random 13"),
)
_RULE, ALL = "decision 88", "full 100"
_CLEAN, _HALVED = "clean_half 50", "half_tenth 10"
LONG = tuple(pool for name in ("pictures", "manuals", "wild", "found") for pool in POOLS if pool[0] == name)


@dataclass(frozen=True)
class Leads:
    """The rule's lead in each pool, with 95 % intervals."""

    def markdown(self) -> str:
        lines = []
        for pool, words in POOLS:
            sides = ((ALL, DATASET, ""), (ALL, DATASET, "easy"), (ALL, "Urban100", ""), (better(pool), DATASET, ""))
            lines.append([words, *(signed(judge(lead(pool, *side))) for side in sides)])
        head = "against all patches, BSD100", "easy tiles", "Urban100", "against the better fixed setting, BSD100"
        return markdown(["images", *head], lines)


@dataclass(frozen=True)
class Short:
    """README's table: the gain of the rule, and of the better of two fixed settings in each pool."""

    def markdown(self) -> str:
        lines = []
        for words, pools in KINDS:
            rule, fixed = (_over(pools, ALL, arm=arm) for arm in (_RULE, ""))
            lines.append([words, self._gain(judge(rule)), self._gain(judge(fixed))])
        return markdown(["your images", "`srfast prune`", "the better fixed setting"], lines)

    @staticmethod
    def _gain(c: Comparison) -> str:
        return f"{c.effect.mean:.2f} dB [{c.effect.low:.2f}, {c.effect.high:.2f}]"


@dataclass(frozen=True)
class LongLeads:
    """The rule's lead over all patches in each pool after 1,951 and 15,608 updates, and the mean over the pools."""

    def markdown(self) -> str:
        rows = [(words, [pool]) for pool, words in LONG]
        rows.append(("the mean of the four", [pool for pool, _ in LONG]))
        sides: tuple[dict[str, str], ...] = ({"stratum": "easy"}, {"dataset": "Urban100"})
        lines = []
        for words, pools in rows:
            cells = [_over(pools, ALL), *(_over(pools, ALL, study="decision-long", **side) for side in ({}, *sides))]
            lines.append([words, *(signed(judge(c)) for c in cells)])
        return markdown(["images", "1,951 updates, BSD100", "15,608 updates, BSD100", "easy tiles", "Urban100"], lines)


@dataclass(frozen=True)
class LongVerdicts:
    """The claims over pools that were pre-registered in the head of studies/decision-long.toml, with their outcome."""

    def markdown(self) -> str:
        lines = [
            _above(f"{words}: ahead of all patches", 0.0, judge(_over(pools, ALL, study="decision-long")))
            for words, pools in (
                ("the mean over the four pools", [pool for pool, _ in LONG]),
                *((words, [pool]) for pool, words in LONG[:2]),
            )
        ]
        return markdown(list(_HEAD), lines)

    @staticmethod
    def differences(stratum: str) -> list[Comparison]:
        """The mean over the four pools, in the strata and on Urban100 too."""
        pools, sides = [pool for pool, _ in LONG], ({"stratum": stratum}, {"dataset": "Urban100"})
        return [judge(_over(pools, ALL, study="decision-long", **side)) for side in sides]


@dataclass(frozen=True)
class Others:
    """The rule against all patches with another network or scale: exploration, in differences seed by seed."""

    rows: tuple[tuple[str, str, str], ...]
    """Words, results, network."""

    def markdown(self) -> str:
        lines = []
        for words, results, model in self.rows:
            sides = ((DATASET, ""), (DATASET, "easy"), (DATASET, "hard"), ("Urban100", ""))
            differences = [paired(results, model, f"{_RULE} 1951", f"{ALL} 1951", *side) for side in sides]
            seeds = len(differences[0])
            cells = [signed(judge(d)) if seeds > 1 else f"{float(d.mean()):+.3f}" for d in differences]
            lines.append([words, str(seeds), *cells])
        return markdown(["training", "seeds", DATASET, "easy tiles", "hard tiles", "Urban100"], lines)


@dataclass(frozen=True)
class Verdicts:
    """The claims over all pools that were pre-registered in the head of studies/decision.toml, with their outcome."""

    def markdown(self) -> str:
        every = [pool for pool, _ in POOLS]
        lines = []
        over = "the mean over the six pools is ahead of all patches"
        lines.append(_above(over, 0.0, judge(_over(every, ALL))))
        for pool, words in POOLS[-2:]:
            lines.append(_above(f"{words}: ahead of all patches", 0.0, judge(lead(pool, ALL))))
        for pool, words in POOLS:
            c = judge(lead(pool, best(pool)))
            lines.append(_above(f"{words}: at most 0.05 dB behind the best fixed setting", -0.05, c))
        easy = "easy tiles, the mean over the six pools: at most 0.05 dB behind all patches"
        lines.append(_above(easy, -0.05, judge(_over(every, ALL, stratum="easy"))))
        return markdown(list(_HEAD), lines)

    @staticmethod
    def differences(stratum: str) -> list[Comparison]:
        """The lead over all patches, the mean over the six pools, in the strata too."""
        return [judge(_over([pool for pool, _ in POOLS], ALL, stratum=stratum))]


_HEAD = ("claim, on BSD100", "difference (dB)", "one-sided 95 % bound", "p", "outcome")


def _above(words: str, bound: float, c: Comparison) -> list[str]:
    """The claim that a difference is above the bound."""
    low, p = c.at(0.9).low, max(e.beyond(c.effect.mean - bound) for e in c.errors)
    outcome = "holds" if low > bound else "fails" if c.at(0.9).high < bound else "not shown"
    return [words, signed(c), f"above {low:+.3f}", f"{p:.2g}", outcome]


@dataclass(frozen=True)
class Claims:
    """The claims about each pool, corrected together in each (Holm)."""

    strata: bool = False
    study: str = "decision"
    pools: tuple[tuple[str, str], ...] = POOLS

    def markdown(self) -> str:
        lines = []
        for pool, words in self.pools:
            for claim, j in Family(f"{self.study}/{pool}", ARMS, self.strata).judged():
                lines.append([words, claim, on(j), simultaneous(j), f"{j.p:.2g}", j.verdict])
        return markdown(["pool", "claim", "on", "difference (dB), simultaneous", "p (Holm)", "verdict"], lines)


def best(pool: str) -> str:
    """The best fixed setting of a pool, pre-registered."""
    return _HALVED if pool == "wild" else _CLEAN


def better(pool: str) -> str:
    """The fixed setting of a pool with the higher mean, chosen afterwards: as hard a comparison as there is."""
    return min(_CLEAN, _HALVED, key=lambda arm: float(lead(pool, arm).mean()))


def lead(
    pool: str, control: str, dataset: str = DATASET, stratum: str = "", arm: str = _RULE, study: str = "decision"
) -> np.ndarray:
    """The rule less another arm in one pool [seeds, images]; with ``arm`` "" the better fixed setting less it."""
    updates = 15608 if study == "decision-long" else 1951
    rule, other = (f"{side} {updates}" for side in (arm or better(pool), control))
    return paired(f"{study}/{pool}", "fsrcnn", rule, other, dataset, stratum)


def _over(pools: Sequence[str], control: str, dataset: str = DATASET, **side: str) -> np.ndarray:
    """The mean over pools [seeds, images]."""
    mean: np.ndarray = np.mean([lead(pool, control, dataset, **side) for pool in pools], axis=0)
    return mean


TABLES: dict[str, Table] = {
    "decision-held": Means(
        "decision/pictures",
        ("348 mixed pictures, unseen", "their held-out tenth", "Urban100"),
        ("fsrcnn 1951",),
        ARMS,
        ("held", "Urban100"),
    ),
    "decision-short": Short(),
    "decision-leads": Leads(),
    "decision-verdicts": Verdicts(),
    "decision-claims": Claims(),
    "decision-claims-strata": Claims(strata=True),
    "decision-long-leads": LongLeads(),
    "decision-long-verdicts": LongVerdicts(),
    "decision-long-claims": Claims(study="decision-long", pools=LONG),
    "decision-long-claims-strata": Claims(True, "decision-long", LONG),
    "decision-others": Others(
        (
            ("EDSR 8x32, x2, 348 mixed pictures", "decision-edsr/pictures", "edsr_baseline"),
            ("EDSR 8x32, x2, 132 large, soft images", "decision-edsr/wild", "edsr_baseline"),
            ("FSRCNN, x4, 348 mixed pictures", "decision-x4/pictures", "fsrcnn"),
            ("FSRCNN, x4, 132 large, soft images", "decision-x4/wild", "fsrcnn"),
        )
    ),
    "sceptic": Family("sceptic", SCEPTIC),
    "sceptic-means": Means(
        "sceptic", ("132 large, soft images", DATASET, "Urban100"), ("fsrcnn 1951",), SCEPTIC, (DATASET, "Urban100")
    ),
    "decision-means": Means(
        "decision/BSDS400",
        (DATASET, *(words for _, words in POOLS)),
        tuple(f"decision/{pool}: fsrcnn 1951" for pool, _ in POOLS),
        ARMS,
    ),
}
