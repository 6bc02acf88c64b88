"""The images of a table as they are now: one rule, in one message, for everything that opens them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.coreset.duplicates import find_duplicates
from srfast.errors import InputError
from srfast.scoring.metadata import KEY
from srfast.scoring.table import ScoreTable
from srfast.training.sources import open_store

pytest.importorskip("faiss", reason="dedup needs faiss")
pytest.importorskip("sklearn", reason="clusters need scikit-learn")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, np.ndarray]) -> ScoreTable:
    root = tmp_path_factory.mktemp("scored")
    for name in ("astronaut", "coffee"):
        Image.fromarray(photographs[name][100:196, 100:196]).save(root / f"{name}.png", compress_level=0)
    return srfast.score(root, patch=48, stride=48, scorer="bicubic")


def _written(folder: Path, rows: pa.Table, meta: dict[str, Any]) -> Path:
    """A table as it is, whatever is wrong with it."""
    pq.write_table(rows.replace_schema_metadata({KEY: json.dumps(meta).encode()}), folder / "scores.parquet")
    return folder / "scores.parquet"


def _train(table: ScoreTable, folder: Path, root: Path | None) -> None:
    store, _ = open_store([_written(folder, table.table, table.meta)], 2, color="y", patch=24, root=root)
    store.fill()


def _photo(table: ScoreTable) -> Path:
    return Path(table.meta["root"]) / "astronaut.png"


READERS: dict[str, Callable[[ScoreTable, Path, Path | None], object]] = {
    "export": lambda t, folder, root: srfast.export(t, folder / "out", root=root),
    "CorePatches": lambda t, _, root: list(srfast.CorePatches(t, root=root)),
    "train": _train,
    "dedup": lambda t, _, root: find_duplicates(t, root=root),
    "hdc": lambda t, _, root: srfast.select(t, method="hdc", root=root),
    "diverse": lambda t, _, root: srfast.select(t, method="diverse", root=root),
    "similar": lambda t, _, root: srfast.select(t, method="similar", target=_photo(t), root=root),
    "influence": lambda t, _, root: srfast.influence(t, _photo(t), probes=10, root=root),
}


def _with(table: ScoreTable, column: str, value: int) -> ScoreTable:
    values = table.column(column).copy()
    values[1] = value
    at = table.table.schema.get_field_index(column)
    return ScoreTable(table.table.set_column(at, table.table.schema.field(at), pa.array(values)), table.meta)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("column", "value"), [("x", -2), ("y", -96), ("size", 0), ("x", 62), ("size", 98), ("y", 2**31 - 8)]
)
def test_patches_outside_their_image_are_refused(reader, column, value, scored, tmp_path):
    bad = _with(scored, column, value)
    with pytest.raises(InputError, match=r"expected at (least|most) |lies outside the image|expected patches of 48"):
        READERS[reader](bad, tmp_path, None)
    assert not (tmp_path / "out").exists()


def test_a_report_refuses_negative_places_and_leaves_out_those_beyond_the_image(scored, tmp_path, caplog):
    for column, value in (("x", -2), ("y", -96), ("size", 0), ("y", 2**31 - 8)):
        with pytest.raises(InputError, match=f"column '{column}': expected at (least|most) "):
            srfast.write_report(_with(scored, column, value), None, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())
    srfast.write_report(_with(scored, "x", 62), None, tmp_path / "report.html")
    assert "1 of 8 pictures cannot be shown" in caplog.text


@pytest.mark.parametrize("reader", READERS)
def test_changed_images_are_refused_and_moved_ones_are_not(reader, scored, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(scored.meta["root"], moved)
    here = ScoreTable(scored.table, {**scored.meta, "root": str(moved)})
    coffee = moved / "coffee.png"
    whole, state = coffee.read_bytes(), coffee.stat()
    with Image.open(coffee) as photograph:
        photograph.transpose(Image.Transpose.ROTATE_180).save(coffee, compress_level=0)
    assert coffee.stat().st_size == state.st_size
    os.utime(coffee, ns=(state.st_atime_ns, state.st_mtime_ns))
    for root in (None, moved):
        with pytest.raises(InputError, match=r"coffee\.png: has changed since it was scored; score it again"):
            READERS[reader](here, tmp_path, root)
    assert not (tmp_path / "out").exists()
    coffee.write_bytes(whole)
    os.utime(coffee, ns=(1, 1))
    READERS[reader](scored, tmp_path, moved)
    with open(moved / "coffee.png", "ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match=r"coffee\.png: has changed since it was scored; score it again"):
        READERS[reader](scored, tmp_path / "again", moved) if reader != "train" else _train(scored, tmp_path, moved)


HOSTILE: dict[str, dict[str, Any]] = {
    "root": {"root": 7}, "NUL": {"root": "a\0b"}, "images": {"images": ["a.png"]},
    "an image": {"images": {"coffee.png": None}}, "a size": {"images": {"coffee.png": {"size": "1", "mtime_ns": 2}}},
    "lr": {"images": {"coffee.png": {"size": 1, "mtime_ns": 2, "lr": [1]}}}, "selection": {"selection": [1]},
    "skipped": {"skipped": {"a": 1}}, "an entry": {"skipped": [3]}, "small": {"small": "x"}, "scale": {"scale": "2"},
    "surrogate": {"root": "\ud800"},
    "rows": {"images": {"coffee.png": {"size": 1, "mtime_ns": 2, "rows": -4}}},
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_damaged_metadata_are_one_line(what, scored, tmp_path):
    path = _written(tmp_path, scored.table, {**scored.meta, **HOSTILE[what]})
    for read in (ScoreTable.read, srfast.CorePatches, srfast.select):
        with pytest.raises(InputError, match="its metadata have been damaged: "):
            read(path)


def test_metadata_that_say_less_are_no_damage(scored, tmp_path):
    for images in ({}, {"coffee.png": {}}, {"coffee.png": {"rows": 4}}):
        path = _written(tmp_path, scored.table, {**scored.meta, "images": images, "shard": [0, 0]})
        assert len(srfast.select(path, keep=1.0)) == len(srfast.CorePatches(path)) == len(scored)


@pytest.mark.parametrize("rows", [10**30, 1 << 40, 1 << 31, 5, 0, None])
def test_a_table_that_does_not_say_which_rows_are_whose_is_not_resumed(rows, scored, tmp_path):
    images = {n: {k: v for k, v in s.items() if k != "rows"} for n, s in scored.meta["images"].items()}
    images["coffee.png"] |= {"rows": rows} if rows is not None else {}
    meta = {**scored.meta, "images": {**scored.meta["images"], "coffee.png": images["coffee.png"]}}
    path = _written(tmp_path, scored.table, meta)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"scores\.parquet: cannot be resumed: rows were taken out"):
        srfast.score(scored.meta["root"], patch=48, stride=48, scorer="bicubic", output=path, resume=True)
    assert path.read_bytes() == before


def test_two_columns_of_one_name_and_names_that_are_no_text_are_refused(scored, tmp_path):
    table = scored.table.append_column("loss", scored.table["loss"])
    path = _written(tmp_path, table, scored.meta)
    inside = table.replace_schema_metadata({KEY: json.dumps(scored.meta).encode()})
    for read in (ScoreTable.read, srfast.CorePatches, srfast.select, lambda _: srfast.CorePatches(inside)):
        with pytest.raises(InputError, match="column 'loss' occurs twice"):
            read(path)
    broken = pa.array([b"\xff\xfe.png"] * len(scored), pa.binary()).view(pa.string())
    table = scored.table.set_column(0, scored.table.schema.field("image"), broken)
    with pytest.raises(InputError, match="'image': expected names in UTF-8"):
        srfast.CorePatches(ScoreTable(table, scored.meta))
