"""The pages of docs/results/, and the table of will-it-help.md, from committed results.

``python -m experiments.study_page`` writes them anew, each table after its ``<!-- table: NAME -->``. A page of
docs/results/ begins with what the study found, in one sentence, then says what was trained, and shows the tables. What
the pages say is in results_pages.toml; its effects and intervals are held to the results by
tests/study/test_committed.py.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from experiments import decision_rows, defect_rows, dirty_rows, enlarged_rows, named_rows, study_figures
from experiments.study_rows import (
    BOLD,
    ROOT,
    SEEDS,
    STUDIES,
    Differences,
    Pair,
    Table,
    claims,
    compared,
    effect,
    means,
    ratios,
    saved,
)

PAGES = (
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("defects.md", "will-it-help.md", "results/target.md", "results/defects.md")),
)
"""Pages that are written by hand, but for their tables."""
_FILE = importlib.import_module("tomllib").loads(  # Python 3.11 and later
    Path(__file__).with_name("results_pages.toml").read_text(encoding="utf-8")
)
_MARK = re.compile(r"<!-- table: ([\w-]+) -->\n\n(?:\|.*\n)*\n?")
_HEAD = """# Results of the studies

This page is for readers who want to check a figure. It lists every committed study with its finding; each page has the
claims, the intervals and the means behind it. [Will selecting patches help me?](../will-it-help.md) says what follows
from them, and [How the studies were made](../how-studies-were-made.md) how they were trained and judged.

| study | finding |
| --- | --- |
"""
_MORE = """| [Patches for a target](target.md) | A quarter chosen for the sky gains 1.5 dB on it. |
| [How well defects are recognised](defects.md) | AUC of every column, and what the limits leave out. |
| [Selections compared](selections-compared.md) | What each method keeps, and what it costs. |
| [How alike the scores rank](agreement.md) | Patch and dense mode, backends and precisions. |
"""

_PARTS = {50: "half", 25: "quarter", 10: "tenth"}
HALF, QUARTER, TENTH = "the hardest half (DES)", "the hardest quarter (DES)", "the hardest tenth (DES)"


def _against(name: str, keep: int, updates: int, words: str) -> Iterator[tuple[str, str, str]]:
    """A selection against all patches and against a random one of its size."""
    yield f"{words} against all patches", f"{name} {keep} {updates}", f"full 100 {updates}"
    yield f"... against a random {_PARTS[keep]}", f"{name} {keep} {updates}", f"random {keep} {updates}"


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


def _moved(words: str, study: str, arms: str, size: str, **how: str) -> tuple[str, Pair]:
    """The arms by difficulty less the uniform ones, which are one another's nulls."""
    hard = " + ".join(f"{arm} {size}" for arm in arms.split())
    return words, partial(compared, study, hard, f"full 100 {size.split()[1]} + random {size}", **how)


