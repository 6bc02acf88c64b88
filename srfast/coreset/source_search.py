"""The images of a manifest among somebody's files: what is found, what each of the others lacks, and their hashes.

Hashes are computed on all cores and kept in a journal. An image is decoded once, whatever the number of its patches,
and known in the journal by the hash of its file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from srfast.coreset.limits import by_value
from srfast.coreset.manifest import ManifestRows
from srfast.data import hashing
from srfast.data.images import ImageFile, image_size, read_hashed, read_rgb
from srfast.data.shrink import shrunk
from srfast.data.workers import ordered_map
from srfast.errors import InputError
from srfast.runtime.threads import cores
from srfast.scoring.scored import check_inside


@dataclass(frozen=True)
class Problem:
    """An image that is not there as the manifest has it."""

    name: str
    """Its name in the manifest."""
    kind: str
    """missing, twice, pixels, size, orientation, unreadable or decoder."""
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def each_once(files: list[ImageFile]) -> list[ImageFile]:
    """The files, each once, whatever the links that lead to it."""
    seen: dict[Any, ImageFile] = {}
    for file in files:
        state = os.stat(file.path)
        seen.setdefault((state.st_dev, state.st_ino), file)
    return list(seen.values())


class Search:
    """The images of a manifest among files."""

    def __init__(self, rows: ManifestRows, files: list[ImageFile], progress: Callable[[int, int, int], None]) -> None:
        used = set(rows.column("source").tolist())
        self.rows, self.progress = rows, progress
        self.wanted: dict[int, dict[str, Any]] = {
            r["source"]: r for r in rows.sources.to_pylist() if r["source"] in used
        }
        self.at: dict[int, ImageFile] = {}
        """The file of each source that was found."""
        self.problems: dict[int, Problem] = {}
        self.groups: dict[str, list[dict[str, Any]]] = {}
        for source in self.wanted.values():
            self.groups.setdefault(source["pixels_sha256"], []).append(source)
        left = self._by_contents(files)
        known = {*self.at, *self.problems}
        if lacking := {pixels for pixels, group in self.groups.items() if not known >= {s["source"] for s in group}}:
            self._by_pixels(lacking, left)

    def _by_contents(self, files: list[ImageFile]) -> list[ImageFile]:
        """Finds images by the size and the hash of their files; returns the files that none has."""
        sizes = {source["bytes"] for source in self.wanted.values()}
        pixels_of = {source["sha256"]: source["pixels_sha256"] for source in self.wanted.values()}
        likely = [file for file in files if file.size in sizes]
        left = [file for file in files if file.size not in sizes]
        matches: dict[str, list[ImageFile]] = {}
        for file, digest in self._each(_hash, likely):
            pixels = pixels_of.get(digest)
            (left if pixels is None else matches.setdefault(pixels, [])).append(file)
        self._assign(matches)
        return left

    def _each(self, look: Callable[[ImageFile], Any], files: list[ImageFile]) -> Iterator[tuple[ImageFile, Any]]:
        with closing(ordered_map(look, files, cores())) as results:
            for done, (file, result) in enumerate(results, 1):
                self.progress(done, len(files), done)
                yield file, result

    def _assign(self, matches: dict[str, list[ImageFile]]) -> None:
        """Gives each image, by the hash of its pixels, a file of its own, one of its name first."""
        for pixels, rest in matches.items():
            group = self.groups[pixels]
            for source in sorted(group, key=lambda s: str(s["name"])):
                if rest and source["source"] not in self.at:
                    file = next((f for f in rest if _stem(f.name) == _stem(source["name"])), rest[0])
                    rest.remove(file)
                    self.at[source["source"]] = file
            if rest:
                self._problem(group[0], "twice", f"occurs twice: {self.at[group[0]['source']].name} and "
                              f"{rest[0].name}; leave one out")  # fmt: skip

    def _problem(self, source: dict[str, Any], kind: str, reason: str) -> None:
        self.problems[source["source"]] = Problem(source["name"], kind, reason)

    def _by_pixels(self, lacking: set[str], left: list[ImageFile]) -> None:
        """Finds images among files of their width and height by their pixels, and says what the others lack."""
        shapes = {(s["width"], s["height"]) for pixels in lacking for s in self.groups[pixels]}
        turned: dict[str, str] = {}
        matches: dict[str, list[ImageFile]] = {}
        looks: dict[str, list[_Look]] = {}
        for file, look in self._each(partial(_look, shapes, lacking), left):
            looks.setdefault(_stem(file.name), []).append(look)
            if look.pixels in lacking and look.words:
                turned[look.pixels] = f"{file.name} is the image {look.words}"
            elif look.pixels in lacking:
                matches.setdefault(look.pixels, []).append(file)
        self._assign(matches)
        for pixels in lacking:
            at = [self.at[s["source"]].name for s in self.groups[pixels] if s["source"] in self.at]
            for source in self.groups[pixels]:
                if source["source"] in self.at:
                    continue
                if at:
                    reason = f"is missing: the manifest has its pixels {len(self.groups[pixels])} times, {at[0]} is one"
                    self._problem(source, "missing", reason)
                elif pixels in turned:
                    self._problem(source, "orientation", turned[pixels])
                else:
                    self._problem(source, *_lack(source, looks.get(_stem(source["name"]), [])))

    def verified(
        self, progress: Callable[[int, int, int], None], journal: Path | None
    ) -> dict[int, tuple[ImageFile, Hashed]]:
        """The images whose pixels and patches are those of the manifest; each is decoded once."""
        numbers, rows = sorted(self.at), self.rows
        code = rows.column("source")
        groups = {int(code[group[0]]): group.tolist() for group in by_value(code)}
        places = list(zip(rows.shrinks(), *(rows.column(c).tolist() for c in ("x", "y", "size")), strict=True))
        expected = rows.patches.column("pixels_sha256").to_pylist()
        wanted = [Wanted(self.at[n].path, [places[i] for i in groups[n]]) for n in numbers]
        good: dict[int, tuple[ImageFile, Hashed]] = {}
        for number, result in zip(numbers, hash_images(wanted, progress, journal), strict=True):
            source, file, own = self.wanted[number], self.at[number], groups[number]
            if isinstance(result, str):
                reason = result.removeprefix(f"{file.path}: ")
                self._problem(source, "unreadable", f"{file.name} cannot be read ({reason})")
            elif result.pixels != source["pixels_sha256"]:
                reason = f"{file.name} is the same file, but this machine's decoders read other pixels"
                self._problem(source, "decoder", reason)
            elif other := [i for i, digest in zip(own, result.patches, strict=True) if digest != expected[i]]:
                shrink, x, y, size = places[other[0]]
                reason = (
                    f"{len(other)} of {len(own)} patches of {file.name} have other pixels, such as x = {x}, y = {y}, "
                    f"size {size} of {shrink}"
                )
                self._problem(source, "pixels", reason)
            else:
                good[number] = file, result
        return good


def _hash(file: ImageFile) -> str:
    """The hash of a file; empty if it cannot be read."""
    try:
        return hashing.of_file(file.path)
    except InputError:
        return ""


class _Look(NamedTuple):
    """What a file shows."""

    file: ImageFile
    size: tuple[int, int] | None = None
    """Width and height; None if it cannot be read."""
    pixels: str = ""
    """The hash of its pixels if it is looked for, or that of an image which it shows turned."""
    words: str = ""
    """How it is turned, or why it cannot be read."""


def _look(shapes: set[tuple[int, int]], lacking: set[str], file: ImageFile) -> _Look:
    try:
        size = image_size(file.path)
        if size not in shapes and size[::-1] not in shapes:
            return _Look(file, size)
        pixels = read_rgb(file.path)
    except InputError as error:
        return _Look(file, words=str(error).removeprefix(f"{file.path}: "))
    return next((_Look(file, size, *seen) for seen in orientations(pixels) if seen[0] in lacking), _Look(file, size))


def _lack(source: dict[str, Any], looks: list[_Look]) -> tuple[str, str]:
    """The kind of problem of an image that was not found, and the reason, by the files of its name."""
    w, h = source["width"], source["height"]
    if not looks:
        return "missing", f"is missing: no file has its pixels ({w} x {h}) or its name"
    file, size, _, words = min(looks, key=lambda look: look.size != (w, h))
    if size is None:
        return "unreadable", f"{file.name} cannot be read ({words})"
    if size == (w, h):
        packed = "edited at the same size in bytes" if file.size == source["bytes"] else "recompressed or edited"
        return "pixels", f"{file.name} has other pixels ({packed})"
    how = "resized" if abs(size[0] * h - size[1] * w) <= max(w, h) else "cropped, padded or another image"
    return "size", f"{file.name} is {size[0]} x {size[1]}, expected {w} x {h} ({how})"


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.casefold()


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
    patches = [""] * len(wanted.places)
    for factor in sorted({place[0] for place in wanted.places}, reverse=True):
        image = shrunk(whole, float(factor))
        for i, (shrink, x, y, size) in enumerate(wanted.places):
            if shrink == factor:
                check_inside(wanted.path, x, y, size, image.shape[1], image.shape[0])
                patches[i] = hashing.of_pixels(image[y : y + size, x : x + size])
    return Hashed(digest, hashing.of_pixels(whole), whole.shape[1], whole.shape[0], tuple(patches))


def hash_images(
    wanted: Sequence[Wanted], progress: Callable[[int, int, int], None], journal: Path | None = None
) -> Iterator[Hashed | str]:
    """The hashes of images, in order; for one that cannot be read, the reason in words."""
    known = _known(journal)

    def task(wanted_image: Wanted) -> tuple[bool, Hashed | str]:
        try:
            before = known.get((hashing.of_file(wanted_image.path), wanted_image.key())) if known else None
            return before is None, before or hash_image(wanted_image)
        except InputError as error:
            return False, str(error)

    patches = 0
    with (
        nullcontext() if journal is None else open(journal, "a", encoding="utf-8") as file,
        closing(ordered_map(task, wanted, cores())) as hashes,
    ):
        for i, (wanted_image, (fresh, result)) in enumerate(hashes, 1):
            if file is not None and fresh and isinstance(result, Hashed):
                file.write(json.dumps([wanted_image.key(), *vars(result).values()]) + "\n")
                file.flush()
            patches += len(wanted_image.places)
            progress(i, len(wanted), patches)
            yield result


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


def orientations(pixels: np.ndarray) -> Iterator[tuple[str, str]]:
    """The hashes of an image as it is, turned and mirrored, with what was done in words."""
    for turns in range(4):
        words = f"turned by {90 * turns} degrees" if turns else ""
        turned = np.rot90(pixels, turns)
        yield hashing.of_pixels(turned), words
        yield hashing.of_pixels(turned[:, ::-1]), f"{words} and mirrored" if words else "mirrored"
