"""The tables of what was found on dirty pools, from the committed results."""

from __future__ import annotations

from bench.dirty_kept import CLEAN, Kept
from bench.study_rows import DATASET, Across, Means, Table

POOLS = (
    ("dirty-wild-60", "a mix, 60 % spoilt"),
    ("dirty-upscaled-75", "75 % enlarged"),
    ("dirty-noise-30", "30 % noisy"),
    ("dirty-jpeg-50", "50 % JPEG"),
)
LONG = (("dirty-long-wild-60", "a mix, 60 % spoilt"),)
ARMS = (
    ("all patches", "full 100"),
    ("the clean images alone (which no method knows)", "oracle 100"),
    ("the hardest half", "des 50"),
    ("the hardest quarter", "des 25"),
    ("a random half", "random 50"),
    ("the half by `relative`", "relative 50"),
    ("the hardest half after the hardest 5 % were dropped", "refined 50"),
    ("what `--clean` leaves", "clean 100"),
    ("the hardest half of what `--clean` leaves", "clean_des 50"),
)
EXPECT = tuple(
    (f"{head}: the hardest half of what `--clean` leaves", name, "fsrcnn", "clean_des 50 1951", "full 100 1951", DATASET)
    for name, head in POOLS
) + tuple(
    (f"... {head}, 15,608 updates", name, "fsrcnn", "clean_des 50 15608", "full 100 15608", DATASET)
    for name, head in LONG
)
"""Rows of the page's first table."""
KINDS = ("noise", "overlay", "halo", "jpeg", "upscaled", "upscaled + jpeg", "blur")

TABLES: dict[str, Table] = {
    "dirty-means": Means(
        POOLS[0][0],
        ("BSD100, 1,951 updates", *(head for _, head in POOLS)),
        tuple(f"{name}: fsrcnn 1951" for name, _ in POOLS),
        ARMS,
    ),
    "dirty-claims": Across(POOLS, ARMS),
    "dirty-strata": Across(POOLS, ARMS, strata=True),
    "dirty-long-means": Means(
        LONG[0][0],
        ("15,608 updates", *(f"{dataset}, {head}" for _, head in LONG for dataset in (DATASET, "Urban100"))),
        tuple(f"{name}: fsrcnn 15608" for name, _ in LONG),
        tuple(row for row in ARMS if row[1] in ("full 100", "oracle 100", "des 50", "clean_des 50")),
        (DATASET, "Urban100"),
    ),
    "dirty-long-claims": Across(LONG, ARMS),
    "dirty-long-strata": Across(LONG, ARMS, strata=True),
    "dirty-kept": Kept(POOLS, ARMS),
    "dirty-kinds": Kept(POOLS[:1], ARMS[2:], (CLEAN, *KINDS)),
}
