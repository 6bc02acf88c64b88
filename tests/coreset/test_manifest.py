"""Manifests: what is published, its root hash by a plain loop, what strangers may put into one, and its size."""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import srfast
from srfast.coreset import source_search
from srfast.coreset.manifest import DRAWS, PATCH_SCHEMA, PATCHES, SOURCE_SCHEMA, SOURCES, ManifestRows, read_manifest
from srfast.coreset.publishing import ManifestArguments, _write
from srfast.data.images import read_rgb
from srfast.data.shrink import shrunk
from srfast.errors import InputError


@pytest.fixture
def coreset(photo_folder):
    scores = srfast.score(photo_folder, patch=48, stride=24, mode="dense", scorer="bicubic", shrink="1,1/2")
    return srfast.select(scores, keep=0.3)


@pytest.fixture
def published(coreset, tmp_path):
    srfast.manifest(coreset, tmp_path / "m", source=["PHOTOS=https://example.org/photos"])
    return tmp_path / "m"


def rows_of(folder):
    document = json.loads((folder / "manifest.json").read_text())
    return document, *(pq.read_table(folder / name).to_pylist() for name in (SOURCES, PATCHES))


def test_a_manifest_holds_the_hashes_of_its_images_and_patches(coreset, published):
    document, sources, patches = rows_of(published)
    root = Path(coreset.meta["root"])
    assert sorted(s["name"] for s in sources) == sorted(set(coreset["image"]))
    for source in sources:
        pixels = read_rgb(root / source["name"])
        height, width = pixels.shape[:2]
        assert source["sha256"] == hashlib.sha256((root / source["name"]).read_bytes()).hexdigest()
        assert source["bytes"] == (root / source["name"]).stat().st_size
        assert (source["width"], source["height"]) == (width, height)
        assert (
            source["pixels_sha256"] == hashlib.sha256(b"RGB8 %d %d\n" % (width, height) + pixels.tobytes()).hexdigest()
        )
        assert (source["dataset"], source["url"]) == ("PHOTOS", "https://example.org/photos")
    assert [p["rank"] for p in patches] == coreset["rank"].tolist()
    for patch, row in zip(patches, coreset, strict=True):
        factor = patch["shrink_numerator"] / patch["shrink_denominator"]
        assert (patch["x"], patch["y"], patch["size"], factor) == (row["x"], row["y"], row["size"], row["shrink"])
        assert sources[patch["source"]]["name"] == row["image"]
        image = shrunk(read_rgb(root / row["image"]), factor)
        crop = image[row["y"] : row["y"] + row["size"], row["x"] : row["x"] + row["size"]]
        assert patch["pixels_sha256"] == hashlib.sha256(b"RGB8 48 48\n" + crop.tobytes()).hexdigest()
        assert patch["score"] == row["loss"]
    assert str(root) not in json.dumps(document), "a manifest names no folder of this machine"
    for file in document["distribution"]:
        assert file["sha256"] == hashlib.sha256((published / file["contentUrl"]).read_bytes()).hexdigest()


def plain_root(document, sources, patches):
    """The root hash as the documentation defines it."""

    def line(row, schema):
        cells = [struct.pack(">f", row[f.name]).hex() if f.type == pa.float32() else row[f.name] for f in schema]
        return json.dumps(cells, separators=(",", ":"))

    about = json.dumps(document["srfast"]["about"], sort_keys=True, separators=(",", ":"))
    lines = ["srfast manifest 1", about, f"sources {len(sources)}", *(line(s, SOURCE_SCHEMA) for s in sources)]
    lines += [f"patches {len(patches)}", *(line(p, PATCH_SCHEMA) for p in patches)]
    return hashlib.sha256("".join(f"{text}\n" for text in lines).encode("ascii")).hexdigest()


def test_the_root_hash_is_that_of_its_definition(published):
    assert plain_root(*rows_of(published)) == rows_of(published)[0]["srfast"]["root_sha256"]


def test_the_root_hash_never_changes():
    source = dict.fromkeys(SOURCE_SCHEMA.names) | {
        "source": 0, "sha256": "a" * 64, "pixels_sha256": "b" * 64, "width": 9, "height": 8, "bytes": 7,
        "name": "é.png",
    }  # fmt: skip
    patch = dict.fromkeys(PATCH_SCHEMA.names, 1) | {"source": 0, "score": 0.1, "pixels_sha256": "c" * 64}
    tables = [pa.Table.from_pylist([row], schema=s) for row, s in ((source, SOURCE_SCHEMA), (patch, PATCH_SCHEMA))]
    assert (
        ManifestRows({"b": 0.1, "a": ["é"]}, *tables).root
        == "4c8581fbf4860e03fb1978aa9dd3ed2be8c95ce678b0ae04e6fbfafd50be851a"
    )


