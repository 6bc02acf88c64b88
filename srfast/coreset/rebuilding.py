"""``srfast.rebuild``: from a manifest and somebody's own copies of the images to the core-set.

Images are found by the size and the hash of their files, and those that are left by the hash of their pixels, so that
neither names nor folders nor a lossless re-packing matter. Then each patch's pixels are compared. A manifest is
somebody else's: of its texts only names of images are shown, and no file that it names is opened.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, cast

import numpy as np
import pyarrow as pa

from srfast.coreset.manifest import Rows, read_manifest
from srfast.coreset.publishing import SCORING
from srfast.coreset.selection import CORESET_SCHEMA, CoreSet
from srfast.coreset.settings import RebuildArguments
from srfast.coreset.source_hashes import JOURNAL, Hashed, Wanted, hash_images, orientations
from srfast.data import hashing
from srfast.data.files import PARTS, check_output, output_folder
from srfast.data.images import ImageFile, find_images, image_size, read_rgb
from srfast.data.provenance import MARK
from srfast.data.shrink import COLUMN, parsed
from srfast.data.workers import ordered_map
from srfast.errors import InputError
from srfast.runtime.progress import shown
from srfast.runtime.threads import cores
from srfast.scoring.metadata import VERSION, check_meta, encode_meta
from srfast.scoring.settings import MODES, SCALES
from srfast.scoring.table import with_shrink
from srfast.settings import documented


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


@dataclass(frozen=True)
class Rebuilt:
    """What was made of a manifest."""

    coreset: CoreSet | None
    """None if the images were only verified."""
    root: str
    """The manifest's root hash."""
    images: int
    """Number of images that are as the manifest has them."""
    patches: int
    """Number of patches whose pixels are."""
    problems: tuple[Problem, ...] = ()

    def counts(self) -> dict[str, int]:
        """The number of problems of each kind."""
        return dict(Counter(problem.kind for problem in self.problems))


class NotAllThere(InputError):
    """Raised if images are not there as a manifest has them."""

    def __init__(self, rebuilt: Rebuilt, sources: int, hint: str) -> None:
        counted = ", ".join(f"{n:,} {_WORDS[kind]}" for kind, n in rebuilt.counts().items())
        first, many = "; ".join(map(str, rebuilt.problems[:3])), len(rebuilt.problems)
        super().__init__(f"{many:,} of {sources:,} images are not as the manifest has them ({counted}): {first}{hint}")
        self.rebuilt = rebuilt


_WORDS = {
    "missing": "missing", "twice": "there twice", "pixels": "with other pixels", "size": "of another size",
    "orientation": "in another orientation", "unreadable": "unreadable", "decoder": "decoded otherwise",
}  # fmt: skip
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class _Rebuild(Protocol):
    """``rebuild`` as type checkers see it."""

    def __call__(self, manifest: str | os.PathLike[str], images: Paths, **options: Any) -> Rebuilt: ...


