"""The hashes of images and of their patches, computed on all cores, with a bar, and kept in a journal.

An image is decoded once, whatever the number of its patches. A run that was interrupted reads what it has finished from
the journal, where an image is known by the hash of its file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from srfast.data import hashing
from srfast.data.images import read_hashed
from srfast.data.shrink import shrunk
from srfast.data.workers import ordered_map
from srfast.errors import InputError
from srfast.runtime.threads import cores
from srfast.scoring.scored import check_inside

JOURNAL = "hashed.jsonl"


@dataclass(frozen=True)
class Wanted:
    """An image, and the patches of it that are hashed."""

    path: Path
    places: Sequence[tuple[Fraction, int, int, int]] = ()
    """(shrink, x, y, size) of each patch."""

    def key(self) -> str:
        text = ";".join(f"{f} {x} {y} {size}" for f, x, y, size in self.places)
        return hashing.of_bytes(text.encode())[:16]


@dataclass(frozen=True)
class Hashed:
    """The hashes of an image and of its patches."""

    sha256: str
    pixels: str
    width: int
    height: int
    patches: tuple[str, ...] = ()


def hash_image(wanted: Wanted) -> Hashed:
    """Decodes an image once, and hashes its file, its pixels and its patches. Raises InputError if it cannot be read,
    or a patch lies outside."""
    whole, digest = read_hashed(wanted.path)
    patches: dict[int, str] = {}
    for factor in sorted({place[0] for place in wanted.places}, reverse=True):
        image = shrunk(whole, float(factor))
        rows = [i for i, place in enumerate(wanted.places) if place[0] == factor]
        x, y, size = (np.array([wanted.places[i][c] for i in rows]) for c in (1, 2, 3))
        check_inside(wanted.path, x, y, size, image.shape[1], image.shape[0])
        for i, left, top, side in zip(rows, x.tolist(), y.tolist(), size.tolist(), strict=True):
            patches[i] = hashing.of_pixels(image[top : top + side, left : left + side])
    in_order = tuple(patches[i] for i in range(len(wanted.places)))
    return Hashed(digest, hashing.of_pixels(whole), whole.shape[1], whole.shape[0], in_order)


def hash_images(
    wanted: Sequence[Wanted], progress: Callable[[int, int, int], None], journal: Path | None = None
) -> Iterator[Hashed | str]:
    """The hashes of images, in order; for one that cannot be read, the reason in words."""
    known = _known(journal)
    file = None if journal is None else open(journal, "a", encoding="utf-8")

    def task(wanted_image: Wanted) -> tuple[bool, Hashed | str]:
        try:
            before = known.get((hashing.of_file(wanted_image.path), wanted_image.key())) if known else None
            return before is None, before or hash_image(wanted_image)
        except InputError as error:
            return False, str(error)

    patches = 0
    try:
        with closing(ordered_map(task, wanted, cores())) as hashes:
            for i, (wanted_image, (fresh, result)) in enumerate(hashes):
                if file is not None and fresh and isinstance(result, Hashed):
                    file.write(json.dumps([wanted_image.key(), *vars(result).values()]) + "\n")
                    file.flush()
                patches += len(wanted_image.places)
                progress(i + 1, len(wanted), patches)
                yield result
    finally:
        if file is not None:
            file.close()


def _known(journal: Path | None) -> dict[tuple[str, str], Hashed]:
    """The hashes that an earlier run has finished; a line that it left unfinished does not count."""
    known: dict[tuple[str, str], Hashed] = {}
    if journal is None or not os.path.isfile(journal):
        return known
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            key, sha256, pixels, width, height, patches = json.loads(line)
            known[sha256, key] = Hashed(str(sha256), str(pixels), int(width), int(height), tuple(map(str, patches)))
        except (ValueError, TypeError):
            continue
    return known


def orientations(pixels: np.ndarray) -> dict[str, str]:
    """The hashes of an image that is turned and mirrored, with what was done in words."""
    hashes: dict[str, str] = {}
    for turns in range(4):
        turned = np.rot90(pixels, turns)
        words = f"turned by {90 * turns} degrees" if turns else ""
        for image, done in ((turned, words), (turned[:, ::-1], f"{words} and mirrored" if words else "mirrored")):
            if done:
                hashes.setdefault(hashing.of_pixels(image), done)
    return hashes