def test_another_way_of_storing_the_rows_is_the_same_manifest(published, tmp_path):
    known = read_manifest(published)
    for name, columns in ((SOURCES, ("name", "sha256")), (PATCHES, ("pixels_sha256",))):
        table = pq.read_table(published / name)
        for column in columns:
            at = table.schema.get_field_index(column)
            table = table.set_column(at, column, table[column].cast(pa.large_string()))
        pq.write_table(table, published / name, compression="gzip", row_group_size=3, use_dictionary=False)
    assert read_manifest(published).root == known.root


def test_the_same_core_set_gives_the_same_bytes(coreset, published, tmp_path):
    srfast.manifest(coreset, tmp_path / "again", source=["PHOTOS=https://example.org/photos"], name="m")
    for name in (SOURCES, PATCHES, "manifest.json"):
        assert (tmp_path / "again" / name).read_bytes() == (published / name).read_bytes()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # pandas, of mlcroissant's own reader
def test_croissant_readers_read_every_record(published):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant reads the document")
    data = mlcroissant.Dataset(jsonld=published / "manifest.json")
    assert not data.metadata.ctx.issues.errors
    _, sources, patches = rows_of(published)
    for name, rows in (("images", sources), ("patches", patches)):
        records = list(data.records(name))
        assert len(records) == len(rows)
        for record, row in zip(records, rows, strict=True):
            for column, value in row.items():
                got = record[f"{name}/{column}"]
                assert (got.decode() if isinstance(got, bytes) else got) == value


def test_what_was_rejected_is_published_with_its_reason(photo_folder, tmp_path):
    (photo_folder / "broken.jpg").write_bytes(b"no image")
    scores = srfast.score(photo_folder, patch=48, scorer="bicubic", skip_bad=True)
    (tmp_path / "rejects.csv").write_text("image,x,y,size,reason\nchelsea.jpg,,,,noisy\nastronaut.png,0,0,48,text\n")
    coreset = srfast.select(scores, keep=0.5, reject=tmp_path / "rejects.csv")
    (tmp_path / "from.csv").write_text("image,dataset,version,licence,url\n,ALL,1,,\nsub,SUB,2,CC0,https://x.org\n")
    made = srfast.manifest(
        coreset, tmp_path / "m", rejects=tmp_path / "rejects.csv", source=[str(tmp_path / "from.csv")]
    )
    assert made.rejected == 2
    by_name = {s["name"]: s for s in rows_of(tmp_path / "m")[1]}
    assert by_name["chelsea.jpg"]["rejected"] == "noisy"
    assert "not an image" in by_name["broken.jpg"]["rejected"]
    assert by_name["broken.jpg"]["sha256"] == hashlib.sha256(b"no image").hexdigest()
    assert by_name["astronaut.png"]["rejected"] is None
    assert {s["dataset"] for n, s in by_name.items() if n.startswith("sub/")} == {"SUB"}
    assert by_name["astronaut.png"]["dataset"] == "ALL"
    assert srfast.rebuild(tmp_path / "m", photo_folder, verify=True).images == made.images


def test_an_interrupted_run_goes_on(coreset, tmp_path, monkeypatch, interrupted):
    interrupted(srfast.manifest, coreset, tmp_path / "m", after=2)
    assert not (tmp_path / "m").exists()
    decoded = []
    real = source_search.read_hashed
    monkeypatch.setattr(source_search, "read_hashed", lambda path: (decoded.append(path), real(path))[1])
    journal = tmp_path / "m.parts" / "hashed.jsonl"
    journal.write_text(journal.read_text() + '["half a li')
    srfast.manifest(coreset, tmp_path / "m")
    assert len(decoded) == len(set(coreset["image"])) - 2
    srfast.manifest(coreset, tmp_path / "whole", name="m")
    assert (tmp_path / "m/manifest.json").read_bytes() == (tmp_path / "whole/manifest.json").read_bytes()
    assert sorted(p.name for p in (tmp_path / "m").iterdir() if p.name[0] != ".") == [
        "manifest.json", PATCHES, SOURCES,
    ]  # fmt: skip


def test_changed_images_and_taken_outputs_are_refused(coreset, tmp_path, refused):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    refused("mine: exists; choose another output", srfast.manifest, coreset, tmp_path / "mine")
    path = Path(coreset.meta["root"]) / coreset["image"][0]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=r"has changed since it was scored; score it again|cannot be decoded"):
        srfast.manifest(coreset, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def replace(folder, name, column, value):
    table = pq.read_table(folder / name)
    values = table[column].to_pylist()
    values[-1] = value
    at = table.schema.get_field_index(column)
    pq.write_table(
        table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type)), folder / name
    )


