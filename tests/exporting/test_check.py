"""Exports that were damaged after they were written: the check names what is wrong in one line, in every format."""

import io
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.data.images import read_rgb
from srfast.errors import InputError, RunError
from srfast.exporting import encode


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.unlink()  # a hard link to a file of the dataset stays as it is
    path.write_bytes(data)


def end_of_column(path, number):
    """The last byte of its pages."""
    column = pq.ParquetFile(path).metadata.row_group(0).column(number)
    begin = column.dictionary_page_offset or column.data_page_offset
    return int(begin + column.total_compressed_size - 1)


DAMAGES = [
    ("folder", "LRx2/*.png", Path.unlink, "has no LR file"),
    ("basicsr", "HR/*.png", Path.unlink, r"cannot be read back \(.*No such file.*HR/"),
    ("lmdb", "HR.lmdb/meta_info.txt", lambda p: flip(p, 0), "the keys of HR.lmdb and LRx2.lmdb are not the same"),
    ("lmdb", "LRx2.lmdb/data.mdb", Path.unlink, r"cannot be read back \(.*LRx2\.lmdb"),
    ("lmdb", "LRx2.lmdb/data.mdb", lambda p: p.write_bytes(b""), r"cannot be read back \(.*LRx2\.lmdb"),
    ("lmdb", "HR.lmdb/data.mdb", lambda p: os.truncate(p, 5 * 4096), r"data\.mdb: expected \d+ bytes, got 20480"),
    ("hf", "metadata.parquet", lambda p: os.truncate(p, 100), "metadata.parquet: not a readable parquet file"),
    ("hf", "metadata.parquet", Path.unlink, "metadata.parquet: no such file"),
    ("hf", "metadata.parquet", lambda p: flip(p, end_of_column(p, 4)), "metadata.parquet: not a readable parquet file"),
    ("hf-embedded", "train-00000-of-00001.parquet", lambda p: flip(p, 999), "train-.*: not a readable parquet file"),
    ("webdataset", "000000.tar", lambda p: os.truncate(p, 3000), r"cannot be read back \(unexpected end of data"),
    ("webdataset", "000000.tar", lambda p: p.write_bytes(b""), r"cannot be read back \(.*empty file"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "file", "damage", "reason"), DAMAGES, ids=lambda v: v if isinstance(v, str) else "")
def test_damages_are_named(layout, file, damage, reason, coreset, tmp_path, export):
    out = tmp_path / "out"
    export(coreset, out, layout, check=True)
    damage(min(out.glob(file)))
    for _ in range(2):  # what the first try opened is closed again
        with pytest.raises((InputError, RunError), match=reason):
            export(coreset, out, layout, resume=True, check=True)


def test_a_list_of_patches_that_is_damaged(coreset, tmp_path, export, refused):
    export(coreset, tmp_path / "all", "folder")
    index = tmp_path / "all" / "patches.parquet"
    half = pq.read_table(coreset).slice(0, 5)
    sides = {"existing": tmp_path / "all" / "HR", "existing_lr": tmp_path / "all" / "LRx2"}
    whole = pq.read_table(index)
    for damage, message in (
        (lambda: flip(index, end_of_column(index, 1)), r"patches\.parquet: not a readable parquet file"),
        (lambda: pq.write_table(whole.drop_columns(["name"]), index), r"patches\.parquet: expected a column 'name'"),
    ):
        damage()
        refused(message, srfast.export, half, tmp_path / "half", to="folder", scale=2, **sides)
        assert not (tmp_path / "half").exists()


def test_the_check_finds_what_is_wrong(coreset, tmp_path, goes_on):
    out = tmp_path / "out"
    srfast.export(coreset, out, to="basicsr", scale=2)
    names = [line.split(" ")[0] for line in (out / "meta_info.txt").read_text().splitlines()]
    good = (out / "HR" / names[0]).read_bytes()

    def check():
        goes_on(coreset, out, "basicsr")

    check()
    patch = read_rgb(out / "HR" / names[0])
    patch[3, 5, 1] ^= 1
    for damage, message in (
        (lambda p: p.write_bytes((out / "HR" / names[1]).read_bytes()), "differs from its source"),
        (lambda p: Image.fromarray(patch).save(p), "HR patch differs from its source"),
        (lambda p: Image.fromarray(patch[:40]).save(p), "expected an HR patch of 48 x 48, got 48 x 40"),
        (lambda p: p.write_bytes(good[:300]), "cannot be decoded"),
    ):
        damage(out / "HR" / names[0])
        with pytest.raises(RunError, match=message):
            check()
    (out / "HR" / names[0]).write_bytes(good)
    check()
    lines = (out / "meta_info.txt").read_text().splitlines(keepends=True)
    (out / "meta_info.txt").write_text("".join(lines[1:]))
    with pytest.raises(RunError, match=r"1 of \d+ patches are missing"):
        check()
    (out / "meta_info.txt").write_text("".join([*lines, lines[0]]))
    with pytest.raises(RunError, match="occurs twice"):
        check()


@pytest.fixture(params=["isal", "zlib"])
def deflate(request, monkeypatch):
    if request.param == "isal":
        pytest.importorskip("isal", reason="isal has no wheel here")
    else:
        monkeypatch.setitem(sys.modules, "isal", None)
    encode._deflate.cache_clear()
    yield
    encode._deflate.cache_clear()


def contents(h, w):
    """Noise, a constant, black, a ramp that wraps around."""
    noise = np.random.default_rng(0).integers(0, 256, (h, w, 3), np.uint8)
    ramp = (np.arange(h * w * 3) * 7 % 256).astype(np.uint8).reshape(h, w, 3)
    return np.stack([noise, np.full_like(noise, 255), np.zeros_like(noise), ramp])


@pytest.mark.usefixtures("deflate")
@pytest.mark.parametrize("form", ["PNG", "WEBP"])
@pytest.mark.parametrize(("h", "w"), [(1, 1), (1, 5), (7, 1), (13, 31), (96, 96)])
def test_files_are_lossless(h, w, form):
    patches = contents(h, w)
    files = {"PNG": encode.encode_png, "WEBP": encode.encode_webp}[form](patches)
    assert len(files) == 4
    for patch, file in zip(patches, files, strict=True):
        with Image.open(io.BytesIO(file)) as image:
            image.verify()  # the chunks' checksums
        with Image.open(io.BytesIO(file)) as image:
            assert (image.format, image.mode) == (form, "RGB")
            assert np.array_equal(np.asarray(image), patch)
        assert np.array_equal(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1], patch)


@pytest.mark.usefixtures("deflate")
def test_png_of_photographs_is_small(real_patches):
    """Within 5 % of OpenCV at level 1, what BasicSR puts into its databases."""
    patches = real_patches(64, 96)
    theirs = sum(len(cv2.imencode(".png", p[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]) for p in patches)
    assert sum(map(len, encode.encode_png(patches))) <= 1.05 * theirs


def test_png_takes_views_and_no_patches():
    whole = contents(40, 40)
    view = whole[:, ::2, 3:30]
    for patch, file in zip(view, encode.encode_png(view), strict=True):
        with Image.open(io.BytesIO(file)) as image:
            assert np.array_equal(np.asarray(image), patch)
    assert encode.encode_png(whole[:0]) == []
