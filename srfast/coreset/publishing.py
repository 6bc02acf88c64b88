"""``srfast.manifest``: a core-set becomes a folder that may be published, with hashes in place of pixels."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from PIL import features

from srfast.coreset.manifest import (
    DOCUMENT,
    DRAWS,
    KIND,
    PATCH_SCHEMA,
    PATCHES,
    SOURCE_SCHEMA,
    SOURCES,
    ManifestRows,
    document,
    plain,
)
from srfast.coreset.pairs import read_rows
from srfast.coreset.rejects import read_rejects
from srfast.coreset.selection import CoreSet
from srfast.coreset.settings import ManifestArguments
from srfast.coreset.source_search import JOURNAL, Hashed, Wanted, hash_images
from srfast.data import hashing
from srfast.data.atomic import atomic_path
from srfast.data.files import check_input
from srfast.data.parquet import TableWriter
from srfast.data.run_folder import growing
from srfast.data.shrink import fractions
from srfast.errors import InputError
from srfast.runtime.progress import shown
from srfast.scoring.rows import coded
from srfast.scoring.scored import ScoredImages
from srfast.scoring.table import CHECKED, read_parquet, write_parquet
from srfast.settings import documented
from srfast.version import VERSION

SCORING = ("scale", "patch", "stride", "mode", "boundary", "precision", "backend", "shrink")
"""Keys of a table's metadata that a manifest repeats."""
_DEGRADATION = ("degradation", "operations", "scale", "seed", "draws", "content", "encoders")
"""Keys of the metadata of a degradation.parquet."""
_ORIGIN = ("dataset", "version", "licence", "url")
_LARGEST = 1 << 24


@dataclass(frozen=True)
class Manifest:
    """A manifest that was written."""

    folder: Path
    root: str
    """The root hash."""
    patches: int
    images: int
    rejected: int
    bytes: int
    """Size of the files."""


@documented(ManifestArguments)
def manifest(coreset: CoreSet | str | os.PathLike[str], output: str | os.PathLike[str], **options: Any) -> Manifest:
    """Writes which images and patches a core-set holds, by hash and without pixels, as a folder to publish.

    ``srfast.rebuild`` makes the core-set again from the images, whatever their names. The files grow in
    ``<output>.parts``; an interrupted run continues from there when it is started again.

    Args:
        coreset: The core-set or its path.
        output: The folder to make; it must not exist, or must be empty.
        **options: settings

    Returns:
        The root hash and the numbers of images and patches.

    Raises:
        InputError: an argument is wrong, the output exists, or an image is missing or has changed since it was scored.
        RunError: the disk is full.
    """
    settings = ManifestArguments.of(options)
    name, table, meta = read_rows(cast(Any, coreset))
    if "rank" not in table.column_names:
        raise InputError(f"{name}: expected a core-set, got a score table", hint="make one with `srfast select`")
    images = ScoredImages.of(meta, settings.root, name)
    places, codes = coded(table["image"])
    patches = _Patches(table, fractions(table, meta, name), codes)
    origin = _origins(settings.source)
    rejected = _rejected(meta, settings.rejects, set(places))
    given = None if settings.degradation is None else read_parquet(settings.degradation)
    about = {
        "srfast": VERSION,
        "decoders": _decoders(),
        "resampling": "imresize(image, shrink) by bicubic interpolation with antialiasing, as MATLAB rounds it",
        "scoring": {key: plain(meta[key]) for key in SCORING if meta.get(key) is not None},
        "scorer": plain(meta.get("scorer")),
        "selection": plain(meta.get("selection") or {}),
        "degradation": given and {k: given[1].get(k) for k in _DEGRADATION},
        "runs": [_run(run) for run in settings.run],
        "columns_left_out": [c for c in table.column_names if c not in _KEPT],
    }
    files = (DOCUMENT, SOURCES, PATCHES, DRAWS)
    with growing(output, KIND, {*files, JOURNAL}.__contains__) as run:
        run.mark({})
        for file in files:
            (run.path / file).unlink(missing_ok=True)
        wanted = [Wanted(images.check(image, contents=False), patches.places_of(i)) for i, image in enumerate(places)]
        with shown(settings.progress, "hashing", "patches") as progress:
            hashed: dict[str, Hashed] = {}
            for image, result in zip(places, hash_images(wanted, progress, run.path / JOURNAL), strict=True):
                if isinstance(result, str):
                    raise InputError(result)
                known = meta.get("images", {}).get(image, {}).get("sha256")
                if known not in (None, result.sha256):
                    raise InputError(f"{images.root / image}: has changed since it was scored", hint="score it again")
                hashed[image] = result
        sources, number = _sources(images.root, hashed, rejected, origin)
        rows = ManifestRows(plain(about), sources, patches.rows(places, hashed, number))
        if given is not None:
            _check_draws(os.fspath(cast(Any, settings.degradation)), rows, given[0])
        size = _write(run.path, rows, settings, str(settings.name or Path(os.path.realpath(output)).name))
        (run.path / JOURNAL).unlink(missing_ok=True)
    return Manifest(Path(output), rows.root, len(table), len(places), len(sources) - len(places), size)


