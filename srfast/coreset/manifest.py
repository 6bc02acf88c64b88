"""A core-set without its pixels: which images and patches it holds, by hash, so that others can make it again.

A manifest is a folder of three or four files. ``sources.parquet`` has one row an image, ``patches.parquet`` one row a
patch. ``manifest.json`` describes both as an MLCommons Croissant 1.1 data set. Its key
``srfast`` says how the core-set was made (``about``), and has the root hash. With a degradation in ``about``,
``degradation.parquet`` has the draws, which follow from it and the images.

The root hash is SHA-256 over lines of ASCII text, each ended by a line feed. They are ``srfast manifest 1``; ``about``
as JSON with sorted keys; ``sources N`` and a line for each source; ``patches M`` and a line for each patch. A line of a
row is a JSON array of the columns in the order of the schema, without spaces; of a float32 it has the eight hexadecimal
digits of its bits. So the hash depends on the rows, and not on how a version of a library stores them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from srfast.data.files import check_input
from srfast.data.hashing import is_hash
from srfast.data.parquet import opened
from srfast.data.provenance import generator
from srfast.data.shrink import side
from srfast.degradation import rows as degradation
from srfast.errors import InputError
from srfast.scoring.table import check_columns

if TYPE_CHECKING:
    from srfast.coreset.settings import ManifestArguments

VERSION = 1
KIND = "manifest"
KEY = "srfast"
"""The key of ``manifest.json`` under which srfast's own object lies."""
SOURCES, PATCHES, DOCUMENT, DRAWS = "sources.parquet", "patches.parquet", "manifest.json", degradation.NAME
_INT, _TEXT, _FLOAT = pa.int32(), pa.string(), pa.float32()
_SOURCE = {
    "source": (_INT, "Number of the image."),
    "sha256": (_TEXT, "SHA-256 of the image's file."),
    "pixels_sha256": (
        _TEXT, "SHA-256 of 'RGB8 <width> <height>', a line feed, and R, G, B of every pixel as bytes, by rows."),
    "width": (_INT, "Width in pixels, as srfast reads the file."),
    "height": (_INT, "Height in pixels."),
    "bytes": (pa.int64(), "Size of the file."),
    "name": (_TEXT, "Path of the image when it was scored; a hint only."),
    "dataset": (_TEXT, "Data set of the image."),
    "version": (_TEXT, "Version of that data set."),
    "licence": (_TEXT, "Licence of the image."),
    "url": (_TEXT, "Where the data set is."),
    "rejected": (_TEXT, "Why the image was left out, if it was."),
}  # fmt: skip
"""The columns of images; those that were rejected have the reason, and no pixels if they cannot be decoded."""
_PATCH = {
    "source": _SOURCE["source"],
    "shrink_numerator": (_INT, "Numerator of the factor by which the image was shrunk."),
    "shrink_denominator": (_INT, "Denominator of that factor."),
    "x": (_INT, "Left side of the patch, in pixels of the shrunk image."),
    "y": (_INT, "Top of the patch."),
    "size": (_INT, "Side of the patch."),
    "rank": (_INT, "Rank of the patch in the core-set, from 0 on."),
    "score": (_FLOAT, "Loss of the scorer: mean squared error on Y."),
    "bicubic": (_FLOAT, "The same loss of bicubic interpolation."),
    "sobel": (_FLOAT, "Mean gradient."),
    "pixels_sha256": _SOURCE["pixels_sha256"],
}
SOURCE_SCHEMA, PATCH_SCHEMA = (pa.schema([(n, kind) for n, (kind, _) in c.items()]) for c in (_SOURCE, _PATCH))
_NEEDED = ("source", "sha256", "bytes", "name")
"""Columns of images that have a value in every row, as all columns of patches."""
_LARGEST = 1 << 26
"""Bytes of a JSON file."""
_FINEST = 1000
_SIDE = 1 << 28


@dataclass(frozen=True)
class ManifestRows:
    """The content of a manifest."""

    about: dict[str, Any]
    sources: pa.Table
    patches: pa.Table

    @cached_property
    def root(self) -> str:
        """The root hash."""
        digest = hashlib.sha256(f"srfast manifest {VERSION}\n{canonical(self.about)}\n".encode())
        for title, table in (("sources", self.sources), ("patches", self.patches)):
            digest.update(f"{title} {table.num_rows}\n".encode())
            for lines in _lines(table):
                digest.update(lines)
        return digest.hexdigest()

    def column(self, name: str) -> np.ndarray:
        """A column of numbers of the patches."""
        return np.asarray(self.patches.column(name).to_numpy())

    def draws(self, name: str) -> tuple[pa.Table, dict[str, Any]] | None:
        """``degradation.parquet``, made anew: its rows and metadata; None without a degradation. Raises InputError if
        ``about`` does not have one."""
        if (meta := self.about.get("degradation")) is None:
            return None
        if not isinstance(meta, dict):
            raise InputError(f"{name}: expected an object under degradation")
        sources = self.sources.select(["name", "pixels_sha256", "height", "width"]).to_pylist()
        images = []
        sizes = {*zip(self.column("source").tolist(), self.shrinks(), strict=True)}
        for number, factor in sorted(sizes, key=lambda s: (s[0], -s[1])):
            image, pixels, *shape = sources[number].values()
            images.append((image, pixels, str(factor), *(side(n, float(factor)) for n in shape)))
        return degradation.redrawn(meta, name, images)

    def shrinks(self) -> list[Fraction]:
        """The size of the image of each patch."""
        columns = (self.column(f"shrink_{part}").tolist() for part in ("numerator", "denominator"))
        return list(map(lru_cache(Fraction), *columns))


