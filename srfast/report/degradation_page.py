"""A sheet of draws of a degradation beside their originals, with their settings in words."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np

from srfast.data.files import check_output, output_file
from srfast.degradation.operations import Step
from srfast.degradation.plan import Draws
from srfast.degradation.rows import in_words
from srfast.report.pictures import encoded, uri
from srfast.version import VERSION

KIND = "degradation sheet"
IMAGES, DRAWS = 12, 6
"""Largest numbers of images, and of draws of each, on a page."""
SIDE = 288
"""Longest side in HR pixels of what is shown, cut out of the middle."""


@dataclass(frozen=True)
class Figure:
    title: str
    source: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    title: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class PageTable:
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Page:
    """A page that grows row by row."""

    path: Path
    title: str
    lede: Sequence[str]
    inputs: Sequence[Path] = ()
    rows: list[Row] = field(default_factory=list)
    tables: list[PageTable] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_output(self.path, KIND, self.inputs)  # before the work begins

    def add(self, name: str, hr: np.ndarray, drawn: Iterable[tuple[np.ndarray, Sequence[Step]]]) -> None:
        """Adds an HR image uint8 [H, W, 3] and its LR images with what was drawn for each."""
        h, w = hr.shape[:2]
        figures: list[Figure] = []
        for k, (lr, steps) in enumerate(drawn):
            scale = h // lr.shape[0]
            x, y, width, height = _middle(w // scale, h // scale, SIDE // scale)
            if not figures:
                cut = hr[y * scale : (y + height) * scale, x * scale : (x + width) * scale]
                figures.append(Figure("HR", uri(encoded(cut))))
            seen = uri(encoded(lr[y : y + height, x : x + width]))
            figures.append(Figure(f"draw {k}", seen, tuple(map(in_words, steps))))
        self.rows.append(Row(name, tuple(figures)))

    def write(self) -> None:
        template = (Path(__file__).with_name("page") / "sheet.html").read_text(encoding="utf-8")
        page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(template)
        with output_file(self.path, KIND, self.inputs) as temporary:
            temporary.write_text(page.render(vars(self), version=VERSION), encoding="utf-8")


def sheet(path: str | os.PathLike[str], draws: Draws, scale: int, inputs: Sequence[Path]) -> Page:
    """The page of ``srfast degrade --show``."""
    d = draws.degradation
    lede = [
        f"Draws of {d.title or d.name} at x{scale} with the seed {draws.seed}. The HR image stands first, cut to its "
        "middle; LR images are shown as large. The operations below each were carried out in this order.",
    ]
    if d.source:
        lede.append(f"The settings are those of {d.source}.")
    return Page(Path(path), f"Degradation: {d.title or d.name}", lede, inputs)


def _middle(w: int, h: int, side: int) -> tuple[int, int, int, int]:
    """x, y, width and height of the middle of an image, at most ``side`` long."""
    width, height = min(w, side), min(h, side)
    return (w - width) // 2, (h - height) // 2, width, height


def picture(image: np.ndarray, side: int) -> str:
    """The middle of an image, at most ``side`` pixels long, as the source of an img element."""
    x, y, width, height = _middle(image.shape[1], image.shape[0], side)
    return uri(encoded(image[y : y + height, x : x + width]))
