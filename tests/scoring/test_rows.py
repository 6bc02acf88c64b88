"""Score tables and core-sets as a user meets them in Python."""

import numpy as np
import pyarrow.compute as pc
import pytest

import srfast
from srfast.coreset.joining import join_columns
from srfast.errors import InputError
from srfast.scoring.statistics import summary


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> srfast.ScoreTable:
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in ("a <b>.png", "b.png"):
        Image.fromarray(rng.integers(0, 256, (96, 144, 3), np.uint8)).save(folder / name)
    return srfast.score(folder, patch=48, scorer="bicubic")


def test_one_line_says_what_it_is(table):
    for rows, kind in ((table, "ScoreTable"), (srfast.select(table), "CoreSet")):
        text = repr(rows)
        assert text.startswith(f"{kind}({len(rows)} patches of 2 images, x2, 48 px, stride 48, patch, bicubic; loss ")
        assert "\n" not in text
        assert len(text) < 160
    empty = table[:0]
    assert repr(empty).startswith("ScoreTable(0 patches of 0 images")


def test_columns_and_rows(table):
    loss = table["loss"]
    np.testing.assert_array_equal(loss, table.column("loss"))
    np.testing.assert_array_equal(loss, table.table["loss"].to_numpy())
    assert table.columns[:4] == ["image", "x", "y", "size"]
    np.testing.assert_array_equal(table[2:9:3]["loss"], loss[2:9:3])
    np.testing.assert_array_equal(table[::-1]["loss"], loss[::-1])
    np.testing.assert_array_equal(table[loss > loss.mean()]["loss"], loss[loss > loss.mean()])
    np.testing.assert_array_equal(table[[3, -1]]["loss"], loss[[3, -1]])
    np.testing.assert_array_equal(table[pc.field("loss") > 5000.0]["loss"], loss[loss > 5000.0])
    assert len(table.head(3)) == 3
    assert len(table.head(-1)) == 0
    assert type(srfast.select(table)[:2]) is srfast.CoreSet
    assert table[:2].meta == table.meta


def test_slices_of_joined_pieces(table):
    """A column in several chunks with offsets, as concatenated and sliced Arrow tables have."""
    import pyarrow as pa

    pieces = srfast.ScoreTable(pa.concat_tables([table.table.slice(3, 4), table.table.slice(1, 2)]), table.meta)
    expected = np.concatenate([table["loss"][3:7], table["loss"][1:3]])
    np.testing.assert_array_equal(pieces["loss"], expected)
    np.testing.assert_array_equal(pieces["x"], np.concatenate([table["x"][3:7], table["x"][1:3]]))


def test_no_caller_changes_the_scores_through_a_column(table, tmp_path):
    """Parquet files are read into writable memory: a method that worked in place changed the losses of the core-set."""

    def standardised(rows):
        loss = rows["loss"]
        loss -= loss.mean()
        return loss

    table.write(tmp_path / "scores.parquet")
    read = srfast.ScoreTable.read(tmp_path / "scores.parquet")
    with pytest.raises(ValueError, match="read-only"):
        srfast.select(read, method=standardised)
    for rows in (read, srfast.select(read), table[::2]):
        for name in rows.columns[1:]:
            with pytest.raises(ValueError, match="read-only"):
                rows[name][0] = 1
    np.testing.assert_array_equal(read["loss"], table["loss"])


def test_what_is_wrong_is_named(table):
    with pytest.raises(InputError, match=r"column: expected one of image, x, .*, got 'los'"):
        table["los"]
    with pytest.raises(InputError, match="rows: expected 12 booleans or row numbers, got bool"):
        table[np.ones(3, bool)]
    with pytest.raises(IndexError, match="from 0 to 11, got 12 to 12"):
        table[[12]]
    with pytest.raises(InputError, match=r"rows: .*los"):
        table[pc.field("los") > 1]
    with pytest.raises(TypeError, match="got float"):
        table[1.5]  # type: ignore[call-overload]


def test_other_libraries(table):
    pandas = pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    np.testing.assert_array_equal(frame["loss"], table["loss"])
    polars = pytest.importorskip("polars")
    other = table.to_polars()
    assert isinstance(other, polars.DataFrame)
    assert other["image"].to_list() == table["image"].tolist()


