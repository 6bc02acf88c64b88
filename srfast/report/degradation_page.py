"""A sheet of draws of a degradation beside their originals, with their settings in words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np

from srfast.data.files import check_output, output_file
from srfast.data.thumbnails import encoded, uri
from srfast.degradation.operations import Step
from srfast.degradation.plan import Draws
from srfast.degradation.rows import in_words
from srfast.version import VERSION

KIND = "degradation sheet"
IMAGES, DRAWS = 12, 6
"""Largest numbers of images, and of draws of each, on a page."""
SIDE = 288
"""Longest side in HR pixels of what is shown, cut out of the middle."""


@dataclass
class Page:
    """A page that grows row by row."""

    path: Path
    title: str
    lede: Sequence[str]
    inputs: Sequence[Path] = ()
    rows: list[tuple[str, Sequence[tuple[str, str, Sequence[str]]]]] = field(default_factory=list)
    """A title, and figures: what each shows, its source, and lines below it."""
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = field(default_factory=list)
    """A title, the names of columns, and rows."""

    def __post_init__(self) -> None:
        check_output(self.path, KIND, self.inputs)  # before the work begins

    def add(self, name: str, hr: np.ndarray, drawn: Sequence[tuple[np.ndarray, Sequence[Step]]]) -> None:
        """Adds an HR image uint8 [H, W, 3] and its LR images with what was drawn for each."""
        scale = len(hr) // len(drawn[0][0])
        figures = [(f"draw {k}", picture(lr, SIDE // scale), [*map(in_words, s)]) for k, (lr, s) in enumerate(drawn)]
        self.rows.append((name, [("HR", picture(hr, SIDE, scale), []), *figures]))

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


def picture(image: np.ndarray, side: int, unit: int = 1) -> str:
    """The middle of an image, cut at multiples of ``unit`` and at most ``side`` pixels long, as the source of an img
    element."""
    lengths = [(n // unit, min(n, side) // unit) for n in image.shape[:2]]
    y, x = (slice((n - most) // 2 * unit, ((n - most) // 2 + most) * unit) for n, most in lengths)
    return uri(encoded(image[y, x]))
