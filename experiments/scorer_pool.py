"""What the shipped SRCNN is trained on beside photographs as they are: flat tones, ramps, night and clipped light.

Photographs hold hardly any pure black or white, and a network that never saw them takes them for hard. ``python -m
experiments.scorer_pool SOURCE ... --out DIR`` writes, from nothing but the names and pixels of the photographs:

* ``stairs``: every grey from 0 to 255, in steps of 1 that are 6 to 20 pixels wide, with much of black and white
* ``black``, ``white``: one tone each, in several copies: the two ends of the range are the tones that occur most
* ``ramp``: smooth gradients between two greys at any angle, rounded to 8 bits
* ``night``: a photograph times 0.08 to 0.4, from which a part falls below black
* ``clipped``: a photograph times 1.5 to 3, of which a part is above white

``--plain N`` writes the first three kinds N times, so that a training sees them more often.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image

from experiments.degrade import as_bytes, of_name
from srfast.data.images import find_images, read_rgb

SIDE = 192
FLATS = 4
WIDTHS = range(6, 21, 2)
RAMPS = 16
EVERY = 8
"""One of this many photographs is darkened, and another is clipped."""


def stairs(width: int) -> np.ndarray:
    """uint8 [SIDE, w]: greys 0..255, each ``width`` pixels wide, and ``SIDE`` pixels of black and of white."""
    line = np.repeat(np.arange(256, dtype=np.uint8), width)
    ends = [np.full(SIDE, grey, np.uint8) for grey in (0, 255)]
    return np.tile(np.concatenate([ends[0], line, ends[1]]), (SIDE, 1))


def ramp(rng: np.random.Generator) -> np.ndarray:
    """uint8 [SIDE, SIDE]: a plane between two greys."""
    low, high = rng.uniform(0, 255, 2)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
    along = (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2) + 0.5
    return as_bytes(low + (high - low) * along)


def night(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A darkened photograph, uint8 of the same shape; at most 8 grey levels are lost below black."""
    return as_bytes(image * rng.uniform(0.08, 0.4) - rng.uniform(0, 8))


def clipped(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An overexposed photograph, uint8 of the same shape."""
    return as_bytes(image * rng.uniform(1.5, 3))


def write(sources: Sequence[str], out: Path, plain: int = 1) -> int:
    """Writes the images into a folder that must not be there; returns how many there are."""
    made = {f"stairs_{w}_{k}": stairs(w) for w in WIDTHS for k in range(plain)}
    for i in range(FLATS * plain):
        made |= {f"{name}_{i}": np.full((SIDE, SIDE), grey, np.uint8) for name, grey in (("black", 0), ("white", 255))}
    made |= {f"ramp_{i:02}": ramp(of_name(f"ramp {i}")) for i in range(RAMPS * plain)}
    for i, file in enumerate(find_images(sources)):
        for k, change in ((0, night), (EVERY // 2, clipped)):
            if i % EVERY == k:
                stem = Path(file.path).stem
                made[f"{change.__name__}_{stem}"] = change(read_rgb(file.path), of_name(f"{change.__name__} {stem}"))
    out.mkdir(parents=True)
    for name, image in made.items():
        Image.fromarray(image).save(out / f"{name}.png", compress_level=1)
    return len(made)


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--out", type=Path, required=True)
@click.option("--plain", type=int, default=1, help="Times that plain images are written.")
def main(sources: tuple[str, ...], out: Path, plain: int) -> None:
    """Write what the shipped SRCNN is trained on beside the photographs of the folders SOURCES."""
    print(f"{write(sources, out, plain)} images in {out}")


if __name__ == "__main__":
    main()
