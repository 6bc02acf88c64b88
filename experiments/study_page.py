"""The pages of docs/results/, and the table of will-it-help.md, from committed results.

``python -m experiments.study_page`` writes them anew, each table after its ``<!-- table: NAME -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from experiments import decision_rows, defect_rows, dirty_rows, named_rows, results_pages, study_figures, target_rows
from experiments.study_rows import (
    DATASET,
    ROOT,
    Answers,
    Claims,
    Means,
    Ratios,
    Saved,
    Strata,
    Table,
)

PAGES = (
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("will-it-help.md", "results/target.md", "results/defects.md")),
)
"""Pages that are written by hand, but for their tables."""
_MARK = re.compile(r"<!-- table: ([\w-]+) -->\n\n(?:\|.*\n)*\n?")

HALF, QUARTER, TENTH = "the hardest half (DES)", "the hardest quarter (DES)", "the hardest tenth (DES)"


def _against(name: str, keep: int, updates: int, words: str) -> Iterator[tuple[str, str, str]]:
    """A selection against all patches and against a random one of its size."""
    part = {50: "half", 25: "quarter", 10: "tenth"}[keep]
    yield f"{words} against all patches", f"{name} {keep} {updates}", f"full 100 {updates}"
    yield f"... against a random {part}", f"{name} {keep} {updates}", f"random {keep} {updates}"


def _measures() -> Iterator[tuple[str, str, str]]:
    """The measures of difficulty against all patches, against random subsets and against each other."""
    for name, half, quarter in (
        ("des", HALF, QUARTER),
        ("bicubic", "the hardest half by bicubic's loss", "the hardest quarter by bicubic's loss"),
        ("sobel", "Sobel's half", "Sobel's quarter"),
    ):
        yield from _against(name, 50, 1951, half)
        yield from _against(name, 25, 1951, quarter)
    for name, words in (("bicubic", "bicubic"), ("sobel", "Sobel")):
        for keep in (50, 25):
            yield f"the network against {words}, {keep} %", f"des {keep} 1951", f"{name} {keep} 1951"
    yield "the half against the quarter, by the network", "des 50 1951", "des 25 1951"
    yield "a random half against all patches", "random 50 1951", "full 100 1951"
    yield "a random quarter against all patches", "random 25 1951", "full 100 1951"


_NEEDED, _BUDGET, _SRCNN = (
    ("needed-bsds", "fsrcnn"),
    ("paper-budget-bsds", "fsrcnn"),
    ("paper-budget-srcnn-bsds", "srcnn"),
)


def _hard(keep: int, updates: int) -> tuple[str, str]:
    """The arms by difficulty, and the uniform ones, which are one another's nulls."""
    hard = f"des {keep} {updates} + bicubic {keep} {updates}"
    return hard, f"full 100 {updates} + random {keep} {updates}"


