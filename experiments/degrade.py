"""Made defects: the one place that spoils photographs, for the studies of dirty pools and for what finds defects.

JPEG is that of ``srfast.degradation``. The other operations define the bytes of published pools and of shipped weights
(experiments/README.md), so that they stay those of SciPy and Pillow.

``degrade(image, kind, strength, rng)`` spoils one image; ``pool(source, out, ...)`` spoils a part of a folder, and
``python -m experiments.degrade SOURCE OUT --kind upscaled --share 0.75`` is the same. Everything follows from the names
of the images: which of them are spoilt (a smaller share lies in every larger one), how, and how much.

* ``upscaled``: reduced by ``strength`` (2, 3, 4) with an antialiased filter (``down``) and enlarged to the old size by
  ``kernel``: nearest, bilinear, bicubic, lanczos; ``after``: the quality of a JPEG saved of it afterwards, 0 for none
* ``noise``: white Gaussian noise of standard deviation ``strength`` in grey levels, in each channel (``colour``) or the
  same in all
* ``jpeg``: saved with quality ``strength`` and read again; ``shift``: (x, y) by which the 8-pixel grid is off the
  image's corner; ``again``: the quality of a second saving, on the grid, 0 for none; ``subsampling``: of the chroma
* ``blur``: Gaussian of standard deviation ``strength`` pixels, or, with ``shape`` "motion", the mean along a line of
  ``strength`` pixels at ``angle`` degrees
* ``overlay``: lines of text, ``strength`` pixels high, ``opacity`` in (0, 1], ``lines`` of them
* ``halo``: an unsharp mask of ``strength`` (1.5 is 150 %) and ``radius`` pixels
* ``wild``: one of the above, sometimes two, as a folder collected from everywhere has them (``WILD``)
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

import srfast
from srfast.data.images import find_images, read_rgb
from srfast.degradation.carrying_out import carry_out

KERNELS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
FACTORS = (2, 3, 4)
INKS = np.array([[255, 255, 255], [0, 0, 0], [255, 230, 0], [220, 20, 20]], np.float32)
WORDS = (
    "sample proof copyright stock photo preview Menu File Edit View 2019-06-14 18:32 www.example.com breaking news the "
    "quick brown fox jumps over the lazy dog ALL RIGHTS RESERVED $ 4.99 subscribe 1080p REC 00:12:41 Untitled-1"
).split()
WILD = (
    (("upscaled",), 0.4),
    (("jpeg",), 0.2),
    (("blur",), 0.1),
    (("noise",), 0.1),
    (("upscaled", "jpeg"), 0.1),
    (("halo",), 0.05),
    (("overlay",), 0.05),
)
"""Kinds, one after the other, and how often: soft and compressed images are what such folders hold most of."""

Options = dict[str, Any]


def degrade(
    image: np.ndarray, kind: str, strength: float | None = None, rng: np.random.Generator | None = None, **options: Any
) -> np.ndarray:
    """An image, spoilt.

    Args:
        image: uint8 [H, W, 3], RGB.
        kind: One of ``KINDS``.
        strength: See the head of this module; None draws it.
        rng: What strength and options that are not given are drawn by, and the noise. None: from seed 0.
        options: See the head of this module.

    Returns:
        uint8 [H, W, 3], a new array.
    """
    return described(image, kind, strength, rng, **options)[0]


def described(
    image: np.ndarray, kind: str, strength: float | None = None, rng: np.random.Generator | None = None, **options: Any
) -> tuple[np.ndarray, list[tuple[str, float, Options]]]:
    """``degrade`` and what was done: kind, strength and options, one after the other."""
    rng = rng or np.random.default_rng(0)
    if kind == "wild":
        kinds = WILD[rng.choice(len(WILD), p=[p for _, p in WILD])][0]
        done: list[tuple[str, float, Options]] = []
        for one in kinds:
            image, what = described(image, one, None, rng)
            done += what
        return image, done
    draw, apply = KINDS[kind]
    drawn, own = draw(rng)
    unknown = set(options) - set(own)
    if unknown:
        raise ValueError(f"{kind}: no option {', '.join(sorted(unknown))}; there are {', '.join(own)}")
    strength = drawn if strength is None else strength
    return apply(image, strength, rng, **{**own, **options}), [(kind, strength, {**own, **options})]


def _upscaled(
    image: np.ndarray, factor: float, rng: np.random.Generator, kernel: str, down: str, after: int
) -> np.ndarray:
    height, width = image.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    there = Image.fromarray(image).resize(small, KERNELS[down])
    back = np.asarray(there.resize((width, height), KERNELS[kernel]))
    return _saved(back, after) if after else back


def _noise(image: np.ndarray, sigma: float, rng: np.random.Generator, colour: bool) -> np.ndarray:
    noise = rng.normal(0, sigma, (*image.shape[:2], 3 if colour else 1))
    return as_bytes(image + noise)


def _jpeg(
    image: np.ndarray,
    quality: float,
    rng: np.random.Generator,
    shift: tuple[int, int],
    again: int,
    subsampling: int,
) -> np.ndarray:
    x, y = shift
    height, width = image.shape[:2]
    padded = np.pad(image, ((y, 0), (x, 0), (0, 0)), mode="reflect" if min(height, width) > 8 else "edge")
    once = _saved(padded, int(quality), subsampling)[y:, x:]
    return _saved(once, again, subsampling) if again else once


def _saved(image: np.ndarray, quality: int, subsampling: int = 2) -> np.ndarray:
    """As a JPEG of that quality (libjpeg's tables); subsampling 0: 4:4:4, 1: 4:2:2, 2: 4:2:0."""
    step = {"operation": "jpeg", "quality": quality, "subsampling": ("444", "422", "420")[subsampling]}
    return carry_out(np.ascontiguousarray(image), [step], np.zeros(4, np.uint32))


def _blur(image: np.ndarray, strength: float, rng: np.random.Generator, shape: str, angle: float) -> np.ndarray:
    whole = image.astype(np.float32)
    if shape == "gaussian":
        return as_bytes(ndimage.gaussian_filter(whole, (strength, strength, 0), mode="nearest"))
    reach = int(np.ceil(strength / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for t in np.linspace(-strength / 2, strength / 2, 16 * (2 * reach + 1)):
        y, x = reach + t * np.sin(np.radians(angle)), reach + t * np.cos(np.radians(angle))
        kernel[round(y), round(x)] += 1
    kernel /= kernel.sum()
    planes = [ndimage.convolve(whole[..., c], kernel, mode="nearest") for c in range(whole.shape[2])]
    return as_bytes(np.stack(planes, -1))


def _overlay(image: np.ndarray, size: float, rng: np.random.Generator, opacity: float, lines: int) -> np.ndarray:
    share = text_share(image, ImageFont.load_default(size), size, opacity, lines, rng)
    return as_bytes(image * (1 - share) + rng.choice(INKS) * share)


def text_share(
    image: np.ndarray, font: Any, size: float, opacity: float, lines: int, rng: np.random.Generator
) -> np.ndarray:
    """float32 [H, W, 1]: how much of each pixel lines of text cover, drawn at random places."""
    height, width = image.shape[:2]
    alpha = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(alpha)
    for _ in range(lines):
        text = " ".join(rng.choice(WORDS, int(rng.integers(2, 7))))
        room = max(1, int(width - pen.textlength(text, font=font)))
        place = (int(rng.integers(0, room)), int(rng.integers(0, max(1, int(height - 1.3 * size)))))
        pen.text(place, text, fill=round(255 * opacity), font=font)
    return np.asarray(alpha, np.float32)[..., None] / 255


def _halo(image: np.ndarray, amount: float, rng: np.random.Generator, radius: float) -> np.ndarray:
    mask = ImageFilter.UnsharpMask(radius, round(100 * amount), 0)
    return np.asarray(Image.fromarray(image).filter(mask))


def as_bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


Draw = Callable[[np.random.Generator], tuple[float, Options]]


def _draw_upscaled(rng: np.random.Generator) -> tuple[float, Options]:
    return float(rng.choice(FACTORS)), {"kernel": str(rng.choice(list(KERNELS))), "down": "bicubic", "after": 0}


def _draw_compressed(rng: np.random.Generator) -> tuple[float, Options]:
    strength, options = _draw_upscaled(rng)
    return strength, {**options, "after": int(rng.integers(70, 96))}


def _draw_noise(rng: np.random.Generator) -> tuple[float, Options]:
    return float(rng.uniform(8, 25)), {"colour": bool(rng.random() < 0.5)}


def _draw_jpeg(rng: np.random.Generator) -> tuple[float, Options]:
    off = tuple(int(v) for v in rng.integers(0, 8, 2)) if rng.random() < 0.5 else (0, 0)
    return float(rng.integers(10, 41)), {"shift": off, "again": 0, "subsampling": 2}


def _draw_blur(rng: np.random.Generator) -> tuple[float, Options]:
    motion, angle = bool(rng.random() < 0.3), float(rng.uniform(0, 180))
    strength = rng.uniform(5, 15) if motion else rng.uniform(1.2, 3)
    return float(strength), {"shape": "motion" if motion else "gaussian", "angle": angle}


def _draw_overlay(rng: np.random.Generator) -> tuple[float, Options]:
    return float(rng.integers(9, 31)), {
        "opacity": 1.0 if rng.random() < 0.5 else 0.5,
        "lines": int(rng.integers(4, 16)),
    }


def _draw_halo(rng: np.random.Generator) -> tuple[float, Options]:
    return float(rng.uniform(1.5, 4)), {"radius": float(rng.uniform(1, 3))}


KINDS: dict[str, tuple[Draw, Callable[..., np.ndarray]]] = {
    "upscaled": (_draw_upscaled, _upscaled),
    "upscaled-compressed": (_draw_compressed, _upscaled),
    "noise": (_draw_noise, _noise),
    "jpeg": (_draw_jpeg, _jpeg),
    "blur": (_draw_blur, _blur),
    "overlay": (_draw_overlay, _overlay),
    "halo": (_draw_halo, _halo),
}
"""How what is not given is drawn, and what does it. ``wild`` is a mixture of these."""


def of_name(name: str, seed: int = 0) -> np.random.Generator:
    """The generator of an image: the same wherever it lies and whatever lies beside it."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def spoilt(names: list[str], share: float, seed: int = 0) -> set[str]:
    """The names of the images that are spoilt: that share of them, those of the smallest digests."""
    order = sorted(names, key=lambda n: hashlib.sha256(f"which {seed} {n}".encode()).digest())
    return set(order[: int(share * len(names) + 0.5)])


def pool(source: str | Path, out: str | Path, kind: str, share: float, shrink: Fraction = Fraction(1)) -> int:
    """Writes a folder of images, a share of them spoilt, all of them as PNG; returns how many are spoilt.

    They lie in ``OUT/clean`` and ``OUT/spoilt``, so that ``--where "image like 'clean/%'"`` knows what no method may.
    ``OUT.csv`` beside the folder says of every image what was done: image, kind ("clean": nothing), strength, options.

    Args:
        source: A folder of images; files are read as srfast reads them.
        out: The folder, which must not be there.
        kind: One of ``KINDS``, "wild", or "clean" for none.
        share: Of the images that are spoilt.
        shrink: Every image is reduced to this size first, by ``srfast.imresize``.
    """
    files = [Path(f.path) for f in find_images([str(source)])]
    out = Path(out)
    for part in ("clean", "spoilt"):
        (out / part).mkdir(parents=True)
    chosen = spoilt([f.stem for f in files], 0 if kind == "clean" else share)
    with open(out.with_suffix(".csv"), "w", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["image", "kind", "strength", "options"])
        for file in files:
            image = read_rgb(str(file))
            if shrink != 1:
                image = srfast.imresize(image, float(shrink))
            done: list[tuple[str, float, Options]] = []
            if file.stem in chosen:
                image, done = described(image, kind, None, of_name(file.stem))
            place = out / ("spoilt" if done else "clean")
            Image.fromarray(image).save(place / f"{file.stem}.png", compress_level=1)
            for one, how_much, how in done or [("clean", 0.0, {})]:
                writer.writerow([file.stem, one, how_much, json.dumps(how)])
    return len(chosen)


@click.command()
@click.argument("source")
@click.argument("out")
@click.option("--kind", type=click.Choice([*KINDS, "wild", "clean"]), default="clean")
@click.option("--share", type=float, default=0.5, show_default=True, help="Of the images that are spoilt.")
@click.option("--shrink", type=Fraction, default="1", help="Every image to this size first, as 1/2.")
def main(source: str, out: str, kind: str, share: float, shrink: Fraction) -> None:
    """Spoil a share of a folder's images."""
    print(f"{pool(source, out, kind, share, shrink)} images spoilt in {out}")


if __name__ == "__main__":
    main()
