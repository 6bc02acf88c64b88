"""Score tables: what is refused on reading, what is written, and what must never be replaced."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import srfast
from srfast.coreset.selection import CoreSet, select
from srfast.data.files import check_output
from srfast.errors import InputError
from srfast.scoring.metadata import KEY, VERSION
from srfast.scoring.settings import COMPARED
from srfast.scoring.table import ROW_GROUP, SCHEMA, ScoreTable, write_parquet

META = {
    "version": VERSION, "root": "/photos", **dict.fromkeys(COMPARED, 1), "scorer": {}, "lr": None, "lr_template": None,
    "scale": 2, "images": {}, "skipped": [], "small": [],
}  # fmt: skip


def make_rows(n: int = 6, **columns: Any) -> pa.Table:
    rows = {
        "image": [f"{i // 3}.png" for i in range(n)],
        "x": np.arange(n, dtype=np.int32),
        "y": np.zeros(n, np.int32),
        "size": np.full(n, 96, np.int32),
        "loss": np.linspace(0, 5, n, dtype=np.float32),
        "bicubic": np.zeros(n, np.float32),
        "sobel": np.zeros(n, np.float32),
    }
    return pa.table({**rows, **columns}, schema=SCHEMA)


def write(path: Path, table: pa.Table, meta: object = META) -> Path:
    encoded = meta if isinstance(meta, bytes) else json.dumps(meta).encode()
    pq.write_table(table.replace_schema_metadata({KEY: encoded}), path)
    return path


def test_what_is_written_comes_back(tmp_path):
    meta = {**META, "root": "/photos/ä ö"}
    table = ScoreTable(make_rows(), meta)
    table.write(tmp_path / "scores.parquet")
    assert json.loads(pq.read_schema(tmp_path / "scores.parquet").metadata[b"srfast"]) == meta
    back = ScoreTable.read(tmp_path / "scores.parquet")
    assert back.meta == meta
    assert back.table.equals(table.table)
    assert len(back) == 6
    assert back.column("loss").dtype == np.float32
    assert back.column("image").tolist() == ["0.png"] * 3 + ["1.png"] * 3
    loose = pa.table({name: make_rows()[name] for name in SCHEMA.names})  # of columns that may have holes
    ScoreTable(loose, META).write(tmp_path / "loose.parquet")
    assert ScoreTable.read(tmp_path / "loose.parquet").table.schema.equals(SCHEMA)
    noted = make_rows().append_column("note", pa.array(["x"] * 6))
    assert ScoreTable.read(write(tmp_path / "noted.parquet", noted)).columns == [*SCHEMA.names, "note"]
    assert [f"{f.name} {f.type}" for f in back.table.schema] == [
        "image string", "x int32", "y int32", "size int32", "loss float", "bicubic float", "sobel float",
    ]  # fmt: skip


def test_bytes_do_not_depend_on_how_the_rows_came(tmp_path):
    n = ROW_GROUP + 1000
    rows = make_rows(n)
    cuts = {"whole": [n], "pieces": [1, 5, 0, 70_000, ROW_GROUP - 70_000, n - ROW_GROUP - 6]}
    for name, sizes in cuts.items():
        ends = np.cumsum([0, *sizes])
        pieces = [rows.slice(a, b - a) for a, b in itertools.pairwise(ends)]
        write_parquet(tmp_path / name, pieces, SCHEMA, META)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "pieces").read_bytes()
    assert pq.ParquetFile(tmp_path / "whole").num_row_groups == 2


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize("meta", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'"a"', DEEP, b'{"x": %b}' % DEEP])
def test_metadata_that_is_not_ours_is_refused(meta, tmp_path, refused):
    path = write(tmp_path / "s.parquet", make_rows(), meta)
    for read in (ScoreTable.read, srfast.select, srfast.CorePatches):
        refused(r"s\.parquet: expected a table written by srfast", read, path)


def test_foreign_files_are_refused(tmp_path, refused):
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "foreign.parquet")
    (tmp_path / "text.parquet").write_text("image,x,y\n")
    (tmp_path / "empty.parquet").write_bytes(b"")
    whole = write(tmp_path / "cut.parquet", make_rows(5000)).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(InputError, match="expected a core-set, got a score table"):
        CoreSet.read(write(tmp_path / "scores.parquet", make_rows()))
    for name, words in {
        "foreign": "written by srfast", "text": "not a readable parquet", "empty": "not a readable parquet",
        "cut": "not a readable parquet", "folder": "got a folder", "missing": "no such file",
    }.items():  # fmt: skip
        for read in (ScoreTable.read, CoreSet.read):
            refused(f"{name}.parquet: .*{words}", read, tmp_path / f"{name}.parquet")


def changed(column: str, values: Any, kind: pa.DataType | None = None) -> pa.Table:
    rows = make_rows()
    values = rows.column(column).cast(kind) if kind else pa.array(values, SCHEMA.field(column).type)
    return rows.set_column(rows.schema.get_field_index(column), column, values)


REFUSED: dict[str, tuple[pa.Table, dict[str, Any], str]] = {
    **{f"version {v}": (make_rows(), {"version": v}, "expected version 1") for v in (0, 2, "1.0", None, {"a": 1})},
    **{f"no {c}": (make_rows().drop_columns([c]), {}, f"expected a column '{c}'") for c in SCHEMA.names},
    **{
        f"{c} of {kind}": (changed(c, None, kind), {}, f"column '{c}': expected")
        for c, kind in (("x", pa.int64()), ("loss", pa.float64()), ("image", pa.binary()), ("size", pa.string()))
    },
    "holes": (changed("loss", [1.0, None, 1, 1, 1, 1]), {}, "column 'loss': expected no missing values"),
    **{f"negative {c}": (changed(c, [-1] * 6), {}, f"column '{c}': expected") for c in ("x", "y", "size")},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_score_table_is_refused(what, tmp_path):
    rows, meta, words = REFUSED[what]
    with pytest.raises(InputError, match=rf"s\.parquet: .*{words}"):
        ScoreTable.read(write(tmp_path / "s.parquet", rows, {**META, **meta}))


OUTSIDE = [
    "/etc/passwd", "../secret.png", "a/../../secret.png", "..", "", "a/..", "\\\\server\\share\\x.png", "\\x.png",
    "..\\secret.png", "a\\..\\..\\x.png", "C:/x.png", "C:\\x.png", "c:x.png", "//server/x.png", "a\0b.png",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_paths_outside_the_root_are_refused(name, tmp_path, refused):
    rows = make_rows(image=["0.png", name, *["1.png"] * 4])
    refused("expected a path inside the root", ScoreTable.read, write(tmp_path / "s.parquet", rows))
    core = rows.append_column(pa.field("rank", pa.int32(), False), pa.array(range(6), pa.int32()))
    with pytest.raises(InputError, match="expected a path inside the root"):
        CoreSet.read(write(tmp_path / "c.parquet", core, {**META, "selection": {}}))


@pytest.mark.parametrize(
    "name", ["a b.png", "café/ü.png", "<img src=x>.png", "a..b.png", ".../x.png", "deep/er/x.png", "12:30.png"]
)
def test_odd_names_inside_the_root_are_fine(name, tmp_path):
    rows = make_rows(image=[name] * 6)
    assert set(ScoreTable.read(write(tmp_path / "s.parquet", rows)).column("image")) == {name}


@pytest.mark.slow
def test_metadata_of_a_million_images(tmp_path):
    """pyarrow's own limit on a parquet footer is 100 MB."""
    meta = {**META, "note": "x" * 80_000_000}
    ScoreTable(make_rows(), meta).write(tmp_path / "s.parquet")
    assert len(ScoreTable.read(tmp_path / "s.parquet").meta["note"]) == 80_000_000
    check_output(tmp_path / "s.parquet", "score table")


def test_only_our_own_files_are_replaced(tmp_path):
    scores = ScoreTable(make_rows(), META)
    (tmp_path / "notes.txt").write_text("mine")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    for table, name in ((scores, "notes.txt"), (select(scores), "foreign.parquet")):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(InputError, match="was not written by srfast"):
            table.write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
