"""How well the columns of ``score --defects`` tell spoilt photographs from clean ones, and what ``--clean`` leaves out.

``python -m experiments.defects FOLDER...`` of photographs, each also as ``FOLDER/2`` for halved: AUC of each column for
patches of 96 pixels (nulls left out) and for images (what they are judged by). With ``--clean-only``: the shares of
nulls, and what the thresholds leave out of the clean ones, by name. ``--gray`` turns every photograph gray, clean or
degraded; ``--without NAME`` sets some of them aside. ``--keep`` puts the figures into
experiments/results/defects.json, from which ``python -m experiments.study_page`` writes the tables of
docs/results/defects.md. Kernels and codecs are OpenCV's, where the network was trained with Pillow's; defocus is a
disc; WebP follows enlargement once. A pair is clean where the LR image is the HR image reduced, and off where it is
that of the HR image moved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import click
import cv2
import numpy as np
import torch

import srfast
from experiments import defect_network
from experiments.defect_rows import KEPT, Figures
from experiments.degrade import as_bytes, degrade
from srfast.data.grid import Grid
from srfast.data.images import find_images, read_rgb
from srfast.ops.color import jpeg_luma
from srfast.ops.defects import COLUMNS, defects, jpeg_trace
from srfast.scoring import defect_columns as thresholds
from srfast.scoring.defect_columns import THRESHOLDS, pair_columns, reasons

PATCH = 96
MOST = 100
"""Images of a folder."""
Spoil = Callable[[np.ndarray, np.random.Generator], np.ndarray]
KERNELS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}


def encoded(image: np.ndarray, suffix: str, quality: int) -> np.ndarray:
    """The image after a file of OpenCV's encoder."""
    key = cv2.IMWRITE_JPEG_QUALITY if suffix == ".jpg" else cv2.IMWRITE_WEBP_QUALITY
    _, data = cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]), [key, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1])


