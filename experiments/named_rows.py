"""The tables of studies whose claims were pre-registered, but for those of dirty pools."""

from __future__ import annotations

from functools import partial

from experiments import datamodels
from experiments.study_rows import (
    BOLD,
    DATASET,
    ROOT,
    Differences,
    Table,
    Words,
    compared,
    markdown,
    means,
    of_file,
    of_study,
)

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

_BOTH = (DATASET, "Urban100")
_KINDS = ("documents", "sky", "photographs")
TARGET: Words = (
    ("all patches", "full 100"),
    ("random", "random 25"),
    ("the hardest (loss)", "des 25"),
    *((f"`{method}` for {kind}", f"{method}.{kind} 25") for kind in _KINDS for method in ("influence", "similar")),
)

TABLES: dict[str, Table] = {
    **of_study("sizes", SIZES),
    **of_study(
        "sizes-long",
        SIZES,
        *_BOTH,
        updates=15608,
        rows=tuple(row for row in SIZES if row[1].split()[0] not in ("random", "clean_des", "one", "best_des")),
    ),
    **of_study("wild", WILD),
    "updates": Differences(
        "",
        BOLD,
        [
            (
                f"{words}, 3,902 updates{on}",
                partial(compared, "sizes-updates", f"{arm} 3902", "sizes-long: full 100 15608", dataset=dataset),
            )
            for dataset, on in ((DATASET, ""), ("Urban100", ", on Urban100"))
            for words, arm in FEWER
        ],
    ),
    "updates-claims": of_file("sizes-updates", FEWER),
    "updates-claims-strata": of_file("sizes-updates", FEWER, strata=True),
    "sizes-best": of_file("sizes-best", BEST),
    "sizes-best-strata": of_file("sizes-best", BEST, strata=True),
    **of_study("edsr", LARGER, *_BOTH, name="larger", model="edsr_baseline"),
    **of_study("edsr-clean", X4[:2], *_BOTH, name="larger-clean", model="edsr_baseline"),
    **of_study("x4", X4, *_BOTH, head="x4, "),
    **of_study("degraded", DEGRADED, "BSD100-degraded", DATASET, rows=DEGRADED[:3]),
    **of_study("sampling", SAMPLING),
    **of_study("controls", CONTROLS),
    **of_study("loss", LOSS, "Set5", "Set14", DATASET, updates=15608),
    **of_study("controls-windows", WINDOWS, name="windows"),
    "datamodels": lambda: markdown(*datamodels.table(ROOT / "experiments" / "results" / "datamodels.json")),
    "target-means": means("target", ("FSRCNN, 488 updates, a quarter for", *_KINDS), ("fsrcnn 488",), TARGET, _KINDS),
    "target-claims": of_file("target", TARGET),
}
