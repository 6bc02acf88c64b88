"""``srfast.manifest``: a core-set becomes a folder that may be published, with hashes in place of pixels."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
import pyarrow as pa
from PIL import features

from srfast.coreset.condition import check_coreset
from srfast.coreset.limits import by_value
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
    read_json,
)
from srfast.coreset.pairs import read_rows
from srfast.coreset.rejects import csv_rows, read_rejects
from srfast.coreset.selection import CORESET_SCHEMA, CoreSet
from srfast.coreset.settings import ManifestArguments
from srfast.coreset.source_search import JOURNAL, Hashed, Wanted, hash_images
from srfast.data import hashing
from srfast.data.atomic import atomic_path
from srfast.data.parquet import TableWriter
from srfast.data.run_folder import growing
from srfast.data.shrink import COLUMN, fractions
from srfast.errors import InputError
from srfast.runtime.progress import shown
from srfast.scoring.rows import coded
from srfast.scoring.scored import ScoredImages
from srfast.scoring.table import CHECKED, check_columns, checked, read_parquet, write_parquet
from srfast.settings import documented
from srfast.version import VERSION

SCORING = ("scale", "patch", "stride", "mode", "boundary", "precision", "backend", "shrink")
"""Keys of a table's metadata that a manifest repeats."""
_DEGRADATION = ("degradation", "operations", "scale", "seed", "draws", "content", "encoders")
"""Keys of the metadata of a degradation.parquet."""
_ORIGIN = ("dataset", "version", "licence", "url")


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
    check_coreset(name, meta)
    table = checked(name, table, meta, CORESET_SCHEMA, exact=False)
    images = ScoredImages.of(meta, settings.root, name)
    names, code = coded(table["image"])
    shrink, groups = fractions(table, meta, name), by_value(code)
    places = list(zip(shrink, *(table[c].to_pylist() for c in ("x", "y", "size")), strict=True))
    origins = _origins(settings.source)
    rejected = _rejected(meta, settings.rejects, set(names))
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
        "columns_left_out": [c for c in table.column_names if c not in (*CORESET_SCHEMA.names, COLUMN)],
    }
    files = (DOCUMENT, SOURCES, PATCHES, DRAWS)
    with growing(output, KIND, {*files, JOURNAL}.__contains__) as run:
        run.mark({})
        for file in files:
            (run.path / file).unlink(missing_ok=True)
        wanted = [
            Wanted(images.check(image, contents=False), [places[i] for i in group.tolist()])
            for image, group in zip(names, groups, strict=True)
        ]
        hashed: dict[str, Hashed] = {}
        pixels = np.empty(len(table), object)
        with shown(settings.progress, "hashing", "patches") as progress:
            results = hash_images(wanted, progress, run.path / JOURNAL)
            for image, group, result in zip(names, groups, results, strict=True):
                if isinstance(result, str):
                    raise InputError(result)
                known = meta.get("images", {}).get(image, {}).get("sha256")
                if known not in (None, result.sha256):
                    raise InputError(f"{images.root / image}: has changed since it was scored", hint="score it again")
                hashed[image] = result
                pixels[group] = result.patches
        sources, number = _sources(images.root, hashed, rejected, origins)
        columns = {
            "source": np.array([number[image] for image in names])[code],
            "shrink_numerator": [f.numerator for f in shrink],
            "shrink_denominator": [f.denominator for f in shrink],
            "score": table["loss"],
            "pixels_sha256": pixels.tolist(),
        }
        patches = pa.table({n: columns[n] if n in columns else table[n] for n in PATCH_SCHEMA.names})
        rows = ManifestRows(plain(about), sources, patches.cast(PATCH_SCHEMA))
        if given is not None:
            _check_draws(os.fspath(cast(Any, settings.degradation)), rows, given[0])
        size = _write(run.path, rows, settings, str(settings.name or Path(os.path.realpath(output)).name))
        (run.path / JOURNAL).unlink(missing_ok=True)
    return Manifest(Path(output), rows.root, len(table), len(names), len(sources) - len(names), size)


