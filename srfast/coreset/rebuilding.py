"""``srfast.rebuild``: from a manifest and somebody's own copies of the images to the core-set.

Images are found by the size and the hash of their files, and those that are left by the hash of their pixels, so that
neither names nor folders nor a lossless re-packing matter. Then each patch's pixels are compared. A manifest is
somebody else's: of its texts only names of images are shown, and no file that it names is opened.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.coreset.manifest import ManifestRows, read_manifest
from srfast.coreset.publishing import SCORING
from srfast.coreset.selection import CORESET_SCHEMA, CoreSet
from srfast.coreset.settings import RebuildArguments
from srfast.coreset.source_search import JOURNAL, Hashed, Problem, Search, each_once
from srfast.data.files import PARTS, check_output
from srfast.data.images import ImageFile, find_images
from srfast.data.run_folder import RunFolder
from srfast.data.shrink import COLUMN, sizes_of
from srfast.errors import InputError
from srfast.runtime.progress import shown
from srfast.scoring.metadata import VERSION, as_read
from srfast.scoring.settings import MODES, SCALES
from srfast.scoring.table import with_shrink
from srfast.settings import documented


@dataclass(frozen=True)
class Rebuilt:
    """The result of rebuilding a manifest."""

    coreset: CoreSet | None
    """None if the images were only verified."""
    root: str
    """The manifest's root hash."""
    images: int
    """Number of images that are as the manifest has them."""
    patches: int
    """Number of patches whose pixels are."""
    problems: tuple[Problem, ...] = ()


class ImagesMismatch(InputError):
    """Raised if images are not there as a manifest has them."""

    def __init__(self, rebuilt: Rebuilt, sources: int, hint: str | None) -> None:
        counted = ", ".join(f"{n:,} {_WORDS[kind]}" for kind, n in Counter(p.kind for p in rebuilt.problems).items())
        first, many = "; ".join(map(str, rebuilt.problems[:3])), len(rebuilt.problems)
        super().__init__(
            f"{many:,} of {sources:,} images are not as the manifest has them ({counted}): {first}", hint=hint
        )
        self.rebuilt = rebuilt


_WORDS = {
    "missing": "missing", "twice": "present twice", "pixels": "with other pixels", "size": "of another size",
    "orientation": "in another orientation", "unreadable": "unreadable", "decoder": "decoded otherwise",
}  # fmt: skip
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


@documented(RebuildArguments)
def rebuild(manifest: str | os.PathLike[str], images: Paths, **options: Any) -> Rebuilt:
    """Makes the core-set of a manifest from copies of its images, whatever their names, and verifies every patch.

    Args:
        manifest: The folder of the manifest.
        images: Files and folders in which the images are looked for; folders are searched recursively.
        **options: settings

    Returns:
        The core-set, whose root is the closest folder that holds all of ``images`` and whose names are those that were
        found, and the problems that ``partial`` or ``verify`` passed over.

    Raises:
        KeyboardInterrupt: the run was interrupted; the same call continues from there.
        InputError: the manifest is damaged, or images are missing, have other pixels or occur twice, without
        ``partial``; the exception's ``rebuilt`` lists them.
        RunError: the disk is full.
    """
    settings = RebuildArguments.of(options)
    rows = read_manifest(manifest)
    meta = _meta(rows, os.fspath(manifest))
    if settings.output is not None:
        check_output(settings.output, "core-set")
    files = each_once(find_images(images))
    with shown(settings.progress, "hashing", "files") as progress:
        search = Search(rows, files, progress)
    unfinished = nullcontext() if settings.output is None else _journal(settings.output)
    with unfinished as journal, shown(settings.progress, "verifying", "patches") as progress:
        good = search.verified(progress, journal)
    source = rows.column("source")
    kept = np.isin(source, np.array(sorted(good), np.int64))
    problems = tuple(search.problems[number] for number in sorted(search.problems))
    rebuilt = Rebuilt(None, rows.root, len(good), int(kept.sum()), problems)
    hint = None if settings.verify else "`partial` continues without them"
    if problems and (settings.verify or not settings.partial):
        raise ImagesMismatch(rebuilt, len(search.wanted), hint)
    if not kept.any():
        raise InputError(f"{os.fspath(manifest)}: expected at least one of its images, got none of them")
    if settings.output is None:
        return rebuilt
    meta["rebuilt"] = {
        "manifest": rows.root,
        "partial": bool(problems),
        "problems": [vars(problem) for problem in problems],
    }
    coreset = _coreset(rows, np.flatnonzero(kept), good, files[0].root, meta)
    coreset.write(settings.output)
    return replace(rebuilt, coreset=coreset)


@contextmanager
def _journal(output: str | os.PathLike[str]) -> Iterator[Path]:
    """The journal of a run in ``<output>.parts``, from which the same command continues after an interrupt."""
    final = Path(os.path.realpath(output))
    run = RunFolder.take(final.with_name(final.name + PARTS), "rebuild", final, JOURNAL.__eq__)
    try:
        run.mark({})
        yield run.path / JOURNAL
        run.clear()
    finally:
        run.close()


def _meta(rows: ManifestRows, name: str) -> dict[str, Any]:
    """The metadata of the core-set; raises InputError if those of the manifest are of wrong types."""
    scoring, selection, scorer = (rows.about.get(key) or {} for key in ("scoring", "selection", "scorer"))
    if not all(isinstance(part, dict) for part in (scoring, selection, scorer)):
        raise InputError(f"{name}: expected objects under scoring, scorer and selection")
    if scoring.get("scale") not in SCALES or scoring.get("mode") not in MODES:
        raise InputError(f"{name}: expected a scale and a mode under scoring")
    meta: dict[str, Any] = {"version": VERSION, "root": None, **{k: scoring[k] for k in SCORING if k in scoring}}
    meta |= {"scorer": scorer, "shard": None, "skipped": [], "small": [], "selection": selection}
    sizes_of(pa.table({COLUMN: _sizes(rows)}), meta, name)
    return as_read(name, meta)


def _sizes(rows: ManifestRows) -> pa.Array:
    return pa.array(list(map(float, rows.shrinks())), pa.float32())


def _coreset(
    rows: ManifestRows, at: np.ndarray, good: dict[int, tuple[ImageFile, Hashed]], root: Path, meta: dict[str, Any]
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
        columns[COLUMN] = _sizes(rows).take(pa.array(at))
    images = {
        file.name: {"size": file.size, "mtime_ns": file.mtime_ns, "sha256": hashed.sha256, "rows": counts[number]}
        for number, (file, hashed) in sorted(good.items(), key=lambda item: item[1][0].name)
    }
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    return CoreSet(table, {**meta, "root": str(root), "images": images})
