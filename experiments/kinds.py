"""A pool of three kinds of images, and unseen images of each, for studies/target.toml and experiments/datamodels.py.

``python -m experiments.kinds BSDS400 NEBULAE OUT`` writes

* ``OUT/pool/KIND``: 300 photographs, 60 documents and 40 pictures of the sky (69, 14 and 17 % of the patches)
* ``OUT/target/KIND``: 20 images of each kind that no selection chooses from
* ``OUT/test/KIND``: 30 images of each kind that are in neither

Photographs are those of BSDS400. Documents are made here from the fonts that come with Matplotlib and Pillow, the SVG
icons of a folder (``--icons``, Debian's adwaita-icon-theme) and Matplotlib's plots: pages of text, tables, sheets of
icons, line art and plots, 480 x 320 pixels. The sky is what Stellarium ships of it (Debian's stellarium-data,
``usr/share/stellarium/nebulae/default``): the middle 512 x 512 pixels of photographs through telescopes. Which image
goes where, and all of a document, follows from its name. It needs matplotlib and resvg-py.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import matplotlib
import numpy as np
import resvg_py
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from experiments.degrade import WORDS, of_name

WIDTH, HEIGHT = 480, 320
COUNTS = {
    "photographs": {"pool": 300, "target": 20, "test": 30},
    "documents": {"pool": 60, "target": 20, "test": 30},
    "sky": {"pool": 40, "target": 20, "test": 30},
}
SMALLEST = 512
"""Pixels a side of a picture of the sky."""
INKS = ((0, 0, 0), (0, 0, 0), (40, 40, 40), (20, 40, 120), (130, 20, 20))
PAPERS = ((255, 255, 255), (255, 255, 255), (250, 246, 235), (236, 240, 245), (30, 32, 36))
_OVER = 4
"""Line art is drawn that much larger and reduced by means."""

Draw = Callable[[np.random.Generator, Sequence[Path]], Image.Image]


def document(name: str, icons: Sequence[Path]) -> Image.Image:
    """The document of that name, RGB, WIDTH x HEIGHT."""
    rng = of_name(name)
    return PAGES[int(rng.integers(len(PAGES)))](rng, icons)


def _text(rng: np.random.Generator, icons: Sequence[Path]) -> Image.Image:
    page, ink = _sheet(rng)
    pen, font = ImageDraw.Draw(page), _font(rng)
    columns, size, x = int(rng.integers(1, 4)), font.size, 16
    width = (WIDTH - 32) // columns
    for _ in range(columns):
        y = 12
        while y < HEIGHT:
            line, word = "", str(rng.choice(WORDS))
            while pen.textlength(line + word, font=font) < width - 12:
                line, word = f"{line}{word} ", str(rng.choice(WORDS))
            if rng.random() > 0.12:  # else the end of a paragraph
                pen.text((x, y), line, fill=ink, font=font)
            y += round(1.35 * size)
        x += width
    return page


def _table(rng: np.random.Generator, icons: Sequence[Path]) -> Image.Image:
    page, ink = _sheet(rng)
    pen, font = ImageDraw.Draw(page), _font(rng, 9, 17)
    down, across = round(font.size * 1.7), int(rng.integers(60, 130))
    for top in range(10, HEIGHT, down):
        pen.line((10, top, WIDTH - 10, top), fill=ink, width=1)
        for left in range(10, WIDTH - across // 2, across):
            word = str(rng.choice(WORDS)) if left == 10 or top == 10 else f"{rng.normal(0, 300):.2f}"
            pen.text((left + 4, top + 2), word[: across // 8], fill=ink, font=font)
    for left in range(10, WIDTH, across):
        pen.line((left, 10, left, HEIGHT), fill=ink, width=int(rng.integers(1, 3)))
    return page


def _icons(rng: np.random.Generator, icons: Sequence[Path]) -> Image.Image:
    page, _ = _sheet(rng, dark=False)
    side = int(rng.choice([32, 48, 64, 96]))
    step = side + int(rng.integers(6, 20))
    for y in range(8, HEIGHT, step):
        for x in range(8, WIDTH, step):
            drawn = resvg_py.svg_to_bytes(svg_path=str(icons[int(rng.integers(len(icons)))]), width=side, height=side)
            icon = Image.open(io.BytesIO(bytes(drawn))).convert("RGBA")
            page.paste(icon, (x, y), icon)
    return page


def _lines(rng: np.random.Generator, icons: Sequence[Path]) -> Image.Image:
    small, ink = _sheet(rng)
    page = Image.new("RGB", (WIDTH * _OVER, HEIGHT * _OVER), small.getpixel((0, 0)))
    pen = ImageDraw.Draw(page)

    def point() -> tuple[float, float]:
        return float(rng.uniform(0, page.width)), float(rng.uniform(0, page.height))

    for _ in range(int(rng.integers(12, 40))):
        width, kind, (x, y) = int(rng.integers(_OVER // 2, 3 * _OVER)), rng.integers(4), point()
        reach = float(rng.uniform(20, 90)) * _OVER
        if kind == 0:
            pen.line([point() for _ in range(int(rng.integers(2, 5)))], fill=ink, width=width, joint="curve")
        elif kind == 1:
            pen.ellipse((x, y, x + reach, y + reach * rng.uniform(0.5, 1)), outline=ink, width=width)
        elif kind == 2:
            start, end = sorted(rng.uniform(0, 360, 2))
            pen.arc((x, y, x + 2 * reach, y + reach), start, end, fill=ink, width=width)
        else:  # hatched
            slope = rng.uniform(-1, 1)
            for i in range(int(rng.integers(5, 25))):
                left = x + i * 3 * width
                pen.line((left, y, left + slope * reach, y + reach), fill=ink, width=width)
    return page.reduce(_OVER)


def _plot(rng: np.random.Generator, icons: Sequence[Path]) -> Image.Image:
    with matplotlib.rc_context({"font.size": float(rng.uniform(6, 11)), "lines.linewidth": float(rng.uniform(0.6, 2))}):
        figure = Figure((WIDTH / 100, HEIGHT / 100), dpi=100, layout="tight")
        canvas = FigureCanvasAgg(figure)
        for axes in np.ravel(figure.subplots(1, int(rng.integers(1, 3)))):
            kind = rng.integers(5)
            if kind == 0:
                axes.plot(rng.normal(size=(80, int(rng.integers(1, 5)))).cumsum(0))
                axes.grid(rng.random() < 0.5)
            elif kind == 1:
                axes.scatter(*rng.normal(size=(2, 120)), s=rng.uniform(3, 30), marker=str(rng.choice([*"ox+s^"])))
            elif kind == 2:
                axes.bar(range(12), rng.random(12), color=f"C{rng.integers(9)}", edgecolor="black")
            elif kind == 3:
                axes.contour(np.add.outer(np.sin(rng.normal(size=3) @ _waves()), np.cos(rng.normal(size=3) @ _waves())))
            else:
                axes.step(range(60), rng.random(60).cumsum(), where="mid")
                axes.semilogy()
            axes.set_title(" ".join(rng.choice(WORDS, 3)))
            axes.set_xlabel(str(rng.choice(WORDS)))
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


PAGES: tuple[Draw, ...] = (_text, _text, _table, _icons, _lines, _plot)


def _waves() -> np.ndarray:
    return np.vander(np.linspace(-2, 2, 40), 3).T


def _sheet(rng: np.random.Generator, dark: bool = True) -> tuple[Image.Image, tuple[int, int, int]]:
    """Paper, and the ink for it."""
    paper = PAPERS[int(rng.integers(len(PAPERS) - (not dark)))]
    ink = (225, 225, 220) if sum(paper) < 300 else INKS[int(rng.integers(len(INKS)))]
    return Image.new("RGB", (WIDTH, HEIGHT), paper), ink


def _font(rng: np.random.Generator, smallest: int = 9, largest: int = 27) -> ImageFont.FreeTypeFont:
    """One of the fonts with Latin letters that come with Matplotlib."""
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    files = sorted(f for f in folder.glob("DejaVu*.ttf") if "Display" not in f.name)
    files += [
        Path(font_manager.findfont(name, fallback_to_default=False)) for name in ("STIXGeneral", "cmr10", "cmss10")
    ]
    return ImageFont.truetype(str(files[int(rng.integers(len(files)))]), int(rng.integers(smallest, largest)))


def dealt(files: Sequence[Path], counts: dict[str, int]) -> dict[str, list[Path]]:
    """So many of the files for each purpose, by their digests."""
    order = sorted(files, key=lambda f: hashlib.sha256(f"dealt 0 {f.stem}".encode()).digest())
    if len(order) < sum(counts.values()):
        raise SystemExit(f"expected at least {sum(counts.values())} images, got {len(order)}")
    parts, done = {}, 0
    for purpose, count in counts.items():
        parts[purpose] = sorted(order[done : done + count])
        done += count
    return parts


def write(photographs: Path, sky: Path, icons: Path, out: Path) -> None:
    """Writes the three folders; they must not be there."""
    drawn = sorted(f for f in icons.rglob("*.svg") if not f.is_symlink())
    of_sky = [f for f in sorted(sky.glob("*.png")) if min(Image.open(f).size) >= SMALLEST]
    sources = {"photographs": sorted(photographs.glob("*.png")) or sorted(photographs.glob("*.jpg")), "sky": of_sky}
    for kind, counts in COUNTS.items():
        for purpose in counts:
            (out / purpose / kind).mkdir(parents=True)
        if kind == "documents":
            for purpose, count in counts.items():
                for i in range(count):
                    name = f"{purpose}-{i:03d}"
                    document(name, drawn).save(out / purpose / kind / f"{name}.png")
            continue
        for purpose, files in dealt(sources[kind], counts).items():
            for file in files:
                if kind == "photographs":
                    shutil.copyfile(file, out / purpose / kind / file.name)
                else:
                    _middle(Image.open(file).convert("RGB")).save(out / purpose / kind / file.name)


def _middle(image: Image.Image) -> Image.Image:
    """SMALLEST x SMALLEST pixels of it."""
    left, top = (image.width - SMALLEST) // 2, (image.height - SMALLEST) // 2
    return image.crop((left, top, left + SMALLEST, top + SMALLEST))


@click.command()
@click.argument("photographs", type=Path)
@click.argument("sky", type=Path)
@click.argument("out", type=Path)
@click.option("--icons", type=Path, default="/usr/share/icons/Adwaita")
def main(photographs: Path, sky: Path, out: Path, icons: Path) -> None:
    """Write a pool of three kinds of images: of the folder of BSDS400, and of stellarium's nebulae/default."""
    write(photographs, sky, icons, out)


if __name__ == "__main__":
    main()