_HALVES = ((HALF, "des 50"), ("the hardest half by bicubic's loss", "bicubic 50"), ("a random half", "random 50"))
_KEEP_CLEAN = "hardest half of the clean patches"
_HALVED = "halved, hardest tenth"
_SHORT, _LONG, _EDSR = "FSRCNN", "FSRCNN, 15,608 updates", "EDSR"
_SOFT, _SHARP = "large and soft", "small and sharp"
_ANSWERS = (
    (_SOFT, _HALVED, _SHORT, "sizes", "fsrcnn", "half_des 10 1951", "full 100 1951"),
    (_SOFT, _HALVED, _LONG, "sizes-long", "fsrcnn", "half_des 10 15608", "full 100 15608"),
    (_SOFT, _HALVED, _EDSR, "edsr", "edsr_baseline", "half_des 10 1951", "full 100 1951"),
    *(
        (words, _KEEP_CLEAN, _SHORT if n == 1951 else _LONG, study, "fsrcnn", f"clean_des 50 {n}", f"full 100 {n}")
        for words, pool, long in (
            ("75 % enlarged", "upscaled-75", True),
            ("60 % degraded", "wild-60", True),
            ("30 % noisy", "noise-30", True),
            ("50 % blurred", "blur-50", False),
            ("50 % JPEG of quality 10 to 40", "jpeg-50", False),
            ("20 % with text overlay", "overlay-20", False),
        )
        for n, study in (
            (1951, f"dirty/dirty-{pool} + dirty-fresh/dirty-{pool}"),
            *([(15608, f"dirty-long/dirty-{pool} + dirty-long-more/dirty-{pool}")] if long else []),
        )
    ),
    (
        _SHARP,
        "hardest half",
        _SHORT,
        "needed-bsds + sampling + controls",
        "fsrcnn",
        "des 50 1951",
        "full 100 1951",
    ),
    (_SHARP, "hardest half", _LONG, "paper-budget-bsds", "fsrcnn", "des 50 15608", "full 100 15608"),
    (_SHARP, "hardest half", _EDSR, "edsr-clean", "edsr_baseline", "des 50 1951", "full 100 1951"),
    (_SHARP, "all patches, with L1", _LONG, "loss", "fsrcnn", "full_l1 100 15608", "full 100 15608"),
    (_SHARP, "hardest half", f"{_SHORT} at x4", "x4", "fsrcnn", "des 50 1951", "full 100 1951"),
)

