"""The tables of degraded pools, from the committed results, and what each selection keeps of degraded images.

``python -m experiments.dirty_rows dirty/dirty-wild-60 --pool POOL --run OUT`` counts the latter in a study's scores and
the list of the pool, and writes ``kept.csv`` into that folder of studies/results (arm, keep in percent, what was done
to the image, patches in the pool, patches kept). ``POOL.csv`` lies beside the pool that ``experiments/degrade.py``
made, and OUT is the folder of its study.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import click

from experiments.study_rows import (
    BOLD,
    DATASET,
    RESULTS,
    STRATA,
    STUDIES,
    Differences,
    Pair,
    Table,
    Together,
    Words,
    across,
    compared,
    group,
    markdown,
    means,
    of_study,
)
from srfast.scoring.table import ScoreTable
from srfast.study.description import cells
from srfast.study.file import read_study
from srfast.study.pool import scores_file, select_cell

POOLS = (
    ("dirty/dirty-wild-60", "a mix, 60 % degraded"),
    ("dirty/dirty-upscaled-75", "75 % enlarged"),
    ("dirty/dirty-noise-30", "30 % noisy"),
    ("dirty/dirty-jpeg-50", "50 % JPEG"),
    ("dirty/dirty-blur-50", "50 % blurred"),
    ("dirty/dirty-overlay-20", "20 % text overlay"),
)
MORE = (
    ("dirty/dirty-wild-30", "a mix, 30 % degraded"),
    ("dirty/dirty-upscaled-90", "90 % enlarged"),
    ("dirty/dirty-upscaled-compressed-75", "75 % enlarged, then JPEG"),
    ("dirty/dirty-clean", "nothing degraded"),
)
"""Pools that were trained later."""
FRESH = tuple((name.replace("dirty/", "dirty-fresh/"), head) for name, head in POOLS)
OTHERS = tuple((name.replace("dirty/", "dirty-arms/"), head) for name, head in POOLS)
"""The arms that FRESH left out, with its seeds."""
LONG = (
    ("dirty-long/dirty-wild-60", "a mix, 60 % degraded"),
    ("dirty-long/dirty-upscaled-75", "75 % enlarged"),
    ("dirty-long/dirty-noise-30", "30 % noisy"),
)
ARMS = (
    ("all patches", "full 100"),
    ("the clean images alone (which no method knows)", "oracle 100"),
    ("the hardest half", "des 50"),
    ("the hardest quarter", "des 25"),
    ("a random half", "random 50"),
    ("the half by bicubic's loss", "bicubic 50"),
    ("the half by Sobel", "sobel 50"),
    ("the half by `relative`", "relative 50"),
    ("the hardest half after the hardest 5 % were dropped", "refined 50"),
    ("what `--clean` leaves", "clean 100"),
    ("the hardest half of what `--clean` leaves", "clean_des 50"),
)
L1 = (
    ("all patches, squared error", "full 100"),
    ("all patches, L1", "full_l1 100"),
    ("the hardest half, L1", "des_l1 50"),
    ("the hardest half of what `--clean` leaves, L1", "clean_des_l1 50"),
)
CLEAN = "clean"
KINDS = ("noise", "overlay", "halo", "jpeg", "upscaled", "upscaled + jpeg", "blur")


def defects(listed: Path) -> dict[str, str]:
    """What was done to each image of a pool, by its name: "clean", "noise", "upscaled + jpeg"."""
    done: dict[str, list[str]] = defaultdict(list)
    with open(listed, newline="") as lines:
        for row in csv.DictReader(lines):
            done[row["image"]].append(row["kind"])
    return {image: " + ".join(kinds) for image, kinds in done.items()}


def count(pool: Path, run: Path) -> list[tuple[str, str, str, int, int]]:
    """A row for each arm and each kind of image of the pool that was scored into ``run``."""
    study = read_study(STUDIES / "dirty.toml")
    table = ScoreTable.read(scores_file(run, 0, study.scales[0]))
    done = defects(pool.with_suffix(".csv"))
    whole = Counter(done[Path(image).stem] for image in table.table["image"].to_pylist())
    rows = []
    for cell in (c for c in cells(study) if c.seed == study.seeds[0]):
        kept = Counter(done[Path(image).stem] for image in select_cell(cell, table).table["image"].to_pylist())
        rows += [(cell.arm.name, f"{cell.keep * 100:g}", kind, whole[kind], kept[kind]) for kind in sorted(whole)]
    return rows


def kept(studies: Words, arms: Words, kinds: tuple[str, ...] = ()) -> Table:
    """For each arm the spoilt part of what it keeps, in each study; with ``kinds``: what it keeps of each kind."""

    def text() -> str:
        counts = [_counts(study) for study, _ in studies]
        if kinds:
            own = [(words, counts[0][arm]) for words, arm in arms if arm in counts[0]]
            lines = [[words, *(_percent(*of[kind]) for kind in kinds)] for words, of in own]
            return markdown([studies[0][1], *kinds], lines)
        lines = [[words, *(_spoilt(of[arm]) if arm in of else "" for of in counts)] for words, arm in arms]
        return markdown(["what is kept", *(head for _, head in studies)], lines)

    return text


def _counts(study: str) -> dict[str, dict[str, tuple[int, int]]]:
    """By arm and kind: patches kept, and patches in the pool."""
    counts: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    with open(RESULTS / study / "kept.csv", newline="") as lines:
        for row in csv.DictReader(lines):
            counts[f"{row['arm']} {row['keep']}"][row["kind"]] = (int(row["kept"]), int(row["patches"]))
    return counts


def _spoilt(of: dict[str, tuple[int, int]]) -> str:
    kept = sum(n for n, _ in of.values())
    return f"{_percent(kept - of[CLEAN][0], kept)} of {_percent(kept, sum(n for _, n in of.values()))}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _won_back(columns: Sequence[tuple[str, str, int, str]], arms: Words) -> str:
    """What part of the clean images' lead over all patches each arm has, by the means: a column is a study, its updates
    and a test set. Only where that lead is significant by its own interval, since a part of nothing says nothing."""
    shown = []
    for study, _, updates, dataset in columns:
        of = {
            arm: compared(study, f"{arm} {updates}", f"full 100 {updates}", dataset=dataset).effect
            for _, arm in arms
            if group(study, "fsrcnn", f"{arm} {updates}")
        }
        lead = of["oracle 100"]
        if lead.low <= 0:
            raise SystemExit(f"{study}: the lead of the clean images is not significant")
        shown.append([f"{100 * of[arm].mean / lead.mean:.0f} %" if arm in of else "" for _, arm in arms])
    rows = [[words, *row] for (words, _), *row in zip(arms, *shown, strict=True) if any(row)]
    return markdown(["part of the clean images' lead", *(head for _, head, *_ in columns)], rows)


def _over(pools: Iterable[str], rows: Iterable[tuple[str, str, str]]) -> list[tuple[str, Pair]]:
    """Differences of arms, each the mean over pools that were trained with the same seeds."""
    studies = tuple(pools)
    return [(words, partial(compared, studies, *(f"{side} 1951" for side in sides))) for words, *sides in rows]


_OVER = (
    *((f"{words} against all patches", arm, "full 100") for words, arm in ARMS[1:]),
    ("the hardest half of what `--clean` leaves against the hardest half", "clean_des 50", "des 50"),
    ("... against the clean images alone", "clean_des 50", "oracle 100"),
    ("... against what `--clean` leaves", "clean_des 50", "clean 100"),
    ("... against the half by `relative`", "clean_des 50", "relative 50"),
    ("the hardest half against a random half", "des 50", "random 50"),
    ("... against the half by bicubic's loss", "des 50", "bicubic 50"),
    ("... against the half by Sobel", "des 50", "sobel 50"),
    ("... against the half by `relative`", "des 50", "relative 50"),
)

_NAMED = (
    ("the hardest half of what `--clean` leaves against all patches", "clean_des 50", "full 100"),
    ("the hardest half of what `--clean` leaves against the hardest half", "clean_des 50", "des 50"),
    ("the hardest half against all patches", "des 50", "full 100"),
    ("the hardest half of what `--clean` leaves against the clean images alone", "clean_des 50", "oracle 100"),
)
"""Of the mean over the pools, in studies/dirty-fresh.toml."""
_OTHERS = (
    ("what `--clean` leaves against all patches", "clean 100", "full 100"),
    ("the hardest half of what `--clean` leaves against what `--clean` leaves", "clean_des 50", "clean 100"),
    ("the hardest quarter against all patches", "des 25", "full 100"),
    ("the half by `relative` against all patches", "relative 50", "full 100"),
    ("a random half against all patches", "random 50", "full 100"),
    ("the hardest half against a random half", "des 50", "random 50"),
    ("the hardest half against the half by bicubic's loss", "des 50", "bicubic 50"),
    ("the hardest half against the half by Sobel", "des 50", "sobel 50"),
    ("the hardest half after the hardest 5 % were dropped against the hardest half", "refined 50", "des 50"),
    ("the hardest half of what `--clean` leaves against the half by `relative`", "clean_des 50", "relative 50"),
)
"""Of the mean over the pools, in studies/dirty-arms.toml."""


def _pools(prefix: str, pools: Words, arms: Words) -> dict[str, Table]:
    """PSNR after 1,951 updates, a column a pool, the claims about test sets, and those about strata."""
    columns = [f"{name}: fsrcnn 1951" for name, _ in pools]
    return {
        f"{prefix}-means": means("", ["BSD100, 1,951 updates", *(head for _, head in pools)], columns, arms),
        f"{prefix}-claims": across(pools, ARMS),
        f"{prefix}-strata": across(pools, ARMS, strata=True),
    }


_FRESH, _LATER = (_over((name for name, _ in pools), rows) for pools, rows in ((FRESH, _NAMED), (OTHERS, _OTHERS)))
_EIGHT = (" + ".join(n for n, _ in studies) for studies in zip(POOLS, OTHERS, FRESH, strict=True))
_BOTH = (DATASET, "Urban100")
_SIX = ("clean_des 50 15608", "full 100 15608")
_FOUR = tuple(row for row in ARMS if row[1] in ("full 100", "oracle 100", "des 50", "clean_des 50"))

TABLES: dict[str, Table] = {
    "dirty-over": Differences("the mean over 6 pools", BOLD, _over(_EIGHT, _OVER)),
    "dirty-arms": Together(_LATER),
    "dirty-arms-strata": Together((_LATER[0], _LATER[2]), STRATA),
    "dirty-arms-means": _pools("", OTHERS, tuple(row for row in ARMS if row[1] != "oracle 100"))["-means"],
    "dirty-arms-pools": across(OTHERS, ARMS),
    "dirty-fresh": Together(_FRESH),
    "dirty-fresh-strata": Together((_FRESH[0], _FRESH[2]), STRATA),
    **_pools("dirty", POOLS, ARMS),
    **_pools("dirty-more", MORE, ARMS),
    "dirty-fresh-means": _pools("", FRESH, _FOUR)["-means"],
    "dirty-fresh-pools": across(FRESH, ARMS),
    **of_study("dirty-l1", L1),
    "dirty-long-means": means(
        "",
        ("15,608 updates", *(f"{dataset}, {head}" for _, head in LONG for dataset in _BOTH)),
        [f"{name}: fsrcnn 15608" for name, _ in LONG],
        _FOUR,
        _BOTH,
    ),
    "dirty-long-claims": across(LONG, ARMS),
    "dirty-long-strata": across(LONG, ARMS, strata=True),
    "dirty-long-six": Differences(
        "",
        BOLD,
        [
            (f"{head}{on}", partial(compared, f"{name} + {name.replace('long', 'long-more')}", *_SIX, dataset=dataset))
            for dataset, on in ((DATASET, ""), ("Urban100", ", on Urban100"))
            for name, head in LONG
        ],
    ),
    "dirty-won-back": lambda: _won_back(
        [
            *((name, head, 1951, DATASET) for name, head in POOLS[:2]),
            *((name, f"{head}, 15,608 updates, {dataset}", 15608, dataset) for name, head in LONG for dataset in _BOTH),
        ],
        ARMS[1:],
    ),
    "dirty-kept": kept((*POOLS, *MORE[:-1]), ARMS),
    "dirty-kinds": kept(POOLS[:1], ARMS[2:], (CLEAN, *KINDS)),
}


@click.command()
@click.argument("name")
@click.option("--pool", type=Path, required=True, help="Made by experiments/degrade.py; its list lies beside it.")
@click.option("--run", type=Path, required=True, help="The study's folder, with its scores.")
def main(name: str, pool: Path, run: Path) -> None:
    """Count what selections keep of a pool, for the folder NAME of studies/results, STUDY/POOL."""
    with open(RESULTS / name / "kept.csv", "w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["arm", "keep", "kind", "patches", "kept"])
        writer.writerows(count(pool, run))


if __name__ == "__main__":
    main()
