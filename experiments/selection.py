"""The tables of docs/results/selections-compared.md: ``python -m experiments.selection COMMAND IMAGES``.

They are printed as Markdown. ``contents``: what each selection keeps. ``speed``: its time. ``sheet FILE.png``: patches
that each method keeps of scikit-image's photographs. ``blockiness``: the column of that name. ``duplicates``: what
dedup finds.
"""

from __future__ import annotations

import io
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
from scipy.stats import spearmanr

import srfast
from srfast import CoreSet, ScoreTable
from srfast.coreset.duplicates import find_duplicates
from srfast.coreset.features import describe, spectrum
from srfast.coreset.methods.base import find
from srfast.coreset.settings import METHODS, TARGETED
from srfast.data.grid import Grid
from srfast.data.images import find_images, read_rgb
from srfast.ops.blockiness import blockiness
from srfast.scoring.backends.choice import make_engine
from srfast.scoring.network import load_network
from srfast.scoring.scored import ScoredImages
from srfast.scoring.settings import PRECISIONS, ScoreSettings
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
QUALITIES = (95, 75, 50, 30, 10)
PATCH = 96
ROUNDS = 5


@click.group()
def main() -> None:
    """Compare selections."""


def ids(table: ScoreTable | CoreSet) -> set[tuple[str, int, int]]:
    return set(zip(table["image"].tolist(), table["x"].tolist(), table["y"].tolist(), strict=True))


@main.command()
@click.argument("images")
@click.option("--keep", type=float, default=0.5)
def contents(images: str, keep: float) -> None:
    """For each method, how its order and its core-set agree with those of the loss, and what it keeps."""
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
    meta = {"version": 1, "root": "/data", "scale": 2, "patch": 96, "stride": 6, "mode": "dense", "images": {}}
    return ScoreTable(pa.table(columns, schema=SCHEMA), meta)


@main.command()
@click.argument("images", required=False)
def speed(images: str | None) -> None:
    """The time on a million rows, and of the methods that read IMAGES on at least 100,000 patches of them."""
    table = a_million()
    sets: list[dict[str, Any]] = [{"method": m} for m in METHODS if m not in ("hdc", "diverse", *TARGETED)]
    sets += [{"where": "loss > 10 and bicubic > 5"}, {"window": (0.05, 0.55)}, {"max_per_image": 1500}]
    sets += [{"per_image": "share"}, {"per_image": "even"}, {"flat_floor": 0.05}, {"nms": 0.3}, {"nms": 0.8}]
    print("\n| a million rows | seconds | of processor time |\n|---|---|---|")
    for options in sets:
        wall, cpu = map(min, zip(*(timed(partial(srfast.select, table, **options))[:2] for _ in range(3)), strict=True))
        title = ", ".join(f"{k} {v}" for k, v in options.items())
        print(f"| {title} | {wall:.2f} | {cpu:.2f} |", flush=True)
    if images:
        clusters_speed(images)


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


@main.command()
@click.argument("path", metavar="FILE.png", type=Path)
def sheet(path: Path, keep: float = 0.1, columns: int = 20, side: int = 40) -> None:
    """Draw a row of kept patches of scikit-image's photographs for each method, evenly from its core-set."""
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


def cost(images: list[np.ndarray], precision: str, scorer: str = "srcnn") -> float:
    """Processor time of ``blockiness`` by that of dense scores on one thread: the median of the rounds."""
    settings = ScoreSettings(patch=PATCH, mode="dense", precision=precision, scorer=scorer)  # type: ignore[arg-type]
    engine = make_engine(load_network(settings.scorer, settings.scale), settings, threads=1)
    ratios = []
    for _ in range(ROUNDS):
        spent = [0.0, 0.0]
        for image in images:
            grid = settings.grid(*image.shape[:2])
            start = time.process_time()
            engine.dense(image, grid, 1)
            between = time.process_time()
            blockiness(image, grid.xs, grid.ys, PATCH)
            spent[0] += between - start
            spent[1] += time.process_time() - between
        ratios.append(spent[1] / spent[0])
    return float(np.median(ratios))


def compressed(image: np.ndarray, quality: int | None) -> np.ndarray:
    """The image after a JPEG file of this quality; None leaves it as it is."""
    if quality is None:
        return image
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def halved(image: np.ndarray) -> np.ndarray:
    """Half the size, so that no trace of an earlier compression stands on the grid."""
    photo = Image.fromarray(image)
    return np.array(photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.BICUBIC))