TABLES: dict[str, Table] = {
    "answers": Answers(_ANSWERS),
    **target_rows.TABLES,
    **named_rows.TABLES,
    **dirty_rows.TABLES,
    **defect_rows.TABLES,
    **decision_rows.TABLES,
    "spread": Means(
        "spread-bsds",
        ("at 1,951 updates", "Set5", "Set14", "BSD100"),
        ("fsrcnn 1951",),
        (("all patches", "full 100"), ("a random half, drawn anew for each seed", "random 50")),
        ("Set5", "Set14", "BSD100"),
    ),
    "needed": Claims(
        "needed-bsds",
        "fsrcnn",
        (
            *_measures(),
            *_against("des", 10, 1951, TENTH),
            ("... against the hardest half", "des 10 1951", "des 50 1951"),
            ("all but the hardest 5 % against all patches", "no_worst 95 1951", "full 100 1951"),
            ("a random tenth against all patches", "random 10 1951", "full 100 1951"),
        ),
    ),
    "budget": Means(
        "paper-budget-bsds",
        ("BSD100", "7,804 updates", "15,608 updates"),
        ("fsrcnn 7804", "fsrcnn 15608"),
        (
            ("all patches", "full 100"),
            *_HALVES,
        ),
    ),
    "budget-claims": Claims(
        "paper-budget-bsds",
        "fsrcnn",
        (
            *_against("des", 50, 15608, f"15,608 updates: {HALF}"),
            *_against("bicubic", 50, 15608, "15,608: the hardest half by bicubic's loss"),
            ("15,608: the network against bicubic", "des 50 15608", "bicubic 50 15608"),
            ("15,608: a random half against all patches", "random 50 15608", "full 100 15608"),
            *_against("des", 50, 7804, f"7,804: {HALF}"),
            *_against("bicubic", 50, 7804, "7,804: the hardest half by bicubic's loss"),
            ("7,804: a random half against all patches", "random 50 7804", "full 100 7804"),
            (f"{HALF}, 7,804 updates, against all patches, 15,608", "des 50 7804", "full 100 15608"),
            ("bicubic's half, 7,804, against all patches, 15,608", "bicubic 50 7804", "full 100 15608"),
            ("a random half, 7,804, against all patches, 15,608", "random 50 7804", "full 100 15608"),
            ("all patches, 7,804, against all patches, 15,608", "full 100 7804", "full 100 15608"),
        ),
    ),
    "networks": Means(
        "table2-bsds",
        ("BSD100", "FSRCNN", "SRCNN"),
        ("fsrcnn 1951", "srcnn 1951"),
        (
            ("all patches", "full 100"),
            (HALF, "des 50"),
            ("the hardest half by bicubic's loss", "bicubic 50"),
            ("Sobel's half", "sobel 50"),
            ("a random half", "random 50"),
            (QUARTER, "des 25"),
            ("the hardest quarter by bicubic's loss", "bicubic 25"),
            ("Sobel's quarter", "sobel 25"),
            ("a random quarter", "random 25"),
        ),
    ),
    "srcnn": Claims(
        "table2-bsds",
        "srcnn",
        tuple(_measures()),
    ),
    "srcnn-budget": Claims(
        "paper-budget-srcnn-bsds",
        "srcnn",
        (
            *_against("des", 50, 15608, HALF),
            ("a random half against all patches", "random 50 15608", "full 100 15608"),
        ),
    ),
    "table1": Means(
        "table1-bsds",
        ("selection", "25 %, 488", "50 %, 976", "75 %, 1,463", "25 %, 1,951", "50 %, 1,951", "75 %, 1,951"),
        ("fsrcnn 488 25", "fsrcnn 976 50", "fsrcnn 1463 75", "fsrcnn 1951 25", "fsrcnn 1951 50", "fsrcnn 1951 75"),
        (
            ("all patches, as many updates", "full 100"),
            ("hardest by the network's loss (DES)", "des -"),
            ("hardest by bicubic's loss, no network", "bicubic -"),
            ("hardest by Sobel's gradient, no network", "sobel -"),
            ("refined: the hardest 5 % dropped first", "refined -"),
            ("stratified by loss", "stratified -"),
            ("random, drawn once for each seed", "random -"),
            ("random, drawn anew for each pass (RS2)", "rs2 -"),
            ("easiest by loss (ASC)", "asc -"),
        ),
    ),
    "table1-claims": Claims(
        "table1-bsds",
        "fsrcnn",
        (
            ("DES against random, 25 %, 488 updates", "des 25 488", "random 25 488"),
            ("DES against random, 50 %, 976", "des 50 976", "random 50 976"),
            ("DES against random, 75 %, 1,463", "des 75 1463", "random 75 1463"),
            ("DES 50 %, 976 updates, against all patches, 1,951", "des 50 976", "full 100 1951"),
            ("DES 75 %, 1,463 updates, against all patches, 1,951", "des 75 1463", "full 100 1951"),
            ("easiest against random, 25 %, 488", "asc 25 488", "random 25 488"),
            ("easiest against random, 75 %, 1,463", "asc 75 1463", "random 75 1463"),
            ("the hardest 5 % dropped first against not, 50 %, 976", "refined 50 976", "des 50 976"),
            ("the same, 50 %, 1,951", "refined 50 1951", "des 50 1951"),
            ("stratified against all patches, 50 %, 1,951", "stratified 50 1951", "full 100 1951"),
            ("RS2 against random, 50 %, 976", "rs2 50 976", "random 50 976"),
            ("RS2 against all patches, 25 %, both 488", "rs2 25 488", "full 100 488"),
        ),
    ),
    "adaptive": Claims(
        "adaptive-bsds",
        "fsrcnn",
        (
            (
                "chosen again every 488 updates against chosen once (DES)",
                "reselect 50 1951",
                "des 50 1951",
            ),
            ("... against all patches", "reselect 50 1951", "full 100 1951"),
            (
                "the same with the hardest 5 % dropped first, against chosen once (DES)",
                "reselect_refined 50 1951",
                "des 50 1951",
            ),
            ("... against all patches", "reselect_refined 50 1951", "full 100 1951"),
            ("`reducible`, 50 %, against DES", "reducible 50 1951", "des 50 1951"),
            ("`reducible`, 25 %, against DES", "reducible 25 1951", "des 25 1951"),
            ("`hdc`, 25 %, against all patches", "hdc 25 1951", "full 100 1951"),
            ("`hdc`, 25 %, against DES", "hdc 25 1951", "des 25 1951"),
            ("`diverse`, 50 %, against DES", "diverse 50 1951", "des 50 1951"),
            ("`diverse`, 50 %, against random", "diverse 50 1951", "random 50 1951"),
            ("`diverse`, 25 %, against random", "diverse 25 1951", "random 25 1951"),
        ),
    ),
    "how-much": Claims(
        "how-much",
        "fsrcnn",
        (
            ("half of the images, drawn at random, as many updates", "full 100 1951 50", "full 100 1951"),
            ("a quarter of the images, as many updates", "full 100 1951 25", "full 100 1951"),
            ("the hardest half of all patches, half of the updates", "des 50 976", "full 100 1951"),
            ("a random half of all patches, half of the updates", "random 50 976", "full 100 1951"),
            ("the hardest tenth of all patches, a tenth of the updates", "des 10 195", "full 100 1951"),
        ),
        seeds=False,
    ),
    "moved": Strata(
        (
            ("FSRCNN, 1,951 updates: hard halves", *_NEEDED, *_hard(50, 1951), DATASET),
            ("FSRCNN, 1,951 updates: hard quarters", *_NEEDED, *_hard(25, 1951), DATASET),
            ("FSRCNN, 1,951 updates: the hardest tenth", *_NEEDED, "des 10 1951", _hard(10, 1951)[1], DATASET),
            ("FSRCNN, 15,608 updates: hard halves", *_BUDGET, *_hard(50, 15608), DATASET),
            ("... on Set5", *_BUDGET, *_hard(50, 15608), "Set5"),
            ("SRCNN, 15,608 updates: the hardest half", *_SRCNN, "des 50 15608", _hard(50, 15608)[1], DATASET),
            ("... on Set5", *_SRCNN, "des 50 15608", _hard(50, 15608)[1], "Set5"),
        )
    ),
    "nulls": Claims(
        "needed-bsds",
        "fsrcnn",
        tuple(
            (f"a random {part} against all patches", f"random {keep} 1951", "full 100 1951")
            for keep, part in ((50, "half"), (25, "quarter"), (10, "tenth"))
        ),
    ),
    "saved": Saved(
        tuple(
            (words, study, "fsrcnn", arm, updates)
            for study, updates in (("table1-bsds", 1951), ("paper-budget-bsds", 15608))
            for words, arm in _HALVES
        )
    ),
    "ratios": Ratios(
        (
            ("FSRCNN, 1,951 updates", "needed-bsds", "fsrcnn", 1951),
            ("FSRCNN, 15,608 updates", "paper-budget-bsds", "fsrcnn", 15608),
            ("SRCNN, 1,951 updates", "table2-bsds", "srcnn", 1951),
            ("SRCNN, 15,608 updates", "paper-budget-srcnn-bsds", "srcnn", 15608),
        ),
        (
            ("hardest 50 % by loss", "des 50"),
            ("hardest 50 % by bicubic's loss", "bicubic 50"),
            ("random 50 %", "random 50"),
            ("hardest 25 % by loss", "des 25"),
            ("random 25 %", "random 25"),
            ("hardest 10 % by loss", "des 10"),
            ("random 10 %", "random 10"),
        ),
    ),
}


def write(text: str) -> str:
    """The page with its tables anew.

    Raises:
        SystemExit: the page names a table that there is not, or a table's results are missing.
    """

    def table(mark: re.Match[str]) -> str:
        if mark[1] not in TABLES:
            raise SystemExit(f"no table {mark[1]}; there are {', '.join(TABLES)}")
        return f"<!-- table: {mark[1]} -->\n\n{TABLES[mark[1]].markdown()}\n"

    return _MARK.sub(table, text)


def results() -> dict[Path, str]:
    """The pages of docs/results/."""
    return {ROOT / results_pages.PLACE / name: write(text) for name, text in results_pages.pages().items()}


def main() -> None:
    for page in PAGES:
        page.write_text(write(page.read_text()))
    for path, text in results().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    study_figures.draw()


if __name__ == "__main__":
    main()