_HALVES = ((HALF, "des 50"), ("the hardest half by bicubic's loss", "bicubic 50"), ("a random half", "random 50"))
_KEEP_CLEAN = "hardest half of the clean patches"
_HALVED = "halved, hardest tenth"
_SHORT, _LONG, _EDSR = "FSRCNN", "FSRCNN, 15,608 updates", "EDSR"
_SOFT, _SHARP = "large and soft", "small and sharp"
_ANSWERS = (
    (_SOFT, _HALVED, _SHORT, "sizes", "half_des 10 1951", "full 100 1951"),
    (_SOFT, _HALVED, _LONG, "sizes-long", "half_des 10 15608", "full 100 15608"),
    (_SOFT, _HALVED, _EDSR, "edsr", "half_des 10 1951", "full 100 1951", "edsr_baseline"),
    *(
        (words, _KEEP_CLEAN, _SHORT if n == 1951 else _LONG, study, f"clean_des 50 {n}", f"full 100 {n}")
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
    (_SHARP, "hardest half", _SHORT, "needed-bsds + sampling + controls", "des 50 1951", "full 100 1951"),
    (_SHARP, "hardest half", _LONG, "paper-budget-bsds", "des 50 15608", "full 100 15608"),
    (_SHARP, "hardest half", _EDSR, "edsr-clean", "des 50 1951", "full 100 1951", "edsr_baseline"),
    (_SHARP, "all patches, with L1", _LONG, "loss", "full_l1 100 15608", "full 100 15608"),
    (_SHARP, "hardest half", f"{_SHORT} at x4", "x4", "des 50 1951", "full 100 1951"),
)


TABLES: dict[str, Table] = {
    "answers": Differences(
        "your images | do | training",
        (effect("gain (dB)"), effect("on easy tiles (dB)", stratum="easy"), SEEDS),
        [(" | ".join(row[:3]), partial(compared, *row[3:])) for row in _ANSWERS],
    ),
    **named_rows.TABLES,
    **dirty_rows.TABLES,
    **defect_rows.TABLES,
    **enlarged_rows.TABLES,
    **decision_rows.TABLES,
    "spread": means(
        "spread-bsds",
        ("at 1,951 updates", "Set5", "Set14", "BSD100"),
        ("fsrcnn 1951",),
        (("all patches", "full 100"), ("a random half, drawn anew for each seed", "random 50")),
        ("Set5", "Set14", "BSD100"),
    ),
    "needed": claims(
        "needed-bsds",
        (
            *_measures(),
            *_against("des", 10, 1951, TENTH),
            ("... against the hardest half", "des 10 1951", "des 50 1951"),
            ("all but the hardest 5 % against all patches", "no_worst 95 1951", "full 100 1951"),
            ("a random tenth against all patches", "random 10 1951", "full 100 1951"),
        ),
    ),
    "budget": means(
        "paper-budget-bsds",
        ("BSD100", "7,804 updates", "15,608 updates"),
        ("fsrcnn 7804", "fsrcnn 15608"),
        (("all patches", "full 100"), *_HALVES),
    ),
    "budget-claims": claims(
        "paper-budget-bsds",
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
    "networks": means(
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
    "srcnn": claims("table2-bsds", _measures(), "srcnn"),
    "srcnn-budget": claims(
        "paper-budget-srcnn-bsds",
        (
            *_against("des", 50, 15608, HALF),
            ("a random half against all patches", "random 50 15608", "full 100 15608"),
        ),
        "srcnn",
    ),
    "table1": means(
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
    "table1-claims": claims(
        "table1-bsds",
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
    "adaptive": claims(
        "adaptive-bsds",
        (
            ("chosen again every 488 updates against chosen once (DES)", "reselect 50 1951", "des 50 1951"),
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
    "how-much": claims(
        "how-much",
        (
            ("half of the images, drawn at random, as many updates", "full 100 1951 50", "full 100 1951"),
            ("a quarter of the images, as many updates", "full 100 1951 25", "full 100 1951"),
            ("the hardest half of all patches, half of the updates", "des 50 976", "full 100 1951"),
            ("a random half of all patches, half of the updates", "random 50 976", "full 100 1951"),
            ("the hardest tenth of all patches, a tenth of the updates", "des 10 195", "full 100 1951"),
        ),
        seeds=False,
    ),
    "moved": Differences(
        "",
        BOLD,
        [
            _moved("FSRCNN, 1,951 updates: hard halves", "needed-bsds", "des bicubic", "50 1951"),
            _moved("FSRCNN, 1,951 updates: hard quarters", "needed-bsds", "des bicubic", "25 1951"),
            _moved("FSRCNN, 1,951 updates: the hardest tenth", "needed-bsds", "des", "10 1951"),
            _moved("FSRCNN, 15,608 updates: hard halves", "paper-budget-bsds", "des bicubic", "50 15608"),
            _moved("... on Set5", "paper-budget-bsds", "des bicubic", "50 15608", dataset="Set5"),
            _moved(
                "SRCNN, 15,608 updates: the hardest half", "paper-budget-srcnn-bsds", "des", "50 15608", model="srcnn"
            ),
            _moved("... on Set5", "paper-budget-srcnn-bsds", "des", "50 15608", model="srcnn", dataset="Set5"),
        ],
    ),
    "nulls": claims(
        "needed-bsds",
        [(f"a random {p} against all patches", f"random {keep} 1951", "full 100 1951") for keep, p in _PARTS.items()],
    ),
    "saved": saved(
        [
            (words, study, arm, updates)
            for study, updates in (("table1-bsds", 1951), ("paper-budget-bsds", 15608))
            for words, arm in _HALVES
        ]
    ),
    "ratios": ratios(
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
        return f"<!-- table: {mark[1]} -->\n\n{TABLES[mark[1]]()}\n"

    return _MARK.sub(table, text)


def results() -> dict[Path, str]:
    """The pages of docs/results/, and the index."""
    pages = _FILE["pages"]
    rows = (f"| [{p['title']}]({name}.md) | {p['finding']} |\n" for name, p in pages.items())
    texts = {"index": _HEAD + "".join(rows) + _MORE, **{name: _page(**page) for name, page in pages.items()}}
    return {ROOT / "docs" / "results" / f"{name}.md": write(text) for name, text in texts.items()}


def _page(title: str, finding: str, pool: str, training: str, studies: list[str], tables: list[list[str]],
          notes: tuple[str, ...] = (), figures: tuple[Any, ...] = ()) -> str:  # fmt: skip
    gone = "" if all((STUDIES / f"{s}.toml").exists() for s in studies) else " of commit cca4132"
    files = ", ".join(f"`studies/{s}.toml`" for s in studies) + gone
    about = f"* **Pool:** {pool}.\n* **Training:** {training}.\n* **Study:** {files}; results in `studies/results/`."
    parts = [f"# {title}", finding, about]
    parts += [f"{words.format(**_FILE['words'])}\n\n<!-- table: {name} -->\n" for words, name in tables]
    parts += [f"![{words}](../study/{name})" for words, name in figures]
    if notes:
        parts += ["## Notes", "\n".join(f"* {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    for page in PAGES:
        page.write_text(write(page.read_text()))
    for path, text in results().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    study_figures.draw()


if __name__ == "__main__":
    main()