def test_rows_as_dicts(table):
    first = table[0]
    assert (first["image"], first["x"], first["y"], first["size"]) == ("a <b>.png", 0, 0, 48)
    assert first["loss"] == table["loss"][0]
    assert table[-1] == table[np.int64(11)] == list(table)[11]
    assert [row["loss"] for row in srfast.select(table)] == srfast.select(table)["loss"].tolist()
    assert list(table[:0]) == []
    for row in (12, -13):
        with pytest.raises(IndexError, match=f"from 0 to 11, got {row}"):
            table[row]
    with pytest.raises(TypeError, match="got bool"):
        table[True]


def test_a_frame_of_pandas_is_selected_from(table):
    pytest.importorskip("pandas")
    middle = float(np.median(table["loss"]))
    expected = srfast.select(table, where=f"loss > {middle!r}")
    frame = table.to_pandas()
    frame = frame[frame.loss > middle].sort_values("loss").sort_index().assign(mine=1.5)
    coreset = srfast.select(frame)
    assert coreset["loss"].tolist() == expected["loss"].tolist()
    assert coreset["mine"].tolist() == [1.5] * len(expected)
    assert coreset.meta["root"] == table.meta["root"]
    assert len(srfast.CorePatches(frame)) == len(frame)
    frame.attrs.clear()
    with pytest.raises(InputError, match=r"a DataFrame without them; scores\.with_rows\(frame\)"):
        srfast.select(frame)
    assert srfast.select(table.with_rows(frame)).table.equals(coreset.table)
    with pytest.raises(InputError, match="expected a column 'sobel'"):
        srfast.select(table.to_pandas().drop(columns="sobel"))
    with pytest.raises(InputError, match="expected no missing values"):
        srfast.select(table.to_pandas().assign(loss=None))
    for scores in ([3], 3, {"loss": 1}):
        with pytest.raises(InputError, match=r"^scores: expected .*, got (int|dict)"):
            srfast.select(scores)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^coreset: expected .*, got dict"):
        srfast.CorePatches({})  # type: ignore[arg-type]


def test_frames_and_iterators_are_tables_too(table):
    pytest.importorskip("pandas")
    assert srfast.stats(table.to_pandas()) == srfast.stats(iter([table])) == srfast.stats(table) == summary(table)
    assert srfast.select(iter([table])).table.equals(srfast.select(table).table)
    assert table[:0].summary()["loss"] is None


def test_a_frame_of_polars_gets_its_metadata_back(table):
    polars = pytest.importorskip("polars")
    middle = float(np.median(table["loss"]))
    frame = table.to_polars().filter(polars.col("loss") > middle)
    with pytest.raises(InputError, match=r"scores\.with_rows"):
        srfast.select(frame)
    expected = srfast.select(table, where=f"loss > {middle!r}")
    assert srfast.select(table.with_rows(frame))["loss"].tolist() == expected["loss"].tolist()
    with pytest.raises(InputError, match="got list"):
        table.with_rows([])


def test_joining_frames_and_files(table, tmp_path):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {"image": ["b.png", "a <b>.png"], "taste": [0.5, 0.25]}
    for frame in (pandas.DataFrame(columns), polars.DataFrame(columns)):
        assert join_columns(table, frame).table["taste"].tolist() == [0.25] * 6 + [0.5] * 6
    twice = pandas.DataFrame([["b.png", 1, 2]], columns=["image", "taste", "taste"])
    with pytest.raises(InputError, match=r"taste"):
        join_columns(table, twice)
    table.write(tmp_path / "scores.parquet")
    (tmp_path / "quality.csv").write_text("file,quality\nb.png,0.5\n")
    joined = srfast.join(tmp_path / "scores.parquet", tmp_path / "quality.csv", on="image=file")
    assert joined.table.equals(join_columns(table, tmp_path / "quality.csv", ["image=file"]).table.table)
    assert srfast.join(table.to_pandas(), tmp_path / "quality.csv", on="image=file").table.equals(joined.table)
    assert srfast.select(joined, where="quality = 0.5", keep=1.0)["image"].tolist() == ["b.png"] * 6


def test_dedup(table):
    pytest.importorskip("faiss")
    marked = srfast.dedup(table, against=table.meta["root"])
    assert marked.columns[-3:] == ["duplicate", "group", "leak"]
    assert len(srfast.select(marked, where="leak is not null", keep=1.0)) == len(marked)


def test_export_onnx(tmp_path):
    pytest.importorskip("onnx")
    assert srfast.export_onnx(tmp_path / "scorer.onnx", scale=3) == tmp_path / "scorer.onnx"
    with pytest.raises(srfast.InputError, match="scale"):
        srfast.export_onnx(tmp_path / "scorer.onnx", scale=5)