def canonical(value: Any) -> str:
    """JSON as the root hash takes it."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _lines(table: pa.Table) -> Iterator[bytes]:
    for batch in table.to_batches(max_chunksize=1 << 14):
        rows = map(canonical, zip(*map(_exact, batch.columns), strict=True))
        yield "".join(f"{row}\n" for row in rows).encode()


def _exact(column: pa.Array) -> list[Any]:
    """The values of a column; of float32 the hexadecimal digits of their bits."""
    if not pa.types.is_float32(column.type):
        return list(column.to_pylist())
    return [f"{bits:08x}" for bits in column.to_numpy(zero_copy_only=False).view(np.uint32).tolist()]


def read_manifest(folder: str | os.PathLike[str]) -> ManifestRows:
    """Reads a manifest, which may come from anybody: nothing that it names is opened. Raises InputError if a file is
    missing, too large or damaged, a value is out of range, or the root hash is not that of the rows."""
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: expected a folder with {DOCUMENT}, {SOURCES} and {PATCHES}")
    document = Path(folder, DOCUMENT)
    own: Any = read_json(document, "a manifest of srfast").get(KEY)
    about, stated = (own.get(key) for key in ("about", "root_sha256")) if isinstance(own, dict) else (None, None)
    if not isinstance(about, dict) or not is_hash(stated) or own["version"] != VERSION:
        raise InputError(f"{document}: expected a manifest of srfast, version {VERSION}, got another document")
    sources = _table(Path(folder, SOURCES), SOURCE_SCHEMA, _NEEDED)
    patches = _table(Path(folder, PATCHES), PATCH_SCHEMA, PATCH_SCHEMA.names)
    rows = ManifestRows(about, sources, patches)
    _check_sources(Path(folder, SOURCES), sources)
    _check_patches(Path(folder, PATCHES), rows)
    if rows.root != stated:
        raise InputError(
            f"{document}: expected the root hash {stated}, got rows of {rows.root}; it was changed since it was written"
        )
    if (drawn := rows.draws(str(document))) is not None:
        listed = _table(Path(folder, DRAWS), degradation.SCHEMA)
        if not listed.equals(drawn[0]):
            raise InputError(
                f"{Path(folder, DRAWS)}: expected the draws of {DOCUMENT}'s degradation and seed, got others"
            )
    return rows


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file, which should be ``what``. Raises InputError if it is none, or too large."""
    check_input(path, what)
    if path.stat().st_size > _LARGEST:
        raise InputError(f"{path}: refused, expected at most {_LARGEST >> 20} MiB")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable JSON file ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected {what}, got JSON without keys")
    return document


def _table(path: Path, schema: pa.Schema, needed: Sequence[str] = ()) -> pa.Table:
    with opened(path) as file:
        table = file.read(columns=schema.names).replace_schema_metadata(None)
    kinds = {pa.large_string(): pa.string()}
    table = table.cast(pa.schema([field.with_type(kinds.get(field.type, field.type)) for field in table.schema]))
    check_columns(path, table, pa.schema([field.with_nullable(field.name not in needed) for field in schema]))
    for name in schema.names:
        if name.endswith("sha256"):
            matches = pc.match_substring_regex(table.column(name), "^[0-9a-f]{64}$")
            _refuse(path, name, "SHA-256 in 64 lower-case hexadecimal digits", pc.invert(matches).fill_null(False))
    return table.select(schema.names).cast(schema)


def _refuse(path: Path, name: str, expected: str, bad: Any) -> None:
    """Raises InputError if a row [n] is bad."""
    if len(rows := np.flatnonzero(bad)):
        raise InputError(f"{path}: column {name!r}: expected {expected}, row {rows[0]} is another")


def _check_sources(path: Path, sources: pa.Table) -> None:
    _refuse(path, "source", "0, 1, 2, ...", sources["source"].to_numpy() != np.arange(len(sources)))
    kept = pc.is_null(sources["rejected"])
    for name, most in (("width", _SIDE), ("height", _SIDE), ("bytes", 1 << 62)):
        values = sources[name].to_numpy()
        _refuse(path, name, "sizes of an image", (values < 1) | (values > most))
    for name in ("pixels_sha256", "width", "height"):
        _refuse(path, name, "values of images that were not rejected", pc.and_(kept, pc.is_null(sources[name])))