@main.command("blockiness")
@click.argument("images")
def blocks(images: str) -> None:
    """What the column blockiness costs beside the scores, and how it follows the quality of JPEG files."""
    photos = [read_rgb(file.path) for file in find_images(images)]
    few = photos[:20]
    print(f"{len(few)} images of {few[0].shape[1]} x {few[0].shape[0]}, dense, one thread, x2, patch {PATCH}")
    for precision in PRECISIONS:
        print(f"  of the time of srcnn, {precision}: {cost(few, precision):.2%}")
    print(f"  of the time of bicubic: {cost(few, 'fp32', 'bicubic'):.2%}")
    by_quality: dict[int | None, np.ndarray] = {}
    small = [halved(photo) for photo in photos]
    for quality in (None, *QUALITIES):
        scores = []
        for photo in small:
            grid = Grid.over(photo.shape[0], photo.shape[1], 2, 48, 48)
            scores.append(blockiness(compressed(photo, quality), grid.xs, grid.ys, 48))
        by_quality[quality] = np.concatenate(scores)
    print(f"{len(small)} images halved, {len(by_quality[None])} patches of 48:")
    print("| quality | mean | 5 % | median | 95 % |\n|---|---|---|---|---|")
    for quality, values in by_quality.items():
        low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
        print(f"| {quality or 'not compressed'} | {values.mean():.1f} | {low:.1f} | {middle:.1f} | {high:.1f} |")
    repeated = np.concatenate([np.full(len(by_quality[q]), q) for q in QUALITIES])
    print(f"Spearman with quality: {spearmanr(repeated, np.concatenate([by_quality[q] for q in QUALITIES]))[0]:.4f}")
    steps = np.diff([by_quality[q] for q in QUALITIES], axis=0)
    print(f"patches that no step down in quality lowers: {(steps >= 0).all(0).mean():.1%}")


def copied(image: Image.Image, draw: np.random.Generator, path: Path) -> tuple[int, int, int, int]:
    """Writes a copy; returns the box of the original that it holds."""
    left, top = (int(v) for v in draw.integers(0, 91, 2))
    box = (left, top, image.width - int(draw.integers(0, 91)), image.height - int(draw.integers(0, 91)))
    copy = image.crop(box)
    turn = draw.integers(0, 8)
    if turn:
        copy = copy.transpose(list(Image.Transpose)[turn - 1])
    copy.save(path, quality=int(draw.integers(30, 91)))
    return box


@main.command("duplicates")
@click.argument("folder", metavar="IMAGES")
@click.argument("patches", default=0)
def copies(folder: str, patches: int) -> None:
    """What dedup finds of made copies, and what it finds that is none.

    Every eighth image is copied: cropped by up to 90 pixels, flipped or turned, compressed as JPEG of quality 30 to 90.
    The copies are the test images of find_duplicates: a patch that lies inside a copy and is called a leak of it is
    found; one of an image that was not copied is a false alarm. Then the time, at PATCHES patches or a few more.
    """
    draw = np.random.default_rng(0)
    table = srfast.score(folder, mode="dense", scorer="bicubic")
    image, x, y = (table[c] for c in ("image", "x", "y"))
    names = sorted(set(image))[::8]
    inside = np.zeros(len(table), bool)
    with tempfile.TemporaryDirectory() as made:
        for i, name in enumerate(names):
            path = Path(made, f"{i}.jpg")
            left, top, end, bottom = copied(Image.open(Path(folder, name)).convert("RGB"), draw, path)
            size = table["size"]
            inside |= (image == name) & (x >= left) & (y >= top) & (x + size <= end) & (y + size <= bottom)
        marked = find_duplicates(table, [made])
    leak = marked.table.table.column("leak").to_pylist()
    own = {name: f"{i}.jpg" for i, name in enumerate(names)}
    right = np.array(
        [one is not None and one.endswith(f"/{own.get(name)}") for one, name in zip(leak, image, strict=True)]
    )
    called = np.array([one is not None for one in leak])
    other = ~np.isin(image, names)
    print(
        f"{len(table):,} patches, {inside.sum():,} of them inside {len(names)} copies; {marked.flat:,} too flat to tell"
    )
    print(f"found {(inside & right).sum():,}: recall {(inside & right).sum() / inside.sum():.4f}")
    print(f"called {called.sum():,}, of the right image {right.sum():,}: precision {right.sum() / called.sum():.4f}")
    print(f"false alarms {(called & other).sum():,} of {other.sum():,} patches of images that were not copied")
    if patches:
        many = many_patches(folder, patches)
        wall, cpu, _ = timed(lambda: find_duplicates(many))
        print(f"{len(many):,} patches: {wall:.1f} s, {cpu:.1f} of processor time")


if __name__ == "__main__":
    main()
