"""Names of exported patches that every trainer accepts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from pathlib import PurePosixPath

_LONGEST = 120
"""Largest number of characters of an image's part of a name: a file name has at most 255 bytes, an LMDB key 511."""


def image_names(images: Sequence[str], sizes: Sequence[Fraction] | None = None) -> list[str]:
    """A name for each image path, made of letters, digits, ``_`` and ``-``, and unique even without regard to case.

    Folders are part of the name; accents are dropped, and any other character becomes ``_``. The second image with a
    name gets ``-2``, and so on, in the order of ``images``. The name of a shrunk image ends in ``_1of2`` (half),
    ``_3of4``, ...
    """
    taken: set[str] = set()
    names = []
    for image, size in zip(images, sizes or [Fraction(1)] * len(images), strict=True):
        plain = unicodedata.normalize("NFKD", PurePosixPath(image).with_suffix("").as_posix())
        plain = "".join(c for c in plain if not unicodedata.combining(c))
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", plain)[-_LONGEST:].strip("_-") or "image"
        if size != 1:
            plain += f"_{size.numerator}of{size.denominator}"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names
