"""Images that changed, hard links, what is there already, wrong arguments, patches of several sizes."""

import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.data.images import read_rgb
from srfast.errors import InputError
from srfast.exporting import encode
from srfast.exporting.settings import TARGETS


def rewritten(coreset, path, **meta):
    """The core-set with other metadata."""
    table = pq.read_table(coreset)
    about = {**json.loads(table.schema.metadata[b"srfast"]), **meta}
    pq.write_table(table.replace_schema_metadata({b"srfast": json.dumps(about).encode()}), path)
    return path


@pytest.fixture
def moved(coreset, dataset, tmp_path):
    """A copy of the images, with their times, and moved.parquet, the core-set of it."""
    shutil.copytree(dataset, tmp_path / "moved")
    rewritten(coreset, tmp_path / "moved.parquet", root=str(tmp_path / "moved"))
    return tmp_path / "moved"


def test_changed_and_missing_images(coreset, moved, tmp_path):
    table = tmp_path / "moved.parquet"

    def refused(message, table, **root):
        with pytest.raises(InputError, match=message):
            srfast.export(table, tmp_path / "out", to="folder", **root)

    os.utime(moved / "a b.png", ns=(1, 1))
    refused(r"a b\.png: has changed since it was scored", table)
    # Elsewhere, times say nothing; sizes do.
    srfast.export(coreset, tmp_path / "copied", to="folder", root=moved, check=True)
    with open(moved / "a_b.png", "ab") as file:
        file.write(b"\0")
    refused(r"a_b\.png: has changed since it was scored", coreset, root=moved)
    (moved / "a_b.png").unlink()
    refused(r"a_b\.png: No such file or directory$", coreset, root=moved)
    (moved / "a b.png").unlink()
    refused(r"a b\.png: No such file .*; `root` names the folder", table)
    assert not list(tmp_path.glob("out*"))


def test_an_image_that_changes_meanwhile(moved, tmp_path, monkeypatch, refused):
    real = encode.read_pair

    def replaced(source, scale):
        if source.path.name == "whole.png":
            os.utime(source.path, ns=(1, 1))  # this core-set knows no hashes
        return real(source, scale)

    monkeypatch.setattr(encode, "read_pair", replaced)
    refused(r"whole\.png: has changed", srfast.export, tmp_path / "moved.parquet", tmp_path / "out", to="lmdb")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [np.fliplr, np.invert], ids=["mirrored", "inverted"])
def test_other_images_of_the_same_size_in_bytes(change, dataset, tmp_path, run):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    for path in dataset.rglob("whole.png"):
        Image.fromarray(read_rgb(path)).save(here / "a.bmp")
    coreset = srfast.select(srfast.score(here, patch=24, scorer="bicubic"), keep=1.0)
    coreset.write(tmp_path / "c.parquet")
    shutil.copytree(here, there)
    Image.fromarray(np.ascontiguousarray(change(read_rgb(here / "a.bmp")))).save(there / "a.bmp")
    assert (there / "a.bmp").stat().st_size == (here / "a.bmp").stat().st_size
    options = ("-o", tmp_path / "out", "--to", "folder", "--check")
    code, _, err = run("export", tmp_path / "c.parquet", *options, "--root", there)
    assert code == 2
    assert "a.bmp: has changed since it was scored" in err
    assert not (tmp_path / "out").exists()
    here.rename(tmp_path / "moved")
    assert run("export", tmp_path / "c.parquet", *options, "--root", tmp_path / "moved")[0] == 0


def test_an_image_smaller_than_its_patches(coreset, moved, tmp_path, refused):
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(moved / "a b.png")
    table = rewritten(coreset, tmp_path / "moved.parquet", root=str(moved), images={})
    refused(r"a b\.png: expected at least .* got 50 x 50", srfast.export, table, tmp_path / "out", to="folder")


def test_a_whole_file_is_a_hard_link_and_is_never_written_through(coreset, dataset, tmp_path, begin, goes_on):
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in dataset.rglob("*") if p.is_file()}
    done = srfast.export(coreset, tmp_path / "out", to="folder")
    linked = [p for p in (tmp_path / "out" / "HR").iterdir() if p.stat().st_nlink > 1]
    assert done.linked == len(linked) == 1
    assert linked[0].samefile(dataset / "whole.png")
    # An interrupted run has made the link; the next one makes the file anew.
    begin(coreset, tmp_path / "again", images=len(before))
    (tmp_path / "again.parts" / ".srfast-rows").unlink()
    goes_on(coreset, tmp_path / "again", "folder")
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before} == before