def _rebuild(manifest: str | os.PathLike[str], images: Paths, **options: Any) -> Rebuilt:
    """Makes the core-set of a manifest from copies of its images, whatever their names, and verifies every patch.

    Args:
        manifest: The folder of the manifest.
        images: Files and folders in which the images are looked for; folders are searched recursively.
        **options: settings

    Returns:
        The core-set, whose root is the closest folder that holds all of ``images`` and whose names are those that were
        found, and the problems that ``partial`` or ``verify`` passed over.

    Raises:
        KeyboardInterrupt: the run was interrupted; the same call goes on from there.
        InputError: the manifest is damaged, or images are missing, have other pixels or are there twice, without
            ``partial``; the exception's ``rebuilt`` lists them.
        RunError: the disk is full.
    """
    asked = RebuildArguments.of(options)
    rows = read_manifest(manifest)
    meta = _meta(rows, os.fspath(manifest))
    if asked.output is not None:
        check_output(asked.output, "core-set")
    files = _once(find_images(images))
    with shown(asked.progress, "hashing", "files") as progress:
        search = _Search(rows, files, progress)
    with _journal(asked.output) as journal, shown(asked.progress, "verifying", "patches") as progress:
        good = search.verified(progress, journal)
    source = rows.column("source")
    kept = np.isin(source, np.array(sorted(good), np.int64))
    problems = tuple(search.problems[number] for number in sorted(search.problems))
    rebuilt = Rebuilt(None, rows.root, len(good), int(kept.sum()), problems)
    hint = "" if asked.verify else "; `partial` goes on without them"
    if problems and (asked.verify or not asked.partial):
        raise NotAllThere(rebuilt, len(search.wanted), hint)
    if not kept.any():
        raise InputError(f"{os.fspath(manifest)}: expected at least one of its images, got none of them")
    if asked.output is None:
        return rebuilt
    meta["rebuilt"] = {
        "manifest": rows.root,
        "partial": bool(problems),
        "problems": [vars(problem) for problem in problems],
    }
    coreset = _coreset(rows, np.flatnonzero(kept), good, files[0].root, meta)
    coreset.write(asked.output)
    return Rebuilt(coreset, rows.root, len(good), len(coreset), problems)


rebuild: _Rebuild = cast(Any, documented(RebuildArguments)(_rebuild))
rebuild.__name__ = rebuild.__qualname__ = "rebuild"  # type: ignore[attr-defined]


@contextmanager
def _journal(output: str | os.PathLike[str] | None) -> Iterator[Path | None]:
    """The journal of a run in ``<output>.parts``, from which the same command goes on if it is interrupted."""
    if output is None:
        yield None
        return
    final = Path(os.path.realpath(output))
    with output_folder(final.with_name(final.name + PARTS), "rebuild") as folder:
        yield folder / JOURNAL
        (folder / JOURNAL).unlink(missing_ok=True)
        (folder / MARK).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _once(files: list[ImageFile]) -> list[ImageFile]:
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
class _Search:
    """The images of a manifest among files."""

    rows: Rows
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
        open_groups = {pixels: group for pixels, group in self.groups.items() if not self._are_found(group)}
        if open_groups:
            self._by_pixels(open_groups, left)

    def _are_found(self, group: list[_Source]) -> bool:
        return all(s.number in self.at or s.number in self.problems for s in group)

    def _by_contents(self) -> list[ImageFile]:
        """Finds images by the size and the hash of their files; returns the files that none has."""
        sizes = {source.bytes for source in self.wanted.values()}
        likely = [file for file in self.files if file.size in sizes]
        of_hash: dict[str, str] = {s.sha256: s.pixels for s in self.wanted.values()}
        found: dict[str, list[ImageFile]] = {}
        left = [file for file in self.files if file.size not in sizes]
        with closing(ordered_map(_hash, likely, cores())) as hashes:
            for done, (file, digest) in enumerate(hashes):
                self.progress(done + 1, len(likely), done + 1)
                if (pixels := of_hash.get(digest or "")) is not None:
                    found.setdefault(pixels, []).append(file)
                else:
                    left.append(file)
        for pixels, files in found.items():
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
            reason = f"is there twice: {self.at[source.number].name} and {extra}; leave one out"
            self.problems[source.number] = Problem(source.name, "twice", reason)

    def _by_pixels(self, groups: dict[str, list[_Source]], left: list[ImageFile]) -> None:
        """Finds images among files of their width and height by their pixels, and says what the others lack."""
        shapes = {source.size for group in groups.values() for source in group}
        either = shapes | {(h, w) for w, h in shapes}
        with closing(ordered_map(_look, left, cores())) as seen:
            looks = {file.name: (file, look) for file, look in seen}
        likely = [file for file, look in looks.values() if look in either]
        turned: dict[str, tuple[str, ImageFile]] = {}
        found: dict[str, list[ImageFile]] = {}
        unread: dict[str, str] = {}
        with closing(ordered_map(lambda f: _pixels(f, groups), likely, cores())) as hashes:
            for done, (file, (pixels, words)) in enumerate(hashes):
                self.progress(done + 1, len(likely), done + 1)
                if pixels is None:
                    unread[file.name] = words
                elif words:
                    turned[pixels] = words, file
                elif pixels in groups:
                    found.setdefault(pixels, []).append(file)
        for pixels, files in found.items():
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
            one, file = self.wanted[number], self.at[number]
            if isinstance(result, str):
                reason = result.removeprefix(f"{file.path}: ")
                self.problems[number] = Problem(one.name, "unreadable", f"{file.name} cannot be read ({reason})")
            elif result.pixels != one.pixels:
                reason = f"{file.name} is the same file, but this machine's decoders read other pixels"
                self.problems[number] = Problem(one.name, "decoder", reason)
            else:
                rows = by_source[number]
                other = [i for i, digest in zip(rows, result.patches, strict=True) if digest != expected[i]]
                if other:
                    i = other[0]
                    place = f"x = {x[i]}, y = {y[i]}, size {size[i]} of {shrink[i]}"
                    reason = f"{len(other)} of {len(rows)} patches of {file.name} have other pixels, such as {place}"
                    self.problems[number] = Problem(one.name, "pixels", reason)
                else:
                    good[number] = file, result
        return good


