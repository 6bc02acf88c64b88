"""A network of others as the scorer: ``python -m experiments.foreign IMAGES FILE [--scale 4] [--seams]``.

Prints Markdown: how long it takes in both modes, and how its order and its core-sets agree with those of the shipped
SRCNN. ``--seams``: dense scores in tiles of 64 LR pixels against those of the whole image, by the overlap.
``--compact FILE.param OUT.pth`` first turns ncnn's two files of a Compact (convolutions and PReLUs in a row) into a
checkpoint as spandrel reads it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

import srfast
from experiments.selection import ids, timed
from srfast.models import tiling
from srfast.scoring.statistics import agreement

HALF = 0x01306B47
"""ncnn's mark of 16-bit weights."""


def write_compact(param: Path, out: Path) -> None:
    """The weights in FILE.bin, in the order of FILE.param's layers."""
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


def compare(images: str, file: str, scale: Any) -> None:
    """Against the shipped SRCNN in the same mode."""
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


def seams(images: str, file: str, scale: Any) -> None:
    """Tiles so small that every image has seams; the whole runs at once."""
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


@click.command()
@click.argument("images", required=False)
@click.argument("file", required=False)
@click.option("--scale", type=int, default=4)
@click.option("--seams", "as_seams", is_flag=True)
@click.option("--compact", nargs=2, type=Path, metavar="PARAM OUT")
def main(images: str, file: str, scale: int, as_seams: bool, compact: tuple[Path, Path] | None) -> None:
    """Score with a network of others, and write one as spandrel's checkpoint."""
    if compact:
        write_compact(*compact)
    if file:
        (seams if as_seams else compare)(images, file, scale)


if __name__ == "__main__":
    main()
