"""The document of a manifest: MLCommons Croissant 1.1 (http://mlcommons.org/croissant/1.1), written by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from srfast.coreset import manifest
from srfast.data.provenance import generator

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
_CONTEXT = {**dict(sorted(_CONTEXT.items())), manifest.KEY: {"@id": "urn:srfast:manifest", "@type": "@json"}}
_TYPES = {pa.int32(): "sc:Integer", pa.int64(): "sc:Integer", pa.float32(): "sc:Float", pa.string(): "sc:Text"}
_MEANS = {
    "source": "Number of the image.",
    "sha256": "SHA-256 of the image's file.",
    "pixels_sha256": "SHA-256 of 'RGB8 <width> <height>', a line feed, and R, G, B of every pixel as bytes, by rows.",
    "width": "Width in pixels, as srfast reads the file.",
    "height": "Height in pixels.",
    "bytes": "Size of the file.",
    "name": "Path of the image when it was scored; a hint only.",
    "dataset": "Data set of the image.",
    "version": "Version of that data set.",
    "licence": "Licence of the image.",
    "url": "Where the data set is.",
    "rejected": "Why the image was left out, if it was.",
    "shrink_numerator": "Numerator of the factor by which the image was shrunk.",
    "shrink_denominator": "Denominator of that factor.",
    "x": "Left side of the patch, in pixels of the shrunk image.",
    "y": "Top of the patch.",
    "size": "Side of the patch.",
    "rank": "Rank of the patch in the core-set, from 0 on.",
    "score": "Loss of the scorer: mean squared error on Y.",
    "bicubic": "The same loss of bicubic interpolation.",
    "sobel": "Mean gradient.",
}  # fmt: skip


def document(
    rows: manifest.ManifestRows, files: dict[str, tuple[str, int]], name: str, licence: str | None, url: str | None,
    creator: str | None, published: str | None,
) -> dict[str, Any]:  # fmt: skip
    """The JSON of a manifest; ``files`` are SHA-256 and bytes of the Parquet files, and ``licence`` is of the selection
    itself."""
    about = rows.about
    given = {
        "license": licence,
        "url": url,
        "creator": creator and {"@type": "sc:Person", "name": creator},
        "datePublished": published,
    }
    return {
        "generator": generator(manifest.KIND),
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
            _records("images", manifest.SOURCES, manifest.SOURCE_SCHEMA, "source"),
            _records("patches", manifest.PATCHES, manifest.PATCH_SCHEMA, "rank"),
        ],
        "prov:wasDerivedFrom": _derived(rows),
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:wasAssociatedWith": {"@type": "prov:SoftwareAgent", "name": "srfast", "version": about["srfast"]},
        },
        manifest.KEY: {"version": manifest.VERSION, "root_sha256": rows.root, "about": about},
    }  # fmt: skip


def _records(name: str, file: str, schema: pa.Schema, key: str) -> dict[str, Any]:
    fields = []
    for field in schema:
        record = {
            "@type": "cr:Field", "@id": f"{name}/{field.name}", "name": field.name, "description": _MEANS[field.name],
            "dataType": _TYPES[field.type],
            "source": {"fileObject": {"@id": file}, "extract": {"column": field.name}},
        }  # fmt: skip
        if name == "patches" and field.name == "source":
            record["references"] = {"field": {"@id": "images/source"}}
        fields.append(record)
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": f"{name}/{key}"}, "field": fields}


def _derived(rows: manifest.ManifestRows) -> list[dict[str, Any]]:
    """The data sets of the images, each once."""
    columns = [rows.sources.column(c).to_pylist() for c in ("dataset", "version", "licence", "url")]
    entities = []
    for dataset, version, licence, url in dict.fromkeys(zip(*columns, strict=True)):
        about = {"name": dataset, "version": version, "license": licence, "url": url}
        if dataset or url:
            entities.append({"@type": "prov:Entity", **{k: v for k, v in about.items() if v}})
    return entities