_KEPT = ("image", "x", "y", "size", "shrink", "loss", "bicubic", "sobel", "rank")


def _check_draws(name: str, rows: ManifestRows, given: pa.Table) -> None:
    """Refuses a table that does not have every draw of the core-set's images at their sizes."""
    drawn = rows.draws(name)
    assert drawn is not None
    if missing := [c for c in drawn[0].column_names if c not in given.column_names]:
        raise InputError(
            f"{name}: expected the table of an export with a degradation, column {missing[0]!r} is missing"
        )

    def lines(table: pa.Table) -> Iterator[tuple[Any, ...]]:
        return zip(*(table[c].to_pylist() for c in drawn[0].column_names if c != "image"), strict=True)

    known = set(lines(given))
    for image, line in zip(drawn[0]["image"].to_pylist(), lines(drawn[0]), strict=True):
        if line not in known:
            raise InputError(f"{name}: expected draws of {image} at size {line[1]}, by the seed, got none, or others")


class _Patches:
    """The rows of a core-set by image."""

    def __init__(self, table: pa.Table, shrink: list[Fraction], codes: np.ndarray) -> None:
        self.table, self.shrink = table, shrink
        self.x, self.y, self.size = (table[c].to_numpy().tolist() for c in ("x", "y", "size"))
        order = np.argsort(codes, kind="stable")
        self.groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)

    def places_of(self, image: int) -> list[tuple[Fraction, int, int, int]]:
        return [(self.shrink[i], self.x[i], self.y[i], self.size[i]) for i in self.groups[image].tolist()]

    def rows(self, images: list[str], hashed: dict[str, Hashed], number: dict[str, int]) -> pa.Table:
        """``patches.parquet``, in the order of the core-set."""
        source = np.empty(self.table.num_rows, np.int32)
        pixels = np.empty(self.table.num_rows, object)
        for image, group in zip(images, self.groups, strict=True):
            source[group] = number[image]
            pixels[group] = hashed[image].patches
        none = np.zeros(self.table.num_rows, np.float32)
        own = {"score": "loss", "bicubic": "bicubic", "sobel": "sobel"}
        columns = {
            "source": source,
            "shrink_numerator": [f.numerator for f in self.shrink],
            "shrink_denominator": [f.denominator for f in self.shrink],
            **{c: self.table[c] for c in ("x", "y", "size", "rank")},
            **{c: self.table[o] if o in self.table.column_names else none for c, o in own.items()},
            "pixels_sha256": pixels.tolist(),
        }
        return pa.table({name: columns[name] for name in PATCH_SCHEMA.names}).cast(PATCH_SCHEMA)


def _sources(
    root: Path, hashed: dict[str, Hashed], rejected: dict[str, str], origin: _Origins
) -> tuple[pa.Table, dict[str, int]]:
    """``sources.parquet``, sorted by the hashes of the files, then by name; and the number of each image."""
    rows: list[dict[str, Any]] = []
    for image, result in hashed.items():
        about = {"sha256": result.sha256, "pixels_sha256": result.pixels}
        rows.append({"name": image, "width": result.width, "height": result.height, **about})
    for image, reason in rejected.items():
        if (root / image).is_file():
            rows.append({"name": image, "sha256": hashing.of_file(root / image), "rejected": reason})
    rows.sort(key=lambda row: (row["sha256"], row["name"]))
    for i, row in enumerate(rows):
        row |= {"source": i, "bytes": (root / row["name"]).stat().st_size, **origin(row["name"])}
    return pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA), {row["name"]: row["source"] for row in rows}


