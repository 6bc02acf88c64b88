"""The tables of studies whose claims were pre-registered, but for those of dirty pools."""

from __future__ import annotations

from experiments.study_rows import DATASET, Family, Means, Strata, Table

SIZES = (
    ("all patches at full size", "full 100"),
    ("a random tenth of them", "random 10"),
    ("the hardest tenth", "des 10"),
    ("the hardest tenth of what `--clean` leaves", "clean_des 10"),
    ("every image halved, all patches", "half 100"),
    ("halved, the hardest tenth", "half_des 10"),
    ("each image at its one size (`--one-size`), all patches", "one 100"),
    ("one size, the hardest tenth", "one_des 10"),
    ("four sizes, all patches", "four 100"),
    ("four sizes, a random tenth", "four_random 10"),
    ("four sizes, the hardest tenth", "four_des 10"),
    ("four sizes, the hardest 5 %", "four_des 5"),
    ("four sizes, each place at its best, the hardest 5 %", "best_des 5"),
)


WILD = (
    ("all patches", "full 100"),
    ("the hardest half", "des 50"),
    ("the hardest quarter", "des 25"),
    ("the hardest tenth", "des 10"),
    ("the hardest 5 %", "des 5"),
    ("a random quarter", "random 25"),
    ("a random tenth", "random 10"),
    ("the hardest quarter after the hardest 5 % were dropped", "refined 25"),
    ("the hardest tenth after the hardest 5 % were dropped", "refined 10"),
    ("the hardest 5 % after the hardest 5 % were dropped", "refined 5"),
    ("the quarter by `relative`", "relative 25"),
    ("the tenth by `relative`", "relative 10"),
)
BEST = (("every size by its own loss", "four_des 5"), ("each place at its best size", "four_best 5"))
FEWER = (
    ("the hardest tenth", "des 10"),
    ("the hardest fiftieth", "des 2"),
    ("halved, the hardest tenth", "half_des 10"),
    ("halved, the hardest fiftieth", "half_des 2"),
)
LARGER = tuple(row for row in SIZES if row[1] in ("full 100", "des 10", "half_des 10"))
X4 = (("all patches", "full 100"), ("the hardest half", "des 50"), ("a random half", "random 50"))

SAMPLING = (
    ("all patches", "full 100"),
    ("the hardest half", "des 50"),
    ("the hardest half for 75 % of the updates, then all", "then_all 100"),
    ("the hardest half for 50 % of the updates, then all", "half_then_all 100"),
    ("crops in proportion to loss^a, a from 1 to 0", "annealed 100"),
    ("crops in proportion to the loss, each counted 1 / p", "weighted 100"),
)

CONTROLS = (
    ("all patches", "full 100"),
    ("the hardest half", "des 50"),
    ("all patches, batch 32", "full_32 100"),
    ("the hardest half, batch 8", "des_8 50"),
    ("all patches, L1", "full_l1 100"),
    ("the hardest half, L1", "des_l1 50"),
)
WINDOWS = (
    ("all windows", "full 100"),
    ("the hardest half", "des 50"),
    ("the hardest quarter", "des_quarter 25"),
)
_SETS = ("Set5", "Set14", "BSD100")
LOSS = (
    ("all patches, squared error", "full 100"),
    ("the hardest half, squared error", "des 50"),
    ("all patches, L1", "full_l1 100"),
    ("the hardest half, L1", "des_l1 50"),
)

DEGRADED = (
    ("all patches at full size", "full 100"),
    ("what `prune` decides", "decision 88"),
    ("as many patches, at random from all sizes", "random 29"),
    ("as many as it keeps of BSDS400, at random from all sizes", "random 52.5"),
)


def _claims(name: str, study: str, arms: tuple[tuple[str, str], ...]) -> dict[str, Table]:
    """The table of the claims about test sets, and that of those about strata."""
    return {name: Family(study, arms), f"{name}-strata": Family(study, arms, strata=True)}


TABLES: dict[str, Table] = {
    "sizes-means": Means("sizes", ("BSD100", "1,951 updates"), ("fsrcnn 1951",), SIZES),
    **_claims("sizes", "sizes", SIZES),
    **_claims("sizes-long", "sizes-long", SIZES),
    "sizes-long-means": Means(
        "sizes-long",
        ("15,608 updates", "BSD100", "Urban100"),
        ("fsrcnn 15608",),
        tuple(row for row in SIZES if row[1].split()[0] not in ("random", "clean_des", "one", "best_des")),
        ("BSD100", "Urban100"),
    ),
    "wild-means": Means("wild", ("BSD100", "1,951 updates"), ("fsrcnn 1951",), WILD),
    **_claims("wild", "wild", WILD),
    "updates": Strata(
        tuple(
            (
                f"{words}, 3,902 updates{on}",
                "sizes-updates",
                "fsrcnn",
                f"{arm} 3902",
                "sizes-long: full 100 15608",
                dataset,
            )
            for dataset, on in ((DATASET, ""), ("Urban100", ", on Urban100"))
            for words, arm in FEWER
        )
    ),
    **_claims("updates-claims", "sizes-updates", FEWER),
    **_claims("sizes-best", "sizes-best", BEST),
    "larger-means": Means(
        "edsr",
        ("1,951 updates", "BSD100", "Urban100"),
        ("edsr_baseline 1951",),
        LARGER,
        ("BSD100", "Urban100"),
    ),
    **_claims("larger", "edsr", LARGER),
    "larger-clean-means": Means(
        "edsr-clean", ("1,951 updates", "BSD100", "Urban100"), ("edsr_baseline 1951",), X4[:2], ("BSD100", "Urban100")
    ),
    **_claims("larger-clean", "edsr-clean", X4[:2]),
    "x4-means": Means("x4", ("x4, 1,951 updates", "BSD100", "Urban100"), ("fsrcnn 1951",), X4, ("BSD100", "Urban100")),
    **_claims("x4", "x4", X4),
    "degraded-means": Means(
        "degraded",
        ("1,951 updates", "BSD100-degraded", "BSD100"),
        ("fsrcnn 1951",),
        DEGRADED[:3],
        ("BSD100-degraded", "BSD100"),
    ),
    **_claims("degraded", "degraded", DEGRADED),
    "sampling-means": Means("sampling", ("BSD100", "1,951 updates"), ("fsrcnn 1951",), SAMPLING),
    **_claims("sampling", "sampling", SAMPLING),
    "controls-means": Means("controls", ("BSD100", "1,951 updates"), ("fsrcnn 1951",), CONTROLS),
    **_claims("controls", "controls", CONTROLS),
    "loss-means": Means("loss", ("15,608 updates", *_SETS), ("fsrcnn 15608",), LOSS, _SETS),
    **_claims("loss", "loss", LOSS),
    "windows-means": Means("controls-windows", ("BSD100", "1,951 updates"), ("fsrcnn 1951",), WINDOWS),
    **_claims("windows", "controls-windows", WINDOWS),
}
