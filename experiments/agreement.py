"""How alike two ways of scoring rank the patches of a folder: ``python -m experiments.agreement IMAGES``.

Prints Markdown: dense against patch mode, ``--precision fast`` against fp32, and the scores that need no network.
"""

from __future__ import annotations

import sys
from typing import Any, get_args

import numpy as np

import srfast
from srfast import ScoreTable
from srfast.scoring.settings import Scale

KEEP = (0.25, 0.5, 0.75)
DROP = 0.05


def ranks(values: np.ndarray) -> np.ndarray:
    out = np.empty(len(values))
    out[np.argsort(values, kind="stable")] = np.arange(len(values))
    return out


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


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
    return f"| {label} | {len(a):,} | {spearman(a, b):.6f} | {figures} |"


def header(title: str) -> str:
    return f"\n### {title}\n\n| | patches | Spearman | 25 % | 50 % | 75 % | refined |\n|---|---|---|---|---|---|---|"


def main(images: str) -> None:
    print(header("Dense against patch mode"))
    tables: dict[Scale, ScoreTable] = {}
    for scale in get_args(Scale):
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


if __name__ == "__main__":
    main(sys.argv[1])
