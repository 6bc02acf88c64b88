"""The tables of degraded pools, from the committed results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.dirty_kept import CLEAN, Kept
from experiments.study_rows import (
    DATASET,
    STRATA,
    Across,
    Means,
    Strata,
    Table,
    bold,
    difference,
    family,
    group,
    markdown,
    of_study,
    paired,
)
from srfast.evaluation.inference import Comparison, judge
from srfast.study.claims import judge_family

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
KINDS = ("noise", "overlay", "halo", "jpeg", "upscaled", "upscaled + jpeg", "blur")


@dataclass(frozen=True)
class WonBack:
    """What part of the clean images' lead over all patches each arm has, by the means: a column is a study, its updates
    and a test set. Only where that lead is significant by its own interval, since a part of nothing says nothing."""

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
                raise SystemExit(f"{study}: the lead of the clean images is not significant")
            columns.append([f"{100 * of[arm].mean / lead.mean:.0f} %" if arm in of else "" for _, arm in self.arms])
        head = ["part of the clean images' lead", *(head for _, head, _, _ in self.columns)]
        rows = [[words, *cells] for (words, _), *cells in zip(self.arms, *columns, strict=True) if any(cells)]
        return markdown(head, rows)


@dataclass(frozen=True)
class OverPools:
    """Differences of arms, each the mean over pools that were trained with the same seeds; a column for all of a test
    set, and one for each stratum."""

    pools: tuple[str, ...]
    """For each pool its study, or studies between " + ", whose seeds are joined."""
    rows: tuple[tuple[str, str, str], ...]
    """Words, arm, control."""
    updates: int = 1951

    def differences(self, stratum: str = "") -> list[Comparison]:
        """One for each row; "" is the whole test set."""
        sides = [(f"{arm} {self.updates}", f"{control} {self.updates}") for _, arm, control in self.rows]
        return [
            judge(np.mean([paired(pool, "fsrcnn", *both, DATASET, stratum) for pool in self.pools], 0))
            for both in sides
        ]

    def markdown(self) -> str:
        columns = [self.differences(s) for s in ("", *STRATA)]
        lines = [
            [words, str(row[0].seeds), *map(bold, row)] for (words, *_), *row in zip(self.rows, *columns, strict=True)
        ]
        return markdown([f"the mean over {len(self.pools)} pools", "seeds", "all", *STRATA], lines)


@dataclass(frozen=True)
class OverClaims:
    """Claims about means over pools, which were named before the trainings, judged together."""

    over: OverPools
    strata: bool = False

    def markdown(self) -> str:
        rows = [
            (words, stratum, c)
            for stratum in (STRATA if self.strata else ("",))
            for (words, *_), c in zip(self.over.rows, self.over.differences(stratum), strict=True)
        ]
        together = judge_family([({"stratum": stratum}, DATASET, c) for _, stratum, c in rows])
        return family([(words, j) for (words, *_), j in zip(rows, together, strict=True)])


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
_EIGHT = tuple(" + ".join(n for n, _ in studies) for studies in zip(POOLS, OTHERS, FRESH, strict=True))
_SIX = tuple((f"{name} + {name.replace('long', 'long-more')}", head) for name, head in LONG)
_FRESH = tuple(name for name, _ in FRESH)
_LATER = tuple(name for name, _ in OTHERS)
_FOUR = tuple(row for row in ARMS if row[1] in ("full 100", "oracle 100", "des 50", "clean_des 50"))


def _means(pools: tuple[tuple[str, str], ...], arms: tuple[tuple[str, str], ...]) -> Means:
    """PSNR after 1,951 updates, a column a pool."""
    columns = tuple(f"{name}: fsrcnn 1951" for name, _ in pools)
    return Means(pools[0][0], ("BSD100, 1,951 updates", *(head for _, head in pools)), columns, arms)


def _pools(prefix: str, pools: tuple[tuple[str, str], ...], arms: tuple[tuple[str, str], ...]) -> dict[str, Table]:
    """PSNR after 1,951 updates, the claims about test sets, and those about strata."""
    return {
        f"{prefix}-means": _means(pools, arms),
        f"{prefix}-claims": Across(pools, arms),
        f"{prefix}-strata": Across(pools, arms, strata=True),
    }


TABLES: dict[str, Table] = {
    "dirty-over": OverPools(_EIGHT, _OVER),
    "dirty-arms": OverClaims(OverPools(_LATER, _OTHERS)),
    "dirty-arms-strata": OverClaims(OverPools(_LATER, (_OTHERS[0], _OTHERS[2])), strata=True),
    "dirty-arms-means": _means(OTHERS, tuple(row for row in ARMS if row[1] != "oracle 100")),
    "dirty-arms-pools": Across(OTHERS, ARMS),
    "dirty-fresh": OverClaims(OverPools(_FRESH, _NAMED)),
    "dirty-fresh-strata": OverClaims(OverPools(_FRESH, (_NAMED[0], _NAMED[2])), strata=True),
    **_pools("dirty", POOLS, ARMS),
    **_pools("dirty-more", MORE, ARMS),
    "dirty-fresh-means": _means(FRESH, _FOUR),
    "dirty-fresh-pools": Across(FRESH, ARMS),
    **of_study("dirty-l1", L1),
    "dirty-long-means": Means(
        LONG[0][0],
        ("15,608 updates", *(f"{dataset}, {head}" for _, head in LONG for dataset in (DATASET, "Urban100"))),
        tuple(f"{name}: fsrcnn 15608" for name, _ in LONG),
        _FOUR,
        (DATASET, "Urban100"),
    ),
    "dirty-long-claims": Across(LONG, ARMS),
    "dirty-long-strata": Across(LONG, ARMS, strata=True),
    "dirty-long-six": Strata(
        tuple(
            (f"{head}{on}", studies, "fsrcnn", "clean_des 50 15608", "full 100 15608", dataset)
            for dataset, on in ((DATASET, ""), ("Urban100", ", on Urban100"))
            for studies, head in _SIX
        )
    ),
    "dirty-won-back": WonBack(
        (
            *((name, head, 1951, DATASET) for name, head in POOLS if name in (POOLS[0][0], POOLS[1][0])),
            *(
                (name, f"{head}, 15,608 updates, {dataset}", 15608, dataset)
                for name, head in LONG
                for dataset in (DATASET, "Urban100")
            ),
        ),
        ARMS[1:],
    ),
    "dirty-kept": Kept((*POOLS, *MORE[:-1]), ARMS),
    "dirty-kinds": Kept(POOLS[:1], ARMS[2:], (CLEAN, *KINDS)),
}