def rewritten(change):
    def apply(folder):
        path = folder / "manifest.json"
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return apply


def million(folder):
    """A file of kilobytes that claims 100 million rows."""
    run = pa.array(np.zeros(100_000_000, np.int8)).cast(pa.int32())
    pq.write_table(pa.table({"source": run}), folder / PATCHES, compression="zstd")


HOSTILE = {
    "no document": (lambda f: (f / "manifest.json").unlink(), "no such file"),
    "no JSON": (lambda f: (f / "manifest.json").write_bytes(b"\xff{"), "not a readable JSON file"),
    "deep JSON": (lambda f: (f / "manifest.json").write_text("[" * 100_000), "not a readable JSON file"),
    "a list": (rewritten(lambda d: [d]), "got JSON without keys"),
    "a number": (rewritten(lambda d: {**d, "srfast": 7}), "expected a manifest of srfast, version 1"),
    "a version": (rewritten(lambda d: {**d, "srfast": {**d["srfast"], "version": 2}}), "expected a manifest of srfast"),
    "another root": (
        rewritten(lambda d: {**d, "srfast": {**d["srfast"], "root_sha256": "0" * 64}}), "expected the root hash 0000"
    ),
    "other settings": (
        rewritten(lambda d: {**d, "srfast": {**d["srfast"], "about": {"srfast": "9"}}}),
        "expected the root hash",
    ),
    "no rows": (lambda f: (f / PATCHES).unlink(), "no such file"),
    "a link to a device": (
        lambda f: ((f / SOURCES).unlink(), (f / SOURCES).symlink_to("/dev/zero")), "expected a parquet file, got a"
    ),
    "no parquet": (lambda f: (f / PATCHES).write_bytes(b"PAR1"), "not a readable parquet file"),
    "a bomb": (million, "refused|expected"),
    "a hash": (lambda f: replace(f, SOURCES, "sha256", "../../etc/passwd"), "expected SHA-256"),
    "a source": (lambda f: replace(f, PATCHES, "source", 99), "expected the number of a source"),
    "a negative source": (lambda f: replace(f, PATCHES, "source", -1), "expected the number of a source"),
    "a place": (lambda f: replace(f, PATCHES, "x", 2000), "expected a place inside the image"),
    "a size": (lambda f: replace(f, PATCHES, "size", 0), "expected at least 1"),
    "a rank": (lambda f: replace(f, PATCHES, "rank", 0), "expected each rank once"),
    "a shrink": (lambda f: replace(f, PATCHES, "shrink_denominator", 0), "expected 1 to 1000"),
    "a width": (lambda f: replace(f, SOURCES, "width", 2**31 - 1), "expected sizes of an image"),
    "a score": (lambda f: replace(f, PATCHES, "score", float("nan")), "expected finite numbers"),
    "a name": (lambda f: replace(f, SOURCES, "name", None), "expected no missing values"),
    "another name": (lambda f: replace(f, SOURCES, "name", "../../x\n\x1b[2J"), "expected the root hash"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_manifest_of_a_stranger_is_judged_before_it_is_used(what, published, photo_folder, tmp_path, refused):
    change, words = HOSTILE[what]
    change(published)
    refused(words, srfast.rebuild, published, photo_folder, output=tmp_path / "r.parquet")
    assert not (tmp_path / "r.parquet").exists()


STRANGE = [
    {"scoring": {"scale": "2", "mode": "dense"}},
    {"scoring": []},
    {"scoring": {"scale": 2, "mode": "dense", "shrink": ["1", "x"]}},
    {"scoring": {"scale": 2, "mode": "dense", "shrink": ["1", "1/2"], "patch": "48"}},
    {"selection": [1]},
    *({"degradation": value} for value in (3, {}, {"content": {}, "scale": 2, "seed": 0, "draws": 1})),
    *(
        {"degradation": {"content": {"operation": [{"do": "bicubic"}]}, "scale": 2, "seed": 0, "draws": 1, **wrong}}
        for wrong in ({"seed": -1}, {"draws": 10**9}, {"scale": True})
    ),
]


@pytest.mark.parametrize("about", STRANGE, ids=str)
def test_settings_of_wrong_types_are_refused_though_the_root_hash_is_theirs(
    about, published, photo_folder, tmp_path, refused
):
    known = read_manifest(published)
    rows = ManifestRows({**known.about, **about}, known.sources, known.patches)
    document = json.loads((published / "manifest.json").read_text())
    document["srfast"] |= {"about": rows.about, "root_sha256": rows.root}
    (published / "manifest.json").write_text(json.dumps(document))
    refused("expected", srfast.rebuild, published, photo_folder, output=tmp_path / "r.parquet")


def test_a_hundred_thousand_patches_take_under_ten_megabytes(tmp_path):
    rng = np.random.default_rng(0)

    def hashes(n):
        return [row.tobytes().hex() for row in rng.integers(0, 256, (n, 32), np.uint8)]

    images, n = 3450, 100_000
    some = {f.name: pa.array(rng.integers(1, 2040, images), f.type) for f in SOURCE_SCHEMA if f.type != pa.string()}
    names = [f"DF2K/train_HR/{i:06d}.png" for i in range(images)]
    text = {"sha256": hashes(images), "pixels_sha256": hashes(images), "name": names}
    sources = {f.name: some.get(f.name, text.get(f.name, [None] * images)) for f in SOURCE_SCHEMA}
    patches = {
        "source": rng.integers(0, images, n), "rank": np.arange(n), "size": np.full(n, 96), "pixels_sha256": hashes(n),
        "x": rng.integers(0, 2000, n), "y": rng.integers(0, 1400, n),
        **{c: rng.gamma(2, 50, n).astype(np.float32) for c in ("score", "bicubic", "sobel")},
        **{c: np.ones(n) for c in ("shrink_numerator", "shrink_denominator")},
    }  # fmt: skip
    tables = [
        pa.table({f.name: pa.array(columns[f.name], f.type, safe=False) for f in schema}, schema=schema)
        for schema, columns in ((SOURCE_SCHEMA, sources), (PATCH_SCHEMA, patches))
    ]
    assert _write(tmp_path, ManifestRows({"srfast": "0"}, *tables), ManifestArguments(), "m") < 10_000_000


@pytest.fixture
def degraded(coreset, tmp_path):
    srfast.export(coreset, tmp_path / "pairs", degradation="realesrgan", draws=2, seed=5)
    srfast.manifest(coreset, tmp_path / "d", degradation=tmp_path / "pairs" / "degradation.parquet")
    return tmp_path / "d"


def test_draws_are_published_and_make_the_same_pairs(coreset, degraded, photo_folder, tmp_path):
    document, *_ = rows_of(degraded)
    assert {k: document["srfast"]["about"]["degradation"][k] for k in ("scale", "seed", "draws")} == {
        "scale": 2, "seed": 5, "draws": 2,
    }  # fmt: skip
    assert [f["name"] for f in document["distribution"]] == [SOURCES, PATCHES, DRAWS]
    text = json.dumps(document) + str(pq.read_schema(degraded / DRAWS).metadata)
    assert str(tmp_path) not in text, "a manifest names no folder of this machine"
    one, other = (pq.read_table(p / DRAWS).to_pylist() for p in (degraded, tmp_path / "pairs"))
    assert len(one) == len(other)
    assert all(row in other for row in one)
    srfast.rebuild(degraded, photo_folder, output=tmp_path / "again.parquet")
    srfast.export(tmp_path / "again.parquet", tmp_path / "same", degradation=degraded / DRAWS, draws=2, seed=5)
    low = sorted((tmp_path / "pairs" / "LRx2").iterdir())
    assert low
    assert [p.read_bytes() for p in low] == [(tmp_path / "same" / "LRx2" / p.name).read_bytes() for p in low]


def test_other_draws_are_refused(coreset, degraded, photo_folder, tmp_path):
    known = pq.read_table(degraded / DRAWS)
    sigma = known["sigma_x"].to_numpy(zero_copy_only=False)
    changed = known.set_column(
        known.schema.get_field_index("sigma_x"), "sigma_x", pa.array(sigma + 1e-9, from_pandas=True)
    )
    for table in (changed, known.slice(1)):
        pq.write_table(table.cast(known.schema), degraded / DRAWS)
        with pytest.raises(InputError, match=r"expected the draws of manifest.json's degradation and seed"):
            srfast.rebuild(degraded, photo_folder, verify=True)
    srfast.export(coreset[:1], tmp_path / "less", degradation="realesrgan", draws=2, seed=5)
    with pytest.raises(InputError, match=r"less.degradation.parquet: expected draws of .* got none, or others"):
        srfast.manifest(coreset, tmp_path / "m", degradation=tmp_path / "less" / DRAWS)
    with pytest.raises(InputError, match="expected a table written by srfast"):
        srfast.manifest(coreset, tmp_path / "m", degradation=degraded / SOURCES)
    assert not (tmp_path / "m").exists()
