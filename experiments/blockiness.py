"""The column ``blockiness``: what it costs beside the scores, and how it follows the quality of JPEG files.

``OMP_NUM_THREADS=1 PYTHONSAFEPATH=1 python experiments/blockiness.py FOLDER`` of images, with the installed srfast.
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import spearmanr

from srfast.data.grid import Grid
from srfast.data.images import find_images, read_rgb
from srfast.ops.blockiness import blockiness
from srfast.scoring.backends.choice import make_engine
from srfast.scoring.network import load_network
from srfast.scoring.settings import PRECISIONS, ScoreSettings

QUALITIES = (95, 75, 50, 30, 10)
PATCH = 96
ROUNDS = 5


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


def main(folder: Path) -> None:
    photos = [read_rgb(file.path) for file in find_images(folder)]
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
