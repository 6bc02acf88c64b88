"""The columns of ``score --defects``, in the order of the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column, and how it is described to a reader; ``srfast.ops.defects`` has the definitions."""

    name: str
    unit: str
    tells: str
    pair: bool = False
    """Whether it is about an HR patch and its given LR patch, and exists only with ``lr_images``."""


COLUMNS = (
    Column("noise", "grey levels", "standard deviation of white noise in the luma"),
    Column("blur", "pixels", "standard deviation of the Gaussian that its sharpest edges look blurred by"),
    Column("upscaled", "factor", "how much it was enlarged; 1: not"),
    Column("jpeg", "quality", "the lowest quality of JPEG in the file and in the pixels of the image; null: no trace"),
    Column("blockiness", "%", "how much JPEG's blocks stand out"),
    Column("overlay", "%", "probability of text, marks and drawn lines"),
    Column("banding", "%", "of tiles that are smooth ramps with lost levels"),
    Column("clipped", "%", "of saturated pixels"),
    Column("border", "%", "of pixels in constant margins"),
    Column("halo", "%", "probability of over-sharpened edges"),
    Column("shift", "LR pixels", "how far the LR patch lies off the HR patch", pair=True),
    Column("colour", "grey levels", "greatest mean difference of a channel between the LR and the HR patch", pair=True),
)


def names(pair: bool) -> tuple[str, ...]:
    """Names of the columns of a table, with or without those of pairs."""
    return tuple(c.name for c in COLUMNS if pair or not c.pair)
