"""The tables of the studies of ``prune``'s rule: studies/decision.toml, decision-*.toml and sceptic.toml."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from experiments.study_rows import (
    DATASET,
    SEEDS,
    Differences,
    Pair,
    Table,
    Words,
    compared,
    effect,
    judgements,
    markdown,
    means,
    of_file,
    on,
    signed,
    simultaneous,
)
from srfast.evaluation.inference import Comparison

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

RULE, ALL = "decision 88 1951", "full 100 1951"
_CLEAN, _HALVED = "clean_half 50 1951", "half_tenth 10 1951"
EVERY = [pool for pool, _ in POOLS]
LONG = tuple(pool for name in ("pictures", "manuals", "wild", "found") for pool in POOLS if pool[0] == name)
FOUR = [pool for pool, _ in LONG]
_EASY, _URBAN = {"stratum": "easy"}, {"dataset": "Urban100"}


def best(pool: str) -> str:
    """The best fixed setting of a pool, pre-registered."""
    return _HALVED if pool == "wild" else _CLEAN


def better(study: str) -> str:
    """The fixed setting of a pool with the higher mean, chosen afterwards: as hard a comparison as there is."""
    return min(_CLEAN, _HALVED, key=lambda arm: compared(study, RULE, arm).effect.mean)


def lead(*pools: str) -> Pair:
    """The rule against all patches, the mean over pools."""
    return partial(compared, tuple(f"decision/{pool}" for pool in pools), arm=RULE, control=ALL)


def long_lead(*pools: str) -> Pair:
    """The same in trainings of 15,608 updates."""
    arm, control = (side.replace("1951", "15608") for side in (RULE, ALL))
    return partial(compared, tuple(f"decision-long/{pool}" for pool in pools), arm, control)


def _long_leads() -> str:
    rows = [*((words, [pool]) for pool, words in LONG), ("the mean of the four", FOUR)]
    lines = [
        [words, signed(lead(*pools)()), *(signed(long_lead(*pools)(**how)) for how in ({}, _EASY, _URBAN))]
        for words, pools in rows
    ]
    return markdown(["images", "1,951 updates, BSD100", "15,608 updates, BSD100", "easy tiles", "Urban100"], lines)


@dataclass(frozen=True)
class Verdicts:
    """The claims that were pre-registered in the head of a study's file, each that a difference is above a bound."""

    rows: Sequence[tuple[str, float, Pair]]

    def __call__(self) -> str:
        lines = []
        for words, bound, pair in self.rows:
            c = pair()
            low, p = c.at(0.9).low, max(e.beyond(c.effect.mean - bound) for e in c.errors)
            outcome = "holds" if low > bound else "fails" if c.at(0.9).high < bound else "not shown"
            lines.append([words, signed(c), f"above {low:+.3f}", f"{p:.2g}", outcome])
        head = ["claim, on BSD100", "difference (dB)", "one-sided 95 % bound", "p", "outcome"]
        return markdown(head, lines)


def _by_pool(study: str, pools: Words, strata: bool = False) -> Table:
    """The claims about each pool, corrected together in each (Holm)."""
    head = ["pool", "claim", "on", "difference (dB), simultaneous", "p (Holm)", "verdict"]
    return lambda: markdown(
        head,
        [
            [words, claim, on(j), simultaneous(j), f"{j.p:.2g}", j.verdict]
            for pool, words in pools
            for claim, j in judgements(f"{study}/{pool}", ARMS, strata)
        ],
    )


def _gain(c: Comparison) -> str:
    return f"{c.effect.mean:.2f} dB [{c.effect.low:.2f}, {c.effect.high:.2f}]"


def _ahead(pools: Iterable[tuple[str, str]], of: Callable[..., Pair]) -> list[tuple[str, float, Pair]]:
    return [(f"{words}: ahead of all patches", 0.0, of(pool)) for pool, words in pools]


TABLES: dict[str, Table] = {
    "decision-held": means(
        "decision/pictures",
        ("348 mixed pictures, unseen", "their held-out tenth", "Urban100"),
        ("fsrcnn 1951",),
        ARMS,
        ("held", "Urban100"),
    ),
    "decision-short": Differences(
        "your images",
        (("`srfast prune`", _gain, {}), ("the better fixed setting", _gain, {"arm": better})),
        [(words, lead(*pools)) for words, pools in KINDS],
    ),
    "decision-leads": Differences(
        "images",
        (
            effect("against all patches, BSD100"),
            effect("easy tiles", **_EASY),
            effect("Urban100", **_URBAN),
            effect("against the better fixed setting, BSD100", control=better),
        ),
        [(words, lead(pool)) for pool, words in POOLS],
    ),
    "decision-verdicts": Verdicts(
        [
            ("the mean over the six pools is ahead of all patches", 0.0, lead(*EVERY)),
            *_ahead(POOLS[-2:], lead),
            *(
                (
                    f"{words}: at most 0.05 dB behind the best fixed setting",
                    -0.05,
                    partial(lead(pool), control=best(pool)),
                )
                for pool, words in POOLS
            ),
            (
                "easy tiles, the mean over the six pools: at most 0.05 dB behind all patches",
                -0.05,
                partial(lead(*EVERY), **_EASY),
            ),
        ]
    ),
    "decision-claims": _by_pool("decision", POOLS),
    "decision-claims-strata": _by_pool("decision", POOLS, strata=True),
    "decision-long-leads": _long_leads,
    "decision-long-verdicts": Verdicts(
        [("the mean over the four pools: ahead of all patches", 0.0, long_lead(*FOUR)), *_ahead(LONG[:2], long_lead)]
    ),
    "decision-long-claims": _by_pool("decision-long", LONG),
    "decision-long-claims-strata": _by_pool("decision-long", LONG, strata=True),
    "decision-others": Differences(
        "training",
        (
            SEEDS,
            effect(DATASET),
            effect("easy tiles", **_EASY),
            effect("hard tiles", stratum="hard"),
            effect("Urban100", **_URBAN),
        ),
        [
            (f"{training}, {images}", partial(compared, f"{study}/{pool}", RULE, ALL, model))
            for training, study, model in (
                ("EDSR 8x32, x2", "decision-edsr", "edsr_baseline"),
                ("FSRCNN, x4", "decision-x4", "fsrcnn"),
            )
            for pool, images in (("pictures", "348 mixed pictures"), ("wild", "132 large, soft images"))
        ],
    ),
    "sceptic": of_file("sceptic", SCEPTIC),
    "sceptic-means": means(
        "sceptic", ("132 large, soft images", DATASET, "Urban100"), ("fsrcnn 1951",), SCEPTIC, (DATASET, "Urban100")
    ),
    "decision-means": means(
        "",
        (DATASET, *(words for _, words in POOLS)),
        [f"decision/{pool}: fsrcnn 1951" for pool in EVERY],
        ARMS,
    ),
}
