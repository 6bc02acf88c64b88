"""What each selection of a dirty pool keeps of spoilt images: counted in a study's scores and the list of the pool.

``python -m experiments.dirty_kept dirty/dirty-wild-60 --pool POOL --run OUT`` writes ``kept.csv`` into that folder of
studies/results (arm, keep in percent, what was done to the image, patches in the pool, patches kept).
``experiments/dirty_rows.py`` reads it.
``POOL.csv`` lies beside the pool that ``experiments/degrade.py`` made, and OUT is the folder of its study.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import click

from experiments.study_rows import RESULTS, STUDIES, Table, Words, markdown
from srfast.scoring.table import ScoreTable
from srfast.study.description import cells
from srfast.study.file import read_study
from srfast.study.pool import scores_file, select_cell

CLEAN = "clean"


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
