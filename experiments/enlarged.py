"""The limit of ``upscaled`` for an image: set on some photographs, proven on others.

``python -m experiments.enlarged KIND=FOLDER...``, a folder also as ``FOLDER/2`` for halved, and a kind several times.
Of the kinds that begin with "photographs" the images with an even digest set the limit, by the rule of
``enlarged_rows.least``; all other images prove it. They are cropped to 512 pixels, and photographs that the network
does not know are enlarged. The figures are written to experiments/results/enlarged.json, from which
``python -m experiments.study_page`` writes the tables of docs/defects.md.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import click
import numpy as np
import torch
from PIL import Image

import srfast
from experiments.enlarged_rows import FACTORS, KEPT, KERNELS, LIMITS, QUALITIES, UNSEEN, least
from srfast.data.grid import Grid
from srfast.data.images import ImageFile, find_images, read_rgb
from srfast.errors import InputError
from srfast.ops.defects import COLUMNS, defects

PATCH, SIDE, LEAST = 96, 512, 128
MOST = 2000
"""Files of a folder, about."""
SETS = "photographs"
"""How the kinds begin of which a half sets the limit."""
RATE = 0.001
TAIL = 0.05
"""Share of the means that the exponential tail is fitted to."""
Means = dict[str, float]


def cropped(image: np.ndarray, side: int) -> np.ndarray:
    """The middle of the image, at most this large."""
    y, x = (max(0, n - side) // 2 for n in image.shape[:2])
    return np.ascontiguousarray(image[y : y + side, x : x + side])


def enlarged(image: np.ndarray, factor: float, kernel: str) -> np.ndarray:
    h, w = (round(n * factor) for n in image.shape[:2])
    if kernel.startswith("torch "):
        planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        large = torch.nn.functional.interpolate(planes, (h, w), mode=kernel.removeprefix("torch "))
        return np.ascontiguousarray(large[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy())
    filter_ = Image.Resampling[kernel.removeprefix("Pillow ").upper()]
    return np.array(Image.fromarray(image).resize((w, h), filter_))


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.array(Image.open(data))


def mean(image: np.ndarray) -> float:
    """The mean of ``upscaled`` of the image's patches; NaN if all are flat or the image is smaller than a patch."""
    if min(image.shape[:2]) < PATCH:
        return math.nan
    grid = Grid.over(image.shape[0], image.shape[1], 2, PATCH, PATCH)
    values = defects(image, grid.xs, grid.ys, PATCH)[:, COLUMNS.index("upscaled")]
    known = values[~np.isnan(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else math.nan


def versions(image: np.ndarray, kind: str, sets: bool) -> Iterator[tuple[str, np.ndarray]]:
    """The image as it is, as JPEG if it is a photograph, and enlarged to at most ``SIDE`` if it is ``UNSEEN``."""
    yield "as it is", image
    if kind.startswith(SETS):
        yield from ((f"JPEG {q}", jpeg(image, q)) for q in QUALITIES)
    for factor in FACTORS if kind == UNSEEN and not sets else ():
        small = cropped(image, int(SIDE / factor))
        yield from ((f"{factor:g} {kernel}", enlarged(small, factor, kernel)) for kernel in KERNELS)
        for q in QUALITIES:
            yield f"{factor:g} JPEG {q} before", enlarged(jpeg(small, q), factor, KERNELS[0])
            yield f"{factor:g} JPEG {q} after", jpeg(enlarged(small, factor, KERNELS[0]), q)


def of_file(file: ImageFile, half: bool, kind: str) -> tuple[str, int, Means]:
    """The part that a file belongs to, its digest, and the means of its versions; none if it is small, unreadable or
    flat."""
    torch.set_num_threads(1)
    digest = int(hashlib.sha256(file.path.read_bytes()).hexdigest(), 16)
    sets = kind.startswith(SETS) and digest % 2 == 0
    part = "setting" if sets else kind
    try:
        image = read_rgb(file.path)
    except InputError:
        return part, digest, {}
    if half:
        image = srfast.imresize(cropped(image, 2 * SIDE), 0.5)
    image = cropped(image, SIDE)
    if min(image.shape[:2]) < LEAST or math.isnan(mean(image)):
        return part, digest, {}
    return part, digest, {name: mean(v) for name, v in versions(image, kind, sets)}


def tail(means: list[float]) -> float:
    """The value that a share ``RATE`` of images reaches, by an exponential tail above the quantile 1 - ``TAIL``."""
    values = np.array(means)
    start = float(np.quantile(values, 1 - TAIL))
    return start + float((values[values > start] - start).mean()) * math.log(TAIL / RATE)


def counts(means: list[float]) -> list[int]:
    """How many images there are, and how many are at each of ``LIMITS`` or beyond it."""
    values = np.array([m for m in means if not math.isnan(m)])
    return [len(values), *(int((values >= limit).sum()) for limit in LIMITS)]


@click.command()
@click.argument("pools", nargs=-1, required=True, metavar="KIND=FOLDER...")
def main(pools: tuple[str, ...]) -> None:
    """Set and prove the limit of upscaled on images of each KIND in FOLDER."""
    files: dict[str, list[tuple[ImageFile, bool]]] = defaultdict(list)
    for kind, _, folder in (p.partition("=") for p in pools):
        half = folder.endswith("/2")
        images = find_images(folder.removesuffix("/2"))
        files[kind] += [(f, half) for f in images[:: max(1, len(images) // MOST)]]
    found: dict[str, dict[str, list[float]]] = {}
    with ProcessPoolExecutor(2) as workers:
        for kind, some in files.items():
            every, halves = zip(*some, strict=True)
            seen = set()
            work = partial(of_file, kind=kind)
            for part, digest, means in workers.map(work, every, halves, chunksize=8):
                if digest in seen:
                    continue
                seen.add(digest)
                for name, value in means.items():
                    found.setdefault(part, {}).setdefault(name, []).append(value)
            print(kind, {part: len(v["as it is"]) for part, v in found.items()}, flush=True)
    clean = ("as it is", *(f"JPEG {q}" for q in QUALITIES))
    tails = {name: round(tail(found["setting"][name]), 3) for name in clean}
    figures = {part: {name: counts(v) for name, v in rows.items()} for part, rows in found.items()}
    # A list stays on its line.
    text = json.dumps({"tails": tails, "counts": figures}, indent=1)
    KEPT.write_text(re.sub(r"\[[^]]*\]", lambda m: re.sub(r"\n *", "", m[0]).replace(",", ", "), text) + "\n")
    print(least(), tails)


if __name__ == "__main__":
    main()
