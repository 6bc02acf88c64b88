"""What each selection keeps: ``python -m experiments.selection [IMAGES] [--speed] [--sheet FILE.png]``.

Prints Markdown: for each method, how its order and its core-set agree with those of the loss, and what it keeps;
`--speed`: the time on a million rows, and of the methods that read the images on at least 100,000 patches of IMAGES,
in place of the rest. ``--sheet`` draws patches that each method keeps of scikit-image's photographs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

import srfast
from srfast import CoreSet, ScoreTable
from srfast.coreset.features import describe, spectrum
from srfast.coreset.methods.base import find
from srfast.coreset.settings import METHODS, TARGETED
from srfast.data.grid import Grid
from srfast.data.images import find_images, read_rgb
from srfast.scoring.scored import ScoredImages
from srfast.scoring.settings import COMPARED
from srfast.scoring.statistics import agreement
from srfast.scoring.table import SCHEMA

SORTED = ("loss", "bicubic", "sobel", "reducible", "relative", "blockiness")
VARIANTS: dict[str, dict[str, Any]] = {
    **{name: {"method": name} for name in (*METHODS, "blockiness") if name not in TARGETED},
    "loss, refined": {"drop_hardest": 0.05},
    "loss, --where blockiness < 5": {"where": "blockiness < 5"},
    "loss, --max-per-image 12": {"max_per_image": 12},
    "loss, --nms 0.3": {"nms": 0.3},
    "loss, --per-image share": {"per_image": "share"},
    "loss, --per-image even": {"per_image": "even"},
    "loss, --flat-floor 0.05": {"flat_floor": 0.05},
    "loss, --order asc": {"order": "asc"},
}


def ids(table: ScoreTable | CoreSet) -> set[tuple[str, int, int]]:
    return set(zip(table["image"].tolist(), table["x"].tolist(), table["y"].tolist(), strict=True))


def contents(images: str, keep: float) -> None:
    table = srfast.score(images, mode="dense", blockiness=True)
    loss = table["loss"].astype(np.float64)
    easy = np.quantile(loss, 0.25)
    base = ids(srfast.select(table, keep=keep))
    print(f"{len(table):,} patches of {len(set(table['image'])):,} images, {keep:g} kept\n")
    print("| selection | Spearman with loss | in common with loss | share of error | of the easiest quarter | images |")
    print("|---|---|---|---|---|---|")
    for title, options in VARIANTS.items():
        chosen = srfast.select(table, keep=keep, **options)
        rank = agreement(loss, find(title).key(table))["spearman"] if title in SORTED else None
        figures = [
            "-" if rank is None else f"{rank:.4f}",
            f"{100 * len(ids(chosen) & base) / len(base):.1f} %",
            f"{100 * chosen['loss'].sum(dtype=np.float64) / loss.sum():.1f} %",
            f"{100 * (chosen['loss'] <= easy).sum() / (loss <= easy).sum():.1f} %",
            f"{len(set(chosen['image']))}",
        ]
        print(f"| {title} | " + " | ".join(figures) + " |", flush=True)


def a_million() -> ScoreTable:
    rng, n = np.random.default_rng(0), 1_000_000
    image, place = np.arange(n, dtype=np.int32) // 2500, np.arange(n, dtype=np.int32) % 2500
    names = pa.array([f"image {i:05d}.png" for i in range(n // 2500)])
    columns = {
        "image": pa.DictionaryArray.from_arrays(pa.array(image), names).cast(pa.string()),
        "x": place % 50 * 6,
        "y": place // 50 * 6,
        "size": np.full(n, 96, np.int32),
        **{c: rng.lognormal(3, 1, n).astype(np.float32) for c in ("loss", "bicubic", "sobel")},
    }
    meta = {"version": 1, "root": "/data", **dict.fromkeys(COMPARED, 1), "images": {}, "skipped": [], "small": []}
    return ScoreTable(pa.table(columns, schema=SCHEMA), meta)


def speed() -> None:
    table = a_million()
    sets: list[dict[str, Any]] = [{"method": m} for m in METHODS if m not in ("hdc", "diverse", *TARGETED)]
    sets += [{"where": "loss > 10 and bicubic > 5"}, {"window": (0.05, 0.55)}, {"max_per_image": 1500}]
    sets += [{"per_image": "share"}, {"per_image": "even"}, {"flat_floor": 0.05}, {"nms": 0.3}, {"nms": 0.8}]
    print("\n| a million rows | seconds | of processor time |\n|---|---|---|")
    for options in sets:
        wall, cpu = map(min, zip(*(timed(partial(srfast.select, table, **options))[:2] for _ in range(3)), strict=True))
        title = ", ".join(f"{k} {v}" for k, v in options.items())
        print(f"| {title} | {wall:.2f} | {cpu:.2f} |", flush=True)


def timed(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, seconds of processor time, and what it returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def many_patches(images: str, patches: int) -> ScoreTable:
    """Scores of bicubic at the largest even stride that makes at least so many patches of 96 x 96."""
    sizes = [Image.open(file.path).size for file in find_images(images)]

    def count(stride: int) -> int:
        return sum(len(Grid.over(h, w, 2, 96, stride)) for w, h in sizes)

    stride = next(s for s in range(96, 0, -2) if count(s) >= patches)
    return srfast.score(images, mode="dense", scorer="bicubic", stride=stride)


def clusters_speed(images: str, patches: int = 100_000) -> None:
    """The methods that read the images: all of it, and their features of all patches alone."""
    table = many_patches(images, patches)
    print(f"\n| {len(table):,} patches | seconds | of processor time |\n|---|---|---|")

    def reading() -> None:
        describe(table, np.arange(len(table)), ScoredImages.of(table.meta), spectrum)

    steps: dict[str, Callable[[], Any]] = {"reading the images, features": reading}
    steps |= {name: partial(srfast.select, table, method=srfast.Column(name)) for name in ("diverse", "hdc")}
    steps |= {
        f"{name}, a fifth kept": partial(srfast.select, table, keep=0.2, method=srfast.Column(name))
        for name in ("diverse", "hdc")
    }
    for title, step in steps.items():
        print("| {} | {:.1f} | {:.1f} |".format(title, *timed(step)), flush=True)


def sheet(path: Path, keep: float = 0.1, columns: int = 20, side: int = 40) -> None:
    """A row of kept patches for each method, drawn evenly from its core-set."""
    from srfast.cli.tools import write_photographs

    with tempfile.TemporaryDirectory() as folder:
        photos = write_photographs(Path(folder))
        table = srfast.score(photos, patch=48, mode="dense")
        rows: dict[str, dict[str, Any]] = {name: {"method": name} for name in METHODS}
        rows["loss, --order asc"] = {"order": "asc"}
        page = Image.new("RGB", (130 + columns * (side + 2), len(rows) * (side + 2)), "white")
        images = {name: read_rgb(photos / name) for name in set(table["image"])}
        for line, (title, options) in enumerate(rows.items()):
            chosen = srfast.select(table, keep=keep, **options)
            ImageDraw.Draw(page).text((4, line * (side + 2) + side // 2 - 5), title, fill="black")
            for column, i in enumerate(np.linspace(0, len(chosen) - 1, columns).round().astype(int)):
                x, y = int(chosen["x"][i]), int(chosen["y"][i])
                patch = Image.fromarray(images[chosen["image"][i]][y : y + 48, x : x + 48]).resize((side, side))
                page.paste(patch, (130 + column * (side + 2), line * (side + 2)))
        page.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


@click.command()
@click.argument("images", required=False)
@click.option("--keep", type=float, default=0.5)
@click.option("--sheet", "page", type=Path)
@click.option("--speed", "as_speed", is_flag=True)
def main(images: str | None, keep: float, page: Path | None, as_speed: bool) -> None:
    """What each selection keeps of the patches of IMAGES."""
    if images and not as_speed:
        contents(images, keep)
    if as_speed:
        speed()
        if images:
            clusters_speed(images)
    if page:
        sheet(page)


if __name__ == "__main__":
    main()
