"""Whole or not at all: interrupts, kills, full disks; what goes on ends in the same bytes."""

import errno
import os
import resource
import shutil

import lmdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.errors import RunError
from srfast.exporting import arrangement, encode


def content(folder):
    """Every file but LMDB's lock table, and what it holds."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "lock.mdb"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(arrangement, "SHARD_BYTES", 5 * 3 * (48**2 + 24**2))


def test_bytes_do_not_depend_on_threads(coreset, tmp_path, layout, export):
    export(coreset, tmp_path / "one" / "out", layout, threads=1)
    export(coreset, tmp_path / "two" / "out", layout, threads=5)
    one, two = content(tmp_path / "one" / "out"), content(tmp_path / "two" / "out")
    assert one.keys() == two.keys()
    for name in one:
        if not name.endswith((".yml", ".toml", "kair.json", "load.py")):  # they name the folder
            assert one[name] == two[name], name


def test_resume_after_every_possible_stop(coreset, tmp_path, layout, monkeypatch, export, begin, goes_on):
    whole = tmp_path / "out"
    export(coreset, whole, layout)
    expected = content(whole)
    shutil.rmtree(whole)
    monkeypatch.setattr("srfast.exporting.lmdb._COMMIT_BYTES", 20_000)
    for images in (1, 2, 3, 5):
        begin(coreset, whole, layout, images, resume=True)
        assert not whole.exists()
        assert (tmp_path / "out.parts").is_dir()
    goes_on(coreset, whole, layout)
    assert not (tmp_path / "out.parts").exists()
    got = content(whole)
    assert got.keys() == expected.keys()
    for name in got:
        if not name.endswith("data.mdb"):  # pages depend on the transactions; the check has read them
            assert got[name] == expected[name], name
    # Once more: nothing to do.
    goes_on(coreset, whole, layout)
    assert content(whole).keys() == got.keys()


def test_resumed_images_are_not_decoded_again(coreset, tmp_path, monkeypatch, begin):
    read = []
    real = encode.read_pair
    monkeypatch.setattr(
        encode, "read_pair", lambda source, scale: (read.append(source.path.name), real(source, scale))[1]
    )
    begin(coreset, tmp_path / "out", images=3, threads=1)
    first = len(set(read))
    read.clear()
    srfast.export(coreset, tmp_path / "out", to="folder", scale=2, resume=True)
    assert (first >= 3, len(read)) == (True, 4)


def test_resume_with_other_settings(coreset, tmp_path, begin, goes_on, refused):
    out = tmp_path / "out"
    begin(coreset, out)
    other = pq.read_table(coreset).slice(1)
    for chosen, how, message in (
        (coreset, {"scale": 3}, r"scale: .* was begun with 2, got 3"),
        (coreset, {"scale": 2, "lr": False}, r"lr: .* was begun with True, got False"),
        (other, {"scale": 2}, "was begun with other patches"),
    ):
        refused(message, srfast.export, chosen, out, to="folder", resume=True, **how)
    # Without resume it begins again.
    goes_on(coreset, out, "folder", resume=False)


@pytest.fixture
def scored(tmp_path, photographs):
    """scored(inverted) -> the core-set of two images, written now: the same places whatever their pixels are."""

    def make(inverted):
        root = tmp_path / "images"
        root.mkdir(exist_ok=True)
        for i, name in enumerate("ab"):
            pixels = photographs["coffee"][100:196, 100 * i : 100 * i + 96]
            Image.fromarray(255 - pixels if inverted else pixels).save(root / f"{name}.bmp")
        return srfast.select(srfast.score(root, scale=2, patch=48, scorer="bicubic"), keep=1.0)

    return make


@pytest.mark.parametrize("finished", [True, False])
def test_images_that_were_scored_again_are_not_mixed_in(layout, finished, scored, tmp_path, export, begin, refused):
    out = tmp_path / "out"
    export(scored(False), out, layout) if finished else begin(scored(False), out, layout, threads=1)
    left = content(out if finished else tmp_path / "out.parts")
    refused(r"images: .*out was begun with other images", export, scored(True), out, layout, resume=True)
    assert content(out if finished else tmp_path / "out.parts") == left


@pytest.mark.parametrize("layout", ["folder", "basicsr", "lmdb", "hf", "hf-embedded", "webdataset", "list"])
def test_other_columns_are_not_taken_for_those_of_the_export(layout, scored, tmp_path, export, refused):
    chosen, out = scored(False), tmp_path / "out"
    export(chosen, out, layout)
    left = content(out)
    chosen.write(tmp_path / "c.parquet")
    export(tmp_path / "c.parquet", out, layout, resume=True)
    table = chosen.table
    loss = pa.array(table["loss"].to_numpy() + np.float32(1))
    other = srfast.CoreSet(table.set_column(table.column_names.index("loss"), "loss", loss), chosen.meta)
    if layout == "list":  # which has the places alone
        export(other, out, layout, resume=True)
    else:
        refused(r"columns: .*out was begun with other columns", export, other, out, layout, resume=True)
    assert content(out) == left


def test_a_moved_dataset_is_resumed(scored, tmp_path, begin, goes_on):
    chosen, out = scored(False), tmp_path / "out"
    begin(chosen, out, threads=1)
    shutil.copytree(tmp_path / "images", tmp_path / "moved", copy_function=shutil.copyfile)  # with times of its own
    shutil.rmtree(tmp_path / "images")
    goes_on(chosen, out, "folder", root=tmp_path / "moved")


def test_a_full_disk_is_one_line_and_resume_continues(coreset, tmp_path, layout, monkeypatch, export, goes_on):
    """No file may grow beyond a limit meanwhile; the system answers EFBIG, as good as a full disk."""
    monkeypatch.setattr("srfast.exporting.lmdb._COMMIT_BYTES", 30_000)
    out, before = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    size = {"lmdb": 60_000, "hf-embedded": 20_000, "webdataset": 20_000}.get(layout, 4096)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(RunError, match=r"the disk is full .*`resume`") as caught:
            export(coreset, out, layout)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    goes_on(coreset, out, layout)


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EIO, "LMDB cannot write")])
def test_a_database_that_cannot_be_opened(number, words, coreset, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise lmdb.Error(f"lock.mdb: {os.strerror(number)}")

    monkeypatch.setattr(lmdb, "open", refuse)
    with pytest.raises(RunError, match=words):
        srfast.export(coreset, tmp_path / "out", to="lmdb", scale=2)
