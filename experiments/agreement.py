"""How alike two ways of scoring rank the patches of a folder: ``python -m experiments.agreement IMAGES``.

Prints Markdown: dense against patch mode, ``--precision fast`` against fp32, and the scores that need no network. With
``--scorer FILE`` it prints instead how the shipped weights rank against those of a file, such as older ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

import srfast
from srfast import ScoreTable
from srfast.data.images import read_rgb
from srfast.scoring.settings import Scale
from srfast.scoring.statistics import agreement

SCALES: tuple[Scale, ...] = (2, 3, 4)
KEEP = (0.25, 0.5, 0.75)
DROP = 0.05


def kept(values: np.ndarray, keep: float, drop: float = 0.0) -> np.ndarray:
    """Mask of the core-set, hardest first after dropping the hardest ``drop``."""
    n = len(values)
    first = int(drop * n + 0.5)
    mask = np.zeros(n, bool)
    mask[np.argsort(-values, kind="stable")[first : first + int(keep * n + 0.5)]] = True
    return mask


def row(label: str, a: np.ndarray, b: np.ndarray) -> str:
    overlaps = [(kept(a, k) & kept(b, k)).sum() / kept(a, k).sum() for k in KEEP]
    refined = (kept(a, 0.5, DROP) & kept(b, 0.5, DROP)).sum() / kept(a, 0.5, DROP).sum()
    figures = " | ".join(f"{v:.4f}" for v in (*overlaps, refined))
    return f"| {label} | {len(a):,} | {agreement(a, b)['spearman']:.6f} | {figures} |"


def header(title: str) -> str:
    return f"\n### {title}\n\n| | patches | Spearman | 25 % | 50 % | 75 % | refined |\n|---|---|---|---|---|---|---|"


def flat_black(table: ScoreTable, images: str, mask: np.ndarray) -> int:
    """How many patches of a mask have one colour, of at most 3 in R, G and B."""
    rows = np.flatnonzero(mask & (table.column("sobel") == 0))
    names = table.table.column("image").take(rows).to_pylist()
    x, y = table.column("x")[rows], table.column("y")[rows]
    corner = {name: read_rgb(str(Path(images) / name))[::8, ::8] for name in set(names)}
    return sum(int(corner[n][j // 8, i // 8].max() <= 3) for n, i, j in zip(names, x, y, strict=True))


def against(images: str, scorer: str) -> None:
    """Prints the shipped weights against those of a file: x2, 96 px patches, dense."""
    options: Any = {"scale": 2, "patch": 96, "mode": "dense"}
    now, then = srfast.score(images, **options), srfast.score(images, scorer=scorer, **options)
    losses = [t.column("loss").astype(np.float64) for t in (now, then)]
    tenths, quarters = ([kept(v, keep) for v in losses] for keep in (0.1, 0.25))
    print("| images | patches | Spearman | the same tenth | the same half |")
    print("|---|---|---|---|---|")
    same = [(kept(losses[0], k) & kept(losses[1], k)).sum() / kept(losses[0], k).sum() for k in (0.1, 0.5)]
    name = Path(images).name
    print(f"| {name} | {len(now):,} | {agreement(*losses)['spearman']:.4f} | {same[0]:.3f} | {same[1]:.3f} |\n")
    print("| images, weights | flat black in the hardest tenth | over twice bicubic's loss | hardest quarter's share |")
    print("|---|---|---|---|")
    for label, table, loss, tenth, quarter in zip(
        ("shipped", scorer), (now, then), losses, tenths, quarters, strict=True
    ):
        black, worse = flat_black(table, images, tenth), int((loss > 2 * table.column("bicubic")).sum())
        print(
            f"| {name}, {label} | {black:,} of {tenth.sum():,} | {worse:,} | {loss[quarter].sum() / loss.sum():.3f} |"
        )


def ways(images: str) -> None:
    """Prints the ways to score against each other."""
    print(header("Dense against patch mode"))
    tables: dict[Scale, ScoreTable] = {}
    for scale in SCALES:
        for patch in (48, 96, 192):
            options: Any = {"scale": scale, "patch": patch, "stride": patch // 2}
            patchwise = srfast.score(images, **options)
            dense = srfast.score(images, mode="dense", **options)
            print(row(f"x{scale}, {patch} x {patch}", patchwise.column("loss"), dense.column("loss")), flush=True)
            if patch == 96:
                tables[scale] = patchwise
    print(header("--precision fast against fp32 (patch mode, 96 x 96)"))
    for scale, table in tables.items():
        fast = srfast.score(images, scale=scale, patch=96, stride=48, precision="fast")
        print(row(f"x{scale}", table.column("loss"), fast.column("loss")), flush=True)
    print(header("Scores without a network against SRCNN's loss (patch mode, 96 x 96)"))
    for scale, table in tables.items():
        for column in ("bicubic", "sobel"):
            print(row(f"x{scale}, {column}", table.column("loss"), table.column(column)), flush=True)


@click.command()
@click.argument("images")
@click.option("--scorer", metavar="FILE", help="Weights to compare the shipped ones with, at x2.")
def main(images: str, scorer: str | None) -> None:
    """How alike scores rank the patches of a folder."""
    if scorer:
        against(images, scorer)
    else:
        ways(images)


if __name__ == "__main__":
    main()
