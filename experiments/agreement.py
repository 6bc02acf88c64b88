"""The tables of docs/results/agreement.md, printed as Markdown: ``python -m experiments.agreement COMMAND IMAGES``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

import srfast
from experiments.selection import ids, timed
from srfast import ScoreTable
from srfast.data.images import read_rgb
from srfast.models import tiling
from srfast.scoring.settings import Scale
from srfast.scoring.statistics import agreement

SCALES: tuple[Scale, ...] = (2, 3, 4)
KEEP = (0.25, 0.5, 0.75)
DROP = 0.05
HALF = 0x01306B47
"""ncnn's mark of 16-bit weights."""


@click.group()
def main() -> None:
    """How alike two ways of scoring rank the patches of a folder."""


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


@main.command()
@click.argument("images")
@click.argument("scorer", metavar="FILE")
def against(images: str, scorer: str) -> None:
    """How the shipped weights rank against those of FILE, such as older ones: x2, 96 px patches, dense."""
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


@main.command()
@click.argument("images")
def ways(images: str) -> None:
    """Dense against patch mode, --precision fast against fp32, and the scores that need no network."""
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


@main.command()
@click.argument("param", metavar="FILE.param", type=Path)
@click.argument("out", metavar="OUT.pth", type=Path)
def compact(param: Path, out: Path) -> None:
    """Turn ncnn's two files of a Compact (convolutions and PReLUs in a row) into a checkpoint as spandrel reads it."""
    data, at = param.with_suffix(".bin").read_bytes(), 0

    def read(kind: str, n: int) -> np.ndarray:
        nonlocal at
        values = np.frombuffer(data, kind, n, at)
        at += -(-values.nbytes // 4) * 4
        return values

    state: dict[str, torch.Tensor] = {}
    layers = [line.split() for line in param.read_text().splitlines()[2:]]
    for i, (kind, *words) in enumerate(layer for layer in layers if layer[0] in ("Convolution", "PReLU")):
        about = dict(word.split("=") for word in words if "=" in word)
        outputs = int(about["0"])
        if kind == "Convolution":
            weight = read("<f2" if read("<u4", 1)[0] == HALF else "<f4", int(about["6"]))
            side = int(about["1"])
            state[f"body.{i}.bias"] = torch.from_numpy(read("<f4", outputs).copy())
        else:
            weight, side = read("<f4", outputs), 0
        shape = (outputs, -1, side, side) if side else (outputs,)
        state[f"body.{i}.weight"] = torch.from_numpy(weight.astype(np.float32).reshape(shape))
    if at != len(data):
        raise SystemExit(f"{param}: {len(data) - at} bytes are left over")
    torch.save({"params": state}, out)


@main.command()
@click.argument("images")
@click.argument("file")
@click.option("--scale", type=int, default=4)
def foreign(images: str, file: str, scale: Any) -> None:
    """How long a network of others takes in both modes, and how it agrees with the shipped SRCNN."""
    print("| mode | patches | seconds | of processor time | Spearman with srcnn | half in common | quarter in common |")
    print("|---|---|---|---|---|---|---|")
    modes: dict[str, Any] = {"patch": {"mode": "patch"}, "dense": {"mode": "dense"}}
    own: dict[str, Any] = {}
    for mode, options in modes.items():
        wall, cpu, own[mode] = timed(partial(srfast.score, images, scale=scale, scorer=file, **options))
        base = srfast.score(images, scale=scale, **options)
        figures = [
            f"{len(base):,}",
            f"{wall:.1f}",
            f"{cpu:.1f}",
            f"{agreement(base['loss'], own[mode]['loss'])['spearman']:.4f}",
        ]
        for keep in (0.5, 0.25):
            want = ids(srfast.select(base, keep=keep))
            figures.append(f"{100 * len(want & ids(srfast.select(own[mode], keep=keep))) / len(want):.1f} %")
        print(f"| {mode} | " + " | ".join(figures) + " |", flush=True)
    both = agreement(own["patch"]["loss"], own["dense"]["loss"])["spearman"]
    better = {mode: 100 * (table["loss"] < table["bicubic"]).mean() for mode, table in own.items()}
    print(f"\npatch against dense: Spearman {both:.4f}; better than bicubic on {better['dense']:.1f} % of the patches")


@main.command()
@click.argument("images")
@click.argument("file")
@click.option("--scale", type=int, default=4)
def seams(images: str, file: str, scale: Any) -> None:
    """Dense scores in tiles of 64 LR pixels, so that every image has seams, against those of the whole image."""
    options: dict[str, Any] = {"scale": scale, "mode": "dense", "scorer": file, "patch": 96, "stride": 48}
    tiling.WHOLE_PIXELS = 1 << 40
    whole = srfast.score(images, **options)["loss"].astype(np.float64)
    tiling.WHOLE_PIXELS, tiling.TILE = 0, 64
    print("\n| overlap | largest relative difference | mean | Spearman with the whole |\n|---|---|---|---|")
    for overlap in (0, 8, 16, 32):
        tiled = srfast.score(images, tile_overlap=overlap, **options)["loss"].astype(np.float64)
        off = np.abs(tiled / whole - 1)
        spearman = agreement(whole, tiled)["spearman"]
        print(f"| {overlap} | {off.max():.1e} | {off.mean():.1e} | {spearman:.7f} |", flush=True)


if __name__ == "__main__":
    main()