def _check_draws(name: str, rows: ManifestRows, given: pa.Table) -> None:
    """Refuses a table that does not have every draw of the core-set's images at their sizes."""
    drawn = cast(Any, rows.draws(name))[0]
    check_columns(name, given, drawn.schema)
    columns = [c for c in drawn.column_names if c != "image"]
    given_lines, lines = (zip(*t.select(columns).to_pydict().values(), strict=True) for t in (given, drawn))
    known = set(given_lines)
    for image, line in zip(drawn["image"].to_pylist(), lines, strict=True):
        if line not in known:
            raise InputError(f"{name}: expected draws of {image} at size {line[1]}, by the seed, got none, or others")


def _sources(
    root: Path, hashed: dict[str, Hashed], rejected: dict[str, str], origins: dict[str, dict[str, str]]
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
        above = [row["name"], *map(str, PurePosixPath(row["name"]).parents)]
        origin = next((origins[beginning] for beginning in above if beginning in origins), {})
        row |= {"source": i, "bytes": (root / row["name"]).stat().st_size, **origin}
    return pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA), {row["name"]: row["source"] for row in rows}


def _rejected(meta: dict[str, Any], listed: str | os.PathLike[str] | None, used: set[str]) -> dict[str, str]:
    """The images that were left out as a whole, with reasons: unreadable ones, and those of a list."""
    reasons = {entry["image"]: str(entry["reason"]) for entry in meta.get("skipped") or []}
    for entry in [] if listed is None else read_rejects(listed):
        if entry.place is None and entry.image not in used:
            reasons[entry.image] = entry.reason
    known = meta.get("images") or {}
    return {image: reason for image, reason in reasons.items() if image in known and image not in used}


def _origins(given: Sequence[str]) -> dict[str, dict[str, str]]:
    """Where images are from, by the beginning of their paths, of which the longest counts."""
    origins = {}
    for item in given:
        if item.endswith(".csv"):
            for _, row in csv_rows(item, "a list of sources", ("image", "dataset")):
                about = {key: value for key in _ORIGIN if (value := row.get(key, "").strip())}
                origins[str(PurePosixPath(row["image"].strip().strip("/")))] = about
            continue
        dataset, _, url = map(str.strip, item.partition("="))
        if not (dataset and url):
            raise InputError(f"source: expected DATASET=URL, or a CSV file, got {item!r}")
        origins["."] = {"dataset": dataset, "url": url}
    return origins


def _run(run: str) -> dict[str, Any]:
    """The record of a training or an evaluation: run.json of a folder, or a JSON file, without lists of files."""
    folder = Path(run)
    document = read_json(folder / "run.json" if folder.is_dir() else folder, "JSON of `srfast train` or `srfast eval`")
    about: dict[str, Any] = plain({key: value for key, value in document.items() if key != "images"})
    if (log := folder / "log.csv").is_file():
        measured = [row for _, row in csv_rows(log, "the log of a training", ()) if row.get("psnr")]
        about["measured"] = plain(measured[-1]) if measured else None
    return about


@lru_cache(maxsize=1)
def _decoders() -> dict[str, str]:
    """The libraries on which pixels depend."""
    versions = {}
    for package in ("pillow", "simplejpeg", "numpy", "imagecodecs", "fpng-py"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    codecs = [c for c in ("jpg", "zlib", "libtiff", "jpg_2000") if features.check_codec(c)]
    webp = str(features.version_module("webp")) if features.check_module("webp") else "none"
    return {**versions, **{c: str(features.version_codec(c)) for c in codecs}, "webp": webp}


def _write(folder: Path, rows: ManifestRows, settings: ManifestArguments, name: str) -> int:
    files = {}
    for file, table in ((SOURCES, rows.sources), (PATCHES, rows.patches)):
        with atomic_path(folder / file) as temporary, TableWriter(temporary, table.schema, **CHECKED) as writer:
            writer.write_table(table, row_group_size=1 << 16)
        files[file] = hashing.of_file(folder / file), (folder / file).stat().st_size
    if (drawn := rows.draws(DOCUMENT)) is not None:
        write_parquet(folder / DRAWS, [drawn[0]], drawn[0].schema, drawn[1])
        files[DRAWS] = hashing.of_file(folder / DRAWS), (folder / DRAWS).stat().st_size
    with atomic_path(folder / DOCUMENT) as temporary:
        about = json.dumps(document(rows, files, name, settings), indent=1, ensure_ascii=False)
        temporary.write_text(about + "\n", encoding="utf-8")
    return sum(size for _, size in files.values()) + (folder / DOCUMENT).stat().st_size