def _rejected(meta: dict[str, Any], listed: str | os.PathLike[str] | None, used: set[str]) -> dict[str, str]:
    """The images that were left out as a whole, with reasons: unreadable ones, and those of a list."""
    reasons = {entry["image"]: str(entry["reason"]) for entry in meta.get("skipped") or []}
    for entry in [] if listed is None else read_rejects(listed):
        if entry.place is None and entry.image not in used:
            reasons[entry.image] = entry.reason
    known = meta.get("images") or {}
    return {image: reason for image, reason in reasons.items() if image in known and image not in used}


class _Origins:
    """Where each image is from: the longest beginning of its path that a list names."""

    def __init__(self) -> None:
        self.every: dict[str, str] = {}
        self.listed: dict[str, dict[str, str]] = {}

    def __call__(self, image: str) -> dict[str, str]:
        parts = image.split("/")
        for count in range(len(parts), -1, -1):
            if (entry := self.listed.get("/".join(parts[:count]))) is not None:
                return entry
        return self.every


def _origins(given: Sequence[str]) -> _Origins:
    origins = _Origins()
    for item in given:
        if item.endswith(".csv"):
            _listed_origins(item, origins)
            continue
        dataset, mark, url = item.partition("=")
        if not (mark and dataset.strip() and url.strip()):
            raise InputError(f"source: expected DATASET=URL, or a CSV file, got {item!r}")
        origins.every = {"dataset": dataset.strip(), "url": url.strip()}
    return origins


def _listed_origins(path: str, origins: _Origins) -> None:
    check_input(path, "a list of sources")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"image", "dataset"} <= set(reader.fieldnames or ()):
                raise InputError(f"{path}: expected the columns image,{','.join(_ORIGIN)}")
            for row in reader:
                about = {key: value.strip() for key in _ORIGIN if (value := row.get(key) or "").strip()}
                origins.listed[(row["image"] or "").strip().strip("/")] = about
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a list of sources ({error})") from None


def _run(run: str) -> dict[str, Any]:
    """The record of a training or an evaluation: run.json of a folder, or a JSON file, without lists of files."""
    path = Path(run, "run.json") if os.path.isdir(run) else Path(run)
    check_input(path, "the JSON of a training or an evaluation")
    if path.stat().st_size > _LARGEST:
        raise InputError(f"{path}: refused, expected at most {_LARGEST >> 20} MiB")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise InputError(f"{path}: expected JSON of `srfast train` or `srfast eval`, got a damaged file") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected JSON of `srfast train` or `srfast eval`, got another file")
    about: dict[str, Any] = plain({key: value for key, value in document.items() if key != "images"})
    last = Path(run, "log.csv")
    if os.path.isdir(run) and last.is_file():
        with open(last, newline="", encoding="utf-8") as file:
            measured = [row for row in csv.DictReader(file) if row.get("psnr")]
        about["measured"] = plain(measured[-1]) if measured else None
    return about


@lru_cache(maxsize=1)
def _decoders() -> dict[str, str]:
    """The libraries on which pixels depend."""
    versions = {}
    for package in ("pillow", "simplejpeg", "numpy", "imagecodecs", "fpng-py"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    for library in ("jpg", "zlib", "libtiff", "jpg_2000"):
        if features.check_codec(library):
            versions[library] = str(features.version_codec(library))
    versions["webp"] = str(features.version_module("webp")) if features.check_module("webp") else "none"
    return versions


def _write(folder: Path, rows: ManifestRows, settings: ManifestArguments, name: str) -> int:
    files = {}
    for file, table in ((SOURCES, rows.sources), (PATCHES, rows.patches)):
        with atomic_path(folder / file) as temporary, TableWriter(temporary, table.schema, **CHECKED) as writer:
            writer.write_table(table, row_group_size=1 << 16)
        files[file] = hashing.of_file(folder / file), (folder / file).stat().st_size
    if (drawn := rows.draws(DOCUMENT)) is not None:
        write_parquet(folder / DRAWS, [drawn[0]], drawn[0].schema, drawn[1])
        files[DRAWS] = hashing.of_file(folder / DRAWS), (folder / DRAWS).stat().st_size
    about = document(rows, files, name, settings.licence, settings.url, settings.creator, settings.published)
    with atomic_path(folder / DOCUMENT) as temporary:
        temporary.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return sum(size for _, size in files.values()) + (folder / DOCUMENT).stat().st_size