def enlarged(factor: int, kernel: str, after: str = "") -> Spoil:
    def spoil(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        h, w = (side // factor * factor for side in image.shape[:2])
        small = cv2.resize(image[:h, :w], (w // factor, h // factor), interpolation=cv2.INTER_AREA)
        large = cv2.resize(small, (w, h), interpolation=KERNELS[kernel])
        return encoded(large, f".{after}", 90) if after else large

    return spoil


def defocused(radius: float) -> Spoil:
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)

    def spoil(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return cv2.filter2D(image, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE)

    return spoil


def made(kind: str, strength: float, **options: object) -> Spoil:
    return lambda image, rng: degrade(image, kind, strength, rng, **options)


def saved(quality: int, again: int = 0, *, cropped: bool = False) -> Spoil:
    """A JPEG, cropped off its grid or not, and saved again or not."""

    def spoil(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        y, x = divmod(int(rng.integers(1, 64)), 8) if cropped else (0, 0)
        once = encoded(image, ".jpg", quality)[y:, x:]
        return encoded(once, ".jpg", again) if again else once

    return spoil


def grained(sigma: float) -> Spoil:
    """Film grain: noise that is correlated over about a pixel."""

    def spoil(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        grain = cv2.GaussianBlur(rng.normal(0, 1, image.shape[:2]), (0, 0), 0.8)
        return as_bytes(image + sigma * grain[..., None] / grain.std())

    return spoil


@lru_cache(maxsize=1)
def scorer() -> torch.nn.Module:
    return srfast.models.create("srcnn", scale=2, pretrained=True).eval()


def by_network(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Enlarged by 2 by the shipped SRCNN, the chroma by bicubic."""
    h, w = (side // 2 * 2 for side in image.shape[:2])
    ycc = cv2.cvtColor(srfast.imresize(np.ascontiguousarray(image[:h, :w]), 0.5), cv2.COLOR_RGB2YCrCb)
    large = cv2.resize(ycc, (w, h), interpolation=cv2.INTER_CUBIC)
    with torch.inference_mode():
        y = scorer()(torch.from_numpy(np.ascontiguousarray(ycc[..., 0]))[None, None].float() / 255)
    large[..., 0] = (255 * y[0, 0]).round().clamp(0, 255).to(torch.uint8).numpy()
    return cv2.cvtColor(large, cv2.COLOR_YCrCb2RGB)


def reduced(image: np.ndarray, kind: str) -> np.ndarray:
    """Half as large."""
    if kind == "bicubic":
        return srfast.imresize(np.ascontiguousarray(image), 0.5)
    h, w = (side // 2 for side in image.shape[:2])
    return encoded(cv2.resize(image[: 2 * h, : 2 * w], (w, h), interpolation=cv2.INTER_AREA), ".jpg", 90)


def pair_of(image: np.ndarray, kind: str, moved: int) -> dict[str, np.ndarray]:
    """``shift`` of the patches of the image and an LR image that lies ``moved`` HR pixels off, to the right."""
    h, w = (side // 2 * 2 for side in image.shape[:2])
    hr = np.ascontiguousarray(image[:h, : w - 2])
    grid = Grid.over(hr.shape[0], hr.shape[1], 2, PATCH, PATCH)
    return pair_columns(hr, reduced(image[:h, moved : w - 2 + moved], kind), grid.xs, grid.ys, PATCH, 2)


ROWS: list[tuple[str, str, Spoil]] = [
    ("noise", "noise 5, in colour", made("noise", 5, colour=True)),
    ("noise", "noise 5, gray", made("noise", 5, colour=False)),
    ("noise", "noise 10, in colour", made("noise", 10, colour=True)),
    ("noise", "film grain 8", grained(8)),
    ("blur", "Gaussian 1.2", made("blur", 1.2, shape="gaussian")),
    ("blur", "Gaussian 2", made("blur", 2, shape="gaussian")),
    ("blur", "defocus 2.5", defocused(2.5)),
    ("blur", "motion 8", made("blur", 8, shape="motion")),
    *[
        ("upscaled", f"x{factor} {kernel}{after and ', JPEG 90'}", enlarged(factor, kernel, after))
        for factor in (2, 3, 4)
        for after in ("", "jpg")
        for kernel in KERNELS
    ],
    ("upscaled", "x2 bicubic, WebP 90", enlarged(2, "bicubic", "webp")),
    ("upscaled", "x2 by SRCNN", by_network),
    *[("jpeg", f"JPEG {q} on the grid", saved(q)) for q in (80, 50, 30)],
    *[("jpeg", f"JPEG {q} off the grid", saved(q, cropped=True)) for q in (80, 50, 30)],
    ("jpeg", "JPEG 30, then 92", saved(30, 92)),
    ("jpeg", "JPEG 30 off the grid, then 92", saved(30, 92, cropped=True)),
    *[
        ("overlay", f"text of {size} pixels, opacity {opacity}", made("overlay", size, opacity=opacity, lines=8))
        for size in (9, 16, 30)
        for opacity in (1.0, 0.5)
    ],
    *[("halo", f"unsharp mask {amount:.0%}", made("halo", amount, radius=2.0)) for amount in (1.5, 3.0)],
]


def columns_of(image: np.ndarray, only: str = "") -> dict[str, np.ndarray]:
    """The columns of an image's patches, those at least that are needed for one of them."""
    grid = Grid.over(image.shape[0], image.shape[1], 2, PATCH, PATCH)
    columns = {} if only == "jpeg" else dict(zip(COLUMNS, defects(image, grid.xs, grid.ys, PATCH).T, strict=True))
    if only in ("", "jpeg"):
        columns["jpeg"] = np.full(len(grid), jpeg_trace(image) or np.nan)
    return columns


def auc(clean: np.ndarray, bad: np.ndarray) -> float:
    """The probability that a degraded one has the higher value; nulls left out."""
    return defect_network.auc(clean[~np.isnan(clean)], bad[~np.isnan(bad)])


def judged(column: str, values: np.ndarray) -> np.ndarray:
    """Higher is worse; a JPEG that left no trace is the best there is."""
    return -np.where(np.isnan(values), 101, values) if column == "jpeg" else values


def of_images(column: str, columns_of_each: list[dict[str, np.ndarray]]) -> np.ndarray:
    """What each image is judged by."""
    return np.array(
        [thresholds.of_images(column, f[column], np.zeros(len(f[column]), np.int64))[0] for f in columns_of_each]
    )


def gray(image: np.ndarray) -> np.ndarray:
    """Its luma, as three equal channels."""
    return np.ascontiguousarray(jpeg_luma(image)[..., None].astype(np.uint8).repeat(3, 2))


def halved(image: np.ndarray) -> np.ndarray:
    return srfast.imresize(image, 0.5)


def load(folder: str) -> list[tuple[str, np.ndarray]]:
    half = folder.endswith("/2")
    files = find_images(folder.removesuffix("/2"))
    files = files[:: max(1, len(files) // MOST)]
    images = [(Path(f.name).stem, read_rgb(f.path)) for f in files]
    images = [(name, halved(image) if half else image) for name, image in images]
    return [(name, image) for name, image in images if min(image.shape[:2]) >= PATCH + 8]


def left_out(images: list[tuple[str, np.ndarray]], columns_of_each: list[dict[str, np.ndarray]]) -> Figures:
    """Which images and which patches of other images the thresholds are against, by name and column."""
    out: Figures = {"patches_out": 0, "whole": {}, "single": {}}
    for (name, _), columns in zip(images, columns_of_each, strict=True):
        image = np.zeros(len(columns["noise"]), np.int64)
        why = reasons(columns, image)
        out["patches_out"] += int(np.any(list(why.values()), 0).sum())
        whole = {
            t.column: float(f"{of_images(t.column, [columns])[0]:.4g}") for t in THRESHOLDS if t.column in columns
            and t.against_images(columns[t.column], image).any()
        }  # fmt: skip
        single = {column: int(v.sum()) for column, v in why.items() if v.any()}
        if whole or single:
            out["whole" if whole else "single"][name] = whole or single
    return out


def nulls(images: list[tuple[str, np.ndarray]], columns_of_each: list[dict[str, np.ndarray]]) -> Figures:
    """The share of nulls in patches that are not flat, by column, and of these patches that have any."""
    textured = []
    for _, image in images:
        grid = Grid.over(image.shape[0], image.shape[1], 2, PATCH, PATCH)
        luma = image @ np.array([0.299, 0.587, 0.114])
        textured += [luma[y : y + PATCH, x : x + PATCH].std() >= 2 for y in grid.ys for x in grid.xs]
    missing = {
        name: np.isnan(np.concatenate([f[name] for f in columns_of_each]))[np.array(textured)] for name in COLUMNS
    }
    missing["any"] = np.any(list(missing.values()), 0)
    return {name: round(float(v.mean()), 4) for name, v in missing.items() if v.any()}


def row(rows: Figures, column: str, what: str, *some: list[dict[str, np.ndarray]]) -> None:
    """Prints and adds a row: clean against spoilt, AUC for patches and images, the share of images left out."""
    patch = auc(*(judged(column, np.concatenate([f[column] for f in columns_of_each])) for columns_of_each in some))
    whole = auc(*(judged(column, of_images(column, columns_of_each)) for columns_of_each in some))
    limit = next(t for t in THRESHOLDS if t.column == column)
    caught = np.mean([limit.against_images(f[column], np.zeros(len(f[column]), np.int64))[0] for f in some[1]])
    rows.setdefault(column, {})[what] = [round(float(v), 6) for v in (patch, whole, caught)]
    print(f"| {column} | {what} | {patch:.3f} | {whole:.3f} | {caught:.0%} |", flush=True)


def keep(section: str, name: str, figures: Figures) -> None:
    """Adds the figures to those of docs/results/defects.md."""
    kept = json.loads(KEPT.read_text())
    kept[section][name] = figures
    # A list stays on its line.
    text = re.sub(r"\[[^]]*\]", lambda m: re.sub(r"\n *", "", m[0]).replace(",", ", "), json.dumps(kept, indent=1))
    KEPT.write_text(text + "\n")


@click.command()
@click.argument("folders", nargs=-1, required=True)
@click.option("--clean-only", is_flag=True, help="Only what the thresholds leave out of the clean ones.")
@click.option("--gray", "as_gray", is_flag=True, help="Without colour, clean and spoilt.")
@click.option("--without", multiple=True, metavar="NAME", help="An image set aside, by its stem. Repeatable.")
@click.option("--keep", "kept", is_flag=True, help="Put the figures into experiments/results/defects.json.")
def main(folders: tuple[str, ...], clean_only: bool, as_gray: bool, without: tuple[str, ...], kept: bool) -> None:
    """How well the columns of defects tell degraded photographs of FOLDERS from clean ones."""
    last: Callable[[np.ndarray], np.ndarray] = gray if as_gray else np.ascontiguousarray
    for folder in folders:
        images = [(name, image) for name, image in load(folder) if name not in without]
        clean = [columns_of(last(image)) for _, image in images]
        name = "/".join(Path(folder).parts[-2 if folder.endswith("/2") else -1 :])
        name += ", gray" * as_gray + "".join(f", without {n}" for n in without)
        figures: Figures = {"images": len(images), "patches": sum(len(c["noise"]) for c in clean)}
        section = "clean" if clean_only else "spoilt"
        if clean_only:
            figures |= {**left_out(images, clean), "nulls": nulls(images, clean)}
        else:
            rows: Figures = figures.setdefault("rows", {})
            for column, what, spoil in ROWS:
                rng = np.random.default_rng(0)
                row(rows, column, what, clean, [columns_of(last(spoil(image, rng)), column) for _, image in images])
            for kind in ("bicubic", "area, JPEG 90"):
                pairs = [[pair_of(image, kind, moved) for _, image in images] for moved in (0, 1)]
                row(rows, "shift", f"half an LR pixel, LR by {kind}", *pairs)
        print(f"\n## {name}: {figures}", flush=True)
        if kept:
            keep(section, name, figures)


if __name__ == "__main__":
    main()
