"""The images of a manifest among somebody's files: what is found, what each of the others lacks, and their hashes.

Hashes are computed on all cores and kept in a journal. An image is decoded once, whatever the number of its patches,
and known in the journal by the hash of its file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np

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
        try:
            state = os.stat(file.path)
            seen.setdefault((state.st_dev, state.st_ino), file)
        except OSError:
            seen[file.name] = file
    return list(seen.values())


@dataclass
class _Source:
    number: int
    name: str
    sha256: str
    pixels: str
    size: tuple[int, int]
    bytes: int


@dataclass
class Search:
    """The images of a manifest among files."""

    rows: ManifestRows
    files: list[ImageFile]
    progress: Callable[[int, int, int], None]
    wanted: dict[int, _Source] = field(default_factory=dict)
    at: dict[int, ImageFile] = field(default_factory=dict)
    """The file of each source that was found."""
    problems: dict[int, Problem] = field(default_factory=dict)

    def __post_init__(self) -> None:
        used = set(self.rows.column("source").tolist())
        for row in self.rows.sources.to_pylist():
            if row["source"] in used:
                about = (row["sha256"], row["pixels_sha256"], (row["width"], row["height"]), row["bytes"])
                self.wanted[row["source"]] = _Source(row["source"], row["name"], *about)
        self.groups: dict[str, list[_Source]] = {}
        for source in self.wanted.values():
            self.groups.setdefault(source.pixels, []).append(source)
        left = self._by_contents()
        known = {*self.at, *self.problems}
        open_groups = {pixels: g for pixels, g in self.groups.items() if not known >= {s.number for s in g}}
        if open_groups:
            self._by_pixels(open_groups, left)

    def _by_contents(self) -> list[ImageFile]:
        """Finds images by the size and the hash of their files; returns the files that none has."""
        sizes = {source.bytes for source in self.wanted.values()}
        likely = [file for file in self.files if file.size in sizes]
        of_hash: dict[str, str] = {s.sha256: s.pixels for s in self.wanted.values()}
        matches: dict[str, list[ImageFile]] = {}
        left = [file for file in self.files if file.size not in sizes]
        with closing(ordered_map(_hash, likely, cores())) as hashes:
            for done, (file, digest) in enumerate(hashes):
                self.progress(done + 1, len(likely), done + 1)
                if (pixels := of_hash.get(digest or "")) is not None:
                    matches.setdefault(pixels, []).append(file)
                else:
                    left.append(file)
        for pixels, files in matches.items():
            self._assign(self.groups[pixels], files)
        return left

    def _assign(self, group: list[_Source], files: list[ImageFile]) -> None:
        """Gives each image of a group, whose pixels are the same, a file of its own; equal names first."""
        free = [s for s in group if s.number not in self.at]
        rest = list(files)
        for source in sorted(free, key=lambda s: s.name):
            if not rest:
                break
            named = [f for f in rest if _stem(f.name) == _stem(source.name)]
            file = (named or rest)[0]
            rest.remove(file)
            self.at[source.number] = file
        if rest:
            extra, source = rest[0].name, group[0]
            reason = f"occurs twice: {self.at[source.number].name} and {extra}; leave one out"
            self.problems[source.number] = Problem(source.name, "twice", reason)

    def _by_pixels(self, groups: dict[str, list[_Source]], left: list[ImageFile]) -> None:
        """Finds images among files of their width and height by their pixels, and says what the others lack."""
        shapes = {source.size for group in groups.values() for source in group}
        either = shapes | {(h, w) for w, h in shapes}
        with closing(ordered_map(_size_or_reason, left, cores())) as seen:
            looks = {file.name: (file, look) for file, look in seen}
        likely = [file for file, look in looks.values() if look in either]
        turned: dict[str, tuple[str, ImageFile]] = {}
        matches: dict[str, list[ImageFile]] = {}
        unread: dict[str, str] = {}
        with closing(ordered_map(lambda f: _pixels(f, groups), likely, cores())) as hashes:
            for done, (file, (pixels, words)) in enumerate(hashes):
                self.progress(done + 1, len(likely), done + 1)
                if pixels is None:
                    unread[file.name] = words
                elif words:
                    turned[pixels] = words, file
                elif pixels in groups:
                    matches.setdefault(pixels, []).append(file)
        for pixels, files in matches.items():
            self._assign(groups[pixels], files)
        for pixels, group in groups.items():
            for source in group:
                if source.number not in self.at:
                    copies = [s for s in self.groups[pixels] if s.number in self.at]
                    self.problems[source.number] = self._reason(source, copies, turned.get(pixels), looks, unread)

    def _reason(
        self, source: _Source, copies: list[_Source], turned: tuple[str, ImageFile] | None,
        looks: dict[str, tuple[ImageFile, tuple[int, int] | str]], unread: dict[str, str],
    ) -> Problem:  # fmt: skip
        if copies:
            other = self.at[copies[0].number].name
            reason = f"is missing: the manifest has its pixels {len(self.groups[source.pixels])} times, {other} is one"
            return Problem(source.name, "missing", reason)
        if turned is not None:
            return Problem(source.name, "orientation", f"{turned[1].name} is the image {turned[0]}")
        w, h = source.size
        named = [entry for name, entry in looks.items() if _stem(name) == _stem(source.name)]
        for file, look in sorted(named, key=lambda entry: entry[1] != source.size):
            words = look if isinstance(look, str) else unread.get(file.name)
            if words is not None:
                return Problem(source.name, "unreadable", f"{file.name} cannot be read ({words})")
            width, height = cast("tuple[int, int]", look)
            if (width, height) == (w, h):
                packed = "recompressed or edited" if file.size != source.bytes else "edited at the same size in bytes"
                return Problem(source.name, "pixels", f"{file.name} has other pixels ({packed})")
            same = abs(width * h - height * w) <= max(w, h)
            how = "resized" if same else "cropped, padded or another image"
            return Problem(source.name, "size", f"{file.name} is {width} x {height}, expected {w} x {h} ({how})")
        return Problem(source.name, "missing", f"is missing: no file has its pixels ({w} x {h}) or its name")

    def verified(
        self, progress: Callable[[int, int, int], None], journal: Path | None
    ) -> dict[int, tuple[ImageFile, Hashed]]:
        """The images whose pixels and patches are those of the manifest; each is decoded once."""
        source = self.rows.column("source")
        order = np.argsort(source, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(source[order])) + 1)
        by_source = {int(source[group[0]]): group.tolist() for group in groups}
        shrink = self.rows.shrinks()
        x, y, size = (self.rows.column(c).tolist() for c in ("x", "y", "size"))
        expected = self.rows.patches.column("pixels_sha256").to_pylist()
        numbers = sorted(self.at)
        wanted = [Wanted(self.at[n].path, [(shrink[i], x[i], y[i], size[i]) for i in by_source[n]]) for n in numbers]
        good: dict[int, tuple[ImageFile, Hashed]] = {}
        for number, result in zip(numbers, hash_images(wanted, progress, journal), strict=True):
            entry, file = self.wanted[number], self.at[number]
            if isinstance(result, str):
                reason = result.removeprefix(f"{file.path}: ")
                self.problems[number] = Problem(entry.name, "unreadable", f"{file.name} cannot be read ({reason})")
            elif result.pixels != entry.pixels:
                reason = f"{file.name} is the same file, but this machine's decoders read other pixels"
                self.problems[number] = Problem(entry.name, "decoder", reason)
            else:
                rows = by_source[number]
                other = [i for i, digest in zip(rows, result.patches, strict=True) if digest != expected[i]]
                if other:
                    i = other[0]
                    place = f"x = {x[i]}, y = {y[i]}, size {size[i]} of {shrink[i]}"
                    reason = f"{len(other)} of {len(rows)} patches of {file.name} have other pixels, such as {place}"
                    self.problems[number] = Problem(entry.name, "pixels", reason)
                else:
                    good[number] = file, result
        return good


def _hash(file: ImageFile) -> str | None:
    try:
        return hashing.of_file(file.path)
    except InputError:
        return None


def _size_or_reason(file: ImageFile) -> tuple[int, int] | str:
    """Width and height of a file, or why it cannot be read."""
    try:
        return image_size(file.path)
    except InputError as error:
        return str(error).removeprefix(f"{file.path}: ")


def _pixels(file: ImageFile, groups: dict[str, Any]) -> tuple[str | None, str]:
    """The hash of a file's pixels, or that of an image of a group which it shows turned, with the turn in words; None
    and the reason if it cannot be read."""
    try:
        pixels = read_rgb(file.path)
    except InputError as error:
        return None, str(error).removeprefix(f"{file.path}: ")
    digest = hashing.of_pixels(pixels)
    if digest not in groups:
        for other, words in orientations(pixels).items():
            if other in groups:
                return other, words
    return digest, ""


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