@pytest.mark.parametrize("kind", ["palette", "alpha", "deep", "gray", "profile", "oriented", "jpeg"])
def test_only_plain_files_stand_for_themselves(kind, photographs, tmp_path):
    import cv2
    from PIL import ImageCms

    root = tmp_path / "images"
    root.mkdir()
    image = Image.fromarray(photographs["chelsea"][50:98, 80:128])
    path = root / ("a.jpg" if kind == "jpeg" else "a.png")
    options = {}
    if kind == "profile":
        options["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if kind == "oriented":
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
    made = {"palette": image.quantize(64), "alpha": image.convert("RGBA"), "gray": image.convert("L")}
    made.get(kind, image).save(path, **options)
    if kind == "deep":
        cv2.imwrite(str(path), np.asarray(image, np.uint16) * 257)
    columns = {"image": [path.name], "x": pa.array([0], pa.int32()), "y": pa.array([0], pa.int32())}
    table = pa.table({**columns, "size": pa.array([48], pa.int32())})
    table = table.replace_schema_metadata({b"srfast": json.dumps({"version": 1, "root": str(root)}).encode()})
    done = srfast.export(table, tmp_path / "out", to="folder", check=True)
    assert done.linked == 0
    (file,) = (tmp_path / "out" / "HR").iterdir()
    assert file.name == "a.png"
    assert np.array_equal(read_rgb(file), read_rgb(path))


def test_without_hard_links(coreset, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    assert srfast.export(coreset, tmp_path / "out", to="folder", check=True).linked == 0


def test_outputs_are_never_replaced(coreset, tmp_path, refused):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "out.parts").mkdir()
    (tmp_path / "out.parts" / "notes.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    for resume in (False, True):
        for name in ("mine", "file", "out"):
            refused(r"exists|did not write", srfast.export, coreset, tmp_path / name, to="list", resume=resume)
    assert (tmp_path / "mine" / "notes.txt").read_text() == (tmp_path / "out.parts" / "notes.txt").read_text() == "mine"
    srfast.export(coreset, tmp_path / "empty", to="list")
    refused("exists", srfast.export, coreset, tmp_path / "empty", to="list")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "zip"}, rf"to: expected {', '.join(TARGETS[:-1])} or list, got 'zip'"),
        ({"scale": 5}, "scale: expected 1, 2, 3 or 4"),
        ({"scale": True}, "scale: expected 1, 2, 3 or 4"),
        ({"lr": "maybe"}, r"lr: expected True or False"),
        ({"format": "jpg"}, "format: expected png or webp"),
        ({"embed": True}, "embed: needs `to` hf"),
        ({"threads": 0}, "threads: expected"),
        ({"table": lambda t: pa.concat_tables([t, t.slice(3, 1)])}, "occurs twice"),
        ({"table": lambda t: t.slice(0, 0)}, "empty table"),
        ({"table": lambda t: pa.concat_tables([t, t.slice(0, 1).set_column(3, "size", pa.array([24], pa.int32()))])},
         r"expected one patch of .* at x = .*, got sizes 24 and 48"),
    ],
)  # fmt: skip
def test_wrong_arguments(options, message, coreset, tmp_path, refused):
    table = options.pop("table", lambda table: table)(pq.read_table(coreset))
    refused(message, srfast.export, table, tmp_path / "out", **options)
    assert not any(tmp_path.glob("out*"))


def test_sizes_may_differ(coreset, tmp_path):
    table = pq.read_table(coreset)
    size = np.where(np.arange(len(table)) % 2, 48, 24).astype(np.int32)
    mixed = table.set_column(3, "size", pa.array(size))
    done = srfast.export(mixed, tmp_path / "out", to="basicsr", scale=2, check=True)
    assert done.compared == len(table)
    shapes = [line.split(" ")[1] for line in (tmp_path / "out" / "meta_info.txt").read_text().splitlines()]
    assert sorted(shapes) == sorted(f"({n},{n},3)" for n in size)