def _hash(file: ImageFile) -> str | None:
    try:
        return hashing.of_file(file.path)
    except InputError:
        return None


def _look(file: ImageFile) -> tuple[int, int] | str:
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


def _meta(rows: Rows, name: str) -> dict[str, Any]:
    """The metadata of the core-set; raises InputError if those of the manifest are of wrong types."""
    about = rows.about
    scoring, selection, scorer = (about.get(key) or {} for key in ("scoring", "selection", "scorer"))
    if not all(isinstance(part, dict) for part in (scoring, selection, scorer)):
        raise InputError(f"{name}: expected objects under scoring, scorer and selection")
    sizes = sorted(set(rows.shrinks()), reverse=True)
    shrink = scoring.get(COLUMN, ["1"])
    try:
        known = set(parsed(shrink)) if isinstance(shrink, list) else set()
    except (ValueError, TypeError):
        known = set()
    if scoring.get("scale") not in SCALES or scoring.get("mode") not in MODES or not set(map(str, sizes)) <= known:
        raise InputError(f"{name}: expected a scale, a mode and the sizes of its patches under scoring")
    meta: dict[str, Any] = {"version": VERSION, "root": None, **{k: scoring[k] for k in SCORING if k in scoring}}
    meta |= {"scorer": scorer, "shard": None, "skipped": [], "small": [], "selection": selection}
    check_meta(name, meta, encode_meta(meta))
    return meta


def _coreset(
    rows: Rows, at: np.ndarray, good: dict[int, tuple[ImageFile, Hashed]], root: Path, meta: dict[str, Any]
) -> CoreSet:
    patches = rows.patches.take(pa.array(at))
    numbers: Sequence[int] = patches.column("source").to_pylist()
    counts = Counter(numbers)
    columns = {
        "image": pa.array([good[n][0].name for n in numbers], pa.string()),
        **{name: patches.column(name) for name in ("x", "y", "size", "rank", "bicubic", "sobel")},
        "loss": patches.column("score"),
    }
    schema = CORESET_SCHEMA
    if COLUMN in meta:
        schema = with_shrink(schema)
        shrink = np.array([float(f) for f in rows.shrinks()], np.float32)
        columns[COLUMN] = pa.array(shrink[at])
    images = {
        file.name: {"size": file.size, "mtime_ns": file.mtime_ns, "sha256": hashed.sha256, "rows": counts[number]}
        for number, (file, hashed) in sorted(good.items(), key=lambda item: item[1][0].name)
    }
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    return CoreSet(table, {**meta, "root": str(root), "images": images})