def _check_patches(path: Path, rows: ManifestRows) -> None:
    if not rows.patches.num_rows:
        raise InputError(f"{path}: expected at least one patch, got an empty table")
    refuse = partial(_refuse, path)
    over, under = rows.column("shrink_numerator"), rows.column("shrink_denominator")
    refuse("shrink_denominator", f"1 to {_FINEST}", (under < 1) | (under > _FINEST))
    refuse("shrink_numerator", "1 to the denominator", (over < 1) | (over > under))
    source, rank = rows.column("source"), rows.column("rank")
    kept = pc.is_null(rows.sources["rejected"]).to_numpy().astype(bool)
    refuse("source", "the number of a source", (source < 0) | (source >= len(kept)))
    refuse("source", "a source that was not rejected", ~kept[source])
    refuse("rank", "numbers from 0 on", rank < 0)
    if len(np.unique(rank)) < len(rank):
        raise InputError(f"{path}: column 'rank': expected each rank once")
    for name in ("score", "bicubic", "sobel"):
        refuse(name, "finite numbers", ~np.isfinite(rows.column(name)))
    factor = np.array([float(f) for f in rows.shrinks()])
    for name, length in (("x", "width"), ("y", "height")):
        limit = np.ceil(rows.sources[length].to_numpy()[source] * factor)  # as ``shrink.side``
        refuse(name, "a place inside the image", rows.column(name).astype(np.int64) + rows.column("size") > limit)


def plain(value: Any) -> Any:
    """Settings as a manifest has them: JSON without paths of this machine and without what JSON lacks."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, str):
        return Path(value).name if os.path.isabs(value) else value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


_OWN = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty fileSet format "
    "includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace "
    "samplingRate separator source subField transform"
).split()
"""Terms that are Croissant's own."""
_CONTEXT: dict[str, Any] = {
    **{term: f"cr:{term}" for term in _OWN},
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
_CONTEXT = {**dict(sorted(_CONTEXT.items())), KEY: {"@id": "urn:srfast:manifest", "@type": "@json"}}
_TYPES = {pa.int32(): "sc:Integer", pa.int64(): "sc:Integer", pa.float32(): "sc:Float", pa.string(): "sc:Text"}


def document(
    rows: ManifestRows, files: dict[str, tuple[str, int]], name: str, settings: ManifestArguments
) -> dict[str, Any]:
    """The JSON of a manifest; ``files`` are SHA-256 and bytes of the Parquet files, and the licence is of the selection
    itself."""
    about = rows.about
    given = {
        "license": settings.licence,
        "url": settings.url,
        "creator": settings.creator and {"@type": "sc:Person", "name": settings.creator},
        "datePublished": settings.published,
    }
    return {
        "generator": generator(KIND),
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": name,
        "description": f"{rows.patches.num_rows:,} patches of images, chosen by srfast for training super-resolution "
        "models: their places, ranks and hashes, without pixels. `srfast rebuild` makes the core-set from the images.",
        "version": "1.0.0",
        **{key: value for key, value in given.items() if value},
        "distribution": [
            {
                "@type": "cr:FileObject", "@id": file, "name": file, "contentUrl": file, "sha256": digest,
                "contentSize": f"{size} B", "encodingFormat": "application/x-parquet",
            }
            for file, (digest, size) in files.items()
        ],
        "recordSet": [
            _records("images", SOURCES, _SOURCE, "source"),
            _records("patches", PATCHES, _PATCH, "rank"),
        ],
        "prov:wasDerivedFrom": _derived(rows),
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:wasAssociatedWith": {"@type": "prov:SoftwareAgent", "name": "srfast", "version": about["srfast"]},
        },
        KEY: {"version": VERSION, "root_sha256": rows.root, "about": about},
    }  # fmt: skip


def _records(name: str, file: str, columns: Mapping[str, Any], key: str) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field", "@id": f"{name}/{column}", "name": column, "description": means,
            "dataType": _TYPES[kind],
            "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
            **({"references": {"field": {"@id": "images/source"}}} if (name, column) == ("patches", "source") else {}),
        }
        for column, (kind, means) in columns.items()
    ]  # fmt: skip
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": f"{name}/{key}"}, "field": fields}


_ORIGIN = ["name", "version", "license", "url"]


def _derived(rows: ManifestRows) -> list[dict[str, Any]]:
    """The data sets of the images, each once."""
    about = rows.sources.select(["dataset", "version", "licence", "url"]).rename_columns(_ORIGIN)
    each = dict.fromkeys(tuple(row.items()) for row in about.to_pylist() if row["name"] or row["url"])
    return [{"@type": "prov:Entity", **{k: v for k, v in row if v}} for row in each]
