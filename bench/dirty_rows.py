"""The tables of what was found on dirty pools, from the committed results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.dirty_kept import CLEAN, Kept
from bench.study_rows import DATASET, Across, Family, Means, Table, difference, group, markdown, paired, told
from srfast.evaluation.inference import Comparison, judge
from srfast.study.strata import STRATA

POOLS = (
    ("dirty-wild-60", "a mix, 60 % spoilt"),
    ("dirty-upscaled-75", "75 % enlarged"),
    ("dirty-noise-30", "30 % noisy"),
    ("dirty-jpeg-50", "50 % JPEG"),
    ("dirty-blur-50", "50 % blurred"),
    ("dirty-overlay-20", "20 % written on"),
)
LONG = (
    ("dirty-long-wild-60", "a mix, 60 % spoilt"),
    ("dirty-long-upscaled-75", "75 % enlarged"),
    ("dirty-long-noise-30", "30 % noisy"),
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
EXPECT = (
    *(
        (
            f"{head}: the hardest half of what `--clean` leaves{more}",
            name,
            "fsrcnn",
            f"clean_des 50 {n}",
            f"full 100 {n}",
            DATASET,
        )
        for more, n, pools in (("", 1951, POOLS), (", 15,608 updates", 15608, LONG))
        for name, head in pools
    ),
    (
        "a mix, 60 % spoilt, L1 on both sides: the hardest half of what `--clean` leaves",
        "dirty-l1",
        "fsrcnn",
        "clean_des_l1 50 1951",
        "full_l1 100 1951",
        DATASET,
    ),
)
"""Rows of the page's first table."""
L1 = (
    ("all patches, squared error", "full 100"),
    ("all patches, L1", "full_l1 100"),
    ("the hardest half, L1", "des_l1 50"),
    ("the hardest half of what `--clean` leaves, L1", "clean_des_l1 50"),
)
KINDS = ("noise", "overlay", "halo", "jpeg", "upscaled", "upscaled + jpeg", "blur")


@dataclass(frozen=True)
class WonBack:
    """What part of the clean images' lead over all patches each arm has, by the means: a column is a study, its updates
    and a test set. Only where that lead is told by its own interval, since a part of nothing says nothing."""

    columns: tuple[tuple[str, str, int, str], ...]
    arms: tuple[tuple[str, str], ...]

    def markdown(self) -> str:
        columns = []
        for study, _, updates, dataset in self.columns:
            of = {
                arm: difference(study, "fsrcnn", f"{arm} {updates}", f"full 100 {updates}", dataset).effect
                for _, arm in self.arms
                if group(study, "fsrcnn", f"{arm} {updates}")
            }
            lead = of["oracle 100"]
            if lead.low <= 0:
                raise SystemExit(f"{study}: the lead of the clean images is not told")
            columns.append([f"{100 * of[arm].mean / lead.mean:.0f} %" if arm in of else "" for _, arm in self.arms])
        head = ["part of the clean images' lead", *(head for _, head, _, _ in self.columns)]
        rows = [[words, *cells] for (words, _), *cells in zip(self.arms, *columns, strict=True) if any(cells)]
        return markdown(head, rows)


_STRATA = (*STRATA, "flat")


@dataclass(frozen=True)
class OverPools:
    """Differences of arms, each the mean over pools that were trained with the same seeds; a column for all of a test
    set, and one for each stratum."""

    pools: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, str], ...]
    """Words, arm, control."""
    updates: int = 1951

    def differences(self, stratum: str = "") -> list[Comparison]:
        """One for each row; "" is the whole test set."""
        sides = [(f"{arm} {self.updates}", f"{control} {self.updates}") for _, arm, control in self.rows]
        every = ([paired(name, "fsrcnn", *both, DATASET, stratum) for name, _ in self.pools] for both in sides)
        return [judge(np.mean(pools, 0)) for pools in every]

    def markdown(self) -> str:
        columns = [map(told, self.differences(s)) for s in ("", *_STRATA)]
        lines = [[words, *row] for (words, *_), *row in zip(self.rows, *columns, strict=True)]
        return markdown([f"the mean over {len(self.pools)} pools", "all", *_STRATA], lines)


_OVER = (
    *((f"{words} against all patches", arm, "full 100") for words, arm in ARMS[1:]),
    ("the hardest half of what `--clean` leaves against the hardest half", "clean_des 50", "des 50"),
    ("... against the clean images alone", "clean_des 50", "oracle 100"),
    ("the hardest half against a random half", "des 50", "random 50"),
    ("... against the half by bicubic's loss", "des 50", "bicubic 50"),
    ("... against the half by Sobel", "des 50", "sobel 50"),
)

TABLES: dict[str, Table] = {
    "dirty-over": OverPools(POOLS, _OVER),
    "dirty-means": Means(
        POOLS[0][0],
        ("BSD100, 1,951 updates", *(head for _, head in POOLS)),
        tuple(f"{name}: fsrcnn 1951" for name, _ in POOLS),
        ARMS,
    ),
    "dirty-claims": Across(POOLS, ARMS),
    "dirty-strata": Across(POOLS, ARMS, strata=True),
    "dirty-l1-means": Means("dirty-l1", ("BSD100", "1,951 updates"), ("fsrcnn 1951",), L1),
    "dirty-l1": Family("dirty-l1", L1),
    "dirty-l1-strata": Family("dirty-l1", L1, strata=True),
    "dirty-long-means": Means(
        LONG[0][0],
        ("15,608 updates", *(f"{dataset}, {head}" for _, head in LONG for dataset in (DATASET, "Urban100"))),
        tuple(f"{name}: fsrcnn 15608" for name, _ in LONG),
        tuple(row for row in ARMS if row[1] in ("full 100", "oracle 100", "des 50", "clean_des 50")),
        (DATASET, "Urban100"),
    ),
    "dirty-long-claims": Across(LONG, ARMS),
    "dirty-long-strata": Across(LONG, ARMS, strata=True),
    "dirty-won-back": WonBack(
        (
            *((name, head, 1951, DATASET) for name, head in POOLS if name in ("dirty-wild-60", "dirty-upscaled-75")),
            *(
                (name, f"{head}, 15,608 updates, {dataset}", 15608, dataset)
                for name, head in LONG
                for dataset in (DATASET, "Urban100")
            ),
        ),
        ARMS[1:],
    ),
    "dirty-kept": Kept(POOLS, ARMS),
    "dirty-kinds": Kept(POOLS[:1], ARMS[2:], (CLEAN, *KINDS)),
}
