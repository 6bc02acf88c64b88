"""Whole or not at all: interrupts, full disks, changed images; links; what the check finds."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.data.images import read_rgb
from srfast.errors import InputError, RunError
from srfast.exporting import stream, writer
from srfast.exporting.settings import TARGETS

LAYOUTS = ["folder", "basicsr", "lmdb", "hf", "hf-embedded", "webdataset"]


def export(coreset: Any, out: Path, layout: str, **options: Any) -> Any:
    return srfast.export(coreset, out, to=layout.split("-")[0], scale=2, embed=layout == "hf-embedded", **options)


def content(folder: Path) -> dict[str, bytes]:
    """Every file but LMDB's lock table, and what it holds."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "lock.mdb"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SHARD_BYTES", 5 * 3 * (48**2 + 24**2))


def rewritten(coreset: Path, path: Path, **meta: Any) -> Path:
    """The core-set with other metadata."""
    table = pq.read_table(coreset)
    about = {**json.loads(table.schema.metadata[b"srfast"]), **meta}
    pq.write_table(table.replace_schema_metadata({b"srfast": json.dumps(about).encode()}), path)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_do_not_depend_on_threads(coreset: Path, tmp_path: Path, layout: str) -> None:
    export(coreset, tmp_path / "one" / "out", layout, threads=1)
    export(coreset, tmp_path / "two" / "out", layout, threads=5)
    one, two = content(tmp_path / "one" / "out"), content(tmp_path / "two" / "out")
    assert one.keys() == two.keys()
    for name in one:
        if not name.endswith((".yml", ".toml", "kair.json", "load.py")):  # they name the folder
            assert one[name] == two[name], name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_resume_after_every_possible_stop(
    coreset: Path, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "out"
    export(coreset, whole, layout)
    expected = content(whole)
    shutil.rmtree(whole)
    monkeypatch.setattr("srfast.exporting.lmdb._COMMIT_BYTES", 20_000)

    class Stop(Exception):
        pass

    def stop_after(images: int) -> Callable[[int, int, int], None]:
        def progress(done: int, total: int, patches: int) -> None:
            if done >= images:
                raise Stop

        return progress

    for images in (1, 2, 3, 5):
        with pytest.raises(Stop):
            export(coreset, whole, layout, resume=True, progress=stop_after(images))
        assert not whole.exists()
        assert (tmp_path / "out.parts").is_dir()
    done = export(coreset, whole, layout, resume=True, check=True)
    assert done.compared == done.patches
    assert not (tmp_path / "out.parts").exists()
    got = content(whole)
    assert got.keys() == expected.keys()
    for name in got:
        if not name.endswith("data.mdb"):  # pages depend on the transactions; the check has read them
            assert got[name] == expected[name], name
    # Once more: nothing to do.
    again = export(coreset, whole, layout, resume=True, check=True)
    assert again.compared == done.patches
    assert content(whole).keys() == got.keys()


def test_resumed_images_are_not_decoded_again(coreset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = stream.read_images
    monkeypatch.setattr(
        stream, "read_images", lambda source, scale: (read.append(source.path.name), real(source, scale))[1]
    )

    def stop(done: int, total: int, patches: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(coreset, tmp_path / "out", "folder", progress=stop, threads=1)
    first = set(read)
    read.clear()
    export(coreset, tmp_path / "out", "folder", resume=True)
    assert len(read) == 4
    assert len(first) >= 3


def test_resume_with_other_settings(coreset: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int, patches: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        srfast.export(coreset, tmp_path / "out", to="folder", scale=2, progress=stop)
    with pytest.raises(InputError, match="cannot be resumed: scale was 2 and is 3 now"):
        srfast.export(coreset, tmp_path / "out", to="folder", scale=3, resume=True)
    with pytest.raises(InputError, match="cannot be resumed: lr was True"):
        srfast.export(coreset, tmp_path / "out", to="folder", scale=2, lr=False, resume=True)
    other = pq.read_table(coreset).slice(1)
    with pytest.raises(InputError, match="cannot be resumed: patches was"):
        srfast.export(other, tmp_path / "out", to="folder", scale=2, resume=True)
    # Without resume it begins again.
    done = srfast.export(coreset, tmp_path / "out", to="folder", scale=3, check=True)
    assert done.compared == done.patches


@pytest.mark.parametrize(
    ("to", "number"),
    [
        ("lmdb", signal.SIGKILL),
        ("folder", signal.SIGTERM),
        *(
            pytest.param(to, number, marks=pytest.mark.slow)
            for to, number in (("folder", signal.SIGKILL), ("lmdb", signal.SIGTERM), ("lmdb", signal.SIGINT))
        ),
    ],
)
def test_killed(coreset: Path, tmp_path: Path, number: signal.Signals, to: str) -> None:
    script = (
        "import sys, time, srfast.exporting.stream as stream\n"
        "real = stream.read_images\n"
        "def slow(*args):\n"
        "    time.sleep(0.15); return real(*args)\n"
        "stream.read_images = slow\n"
        "from srfast.__main__ import run; run()\n"
    )
    out = tmp_path / "out"
    arguments = ["export", str(coreset), "-o", str(out), "--to", to, "--workers", "1"]
    command = [sys.executable, "-c", script, *arguments]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    side = tmp_path / "out.parts" / ("HR.lmdb" if to == "lmdb" else "HR")
    deadline = time.monotonic() + 60
    while not side.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    run.send_signal(number)
    stdout, stderr = run.communicate(timeout=60)
    assert stdout == b""
    if number == signal.SIGKILL:
        assert run.returncode == -signal.SIGKILL
    else:
        assert run.returncode == 130
        assert stderr.count(b"\n") == 1
        assert b"resume" in stderr
    assert not out.exists()
    done = srfast.export(coreset, out, to=to, resume=True, check=True)
    assert done.compared == done.patches


@pytest.fixture
def file_limit() -> Callable[[int], Any]:
    """file_limit(bytes): no file may grow beyond it meanwhile; the system answers EFBIG, as good as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_full_disk_is_one_line_and_resume_continues(
    coreset: Path, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch, file_limit: Any
) -> None:
    monkeypatch.setattr("srfast.exporting.lmdb._COMMIT_BYTES", 30_000)
    out = tmp_path / "out"
    with file_limit({"lmdb": 60_000, "hf-embedded": 20_000, "webdataset": 20_000}.get(layout, 4096)):
        with pytest.raises(RunError, match=r"the disk is full .*--resume") as caught:
            export(coreset, out, layout)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    done = export(coreset, out, layout, resume=True, check=True)
    assert done.compared == done.patches


@pytest.mark.parametrize("left", [b"", b'{"to": "fol', b"[]", b"\xff"])
def test_settings_that_a_crash_cut_are_no_settings(coreset: Path, tmp_path: Path, left: bytes) -> None:
    out, parts = tmp_path / "out", tmp_path / "out.parts"
    with pytest.raises(KeyboardInterrupt):
        export(coreset, out, "folder", progress=interrupt)
    (parts / ".export.json").write_bytes(left)
    done = export(coreset, out, "folder", resume=True, check=True)
    assert done.compared == done.patches
    (out / ".export.json").write_bytes(left)
    with pytest.raises(InputError, match=r"out: cannot be resumed: \.export\.json in it cannot be read"):
        export(coreset, out, "folder", resume=True)


def test_two_exports_to_one_folder(coreset: Path, tmp_path: Path) -> None:
    seen = []

    def second(*_: int) -> None:
        with pytest.raises(RunError, match=r"process \d+ on .* is writing it") as caught:
            export(coreset, tmp_path / "out", "folder", resume=True)
        seen.append(caught.value)

    done = export(coreset, tmp_path / "out", "folder", progress=second, check=True)
    assert seen
    assert done.compared == done.patches


def interrupt(*_: int) -> None:
    raise KeyboardInterrupt


def test_no_room_for_the_settings(coreset: Path, tmp_path: Path, file_limit: Any) -> None:
    """The very first files of an export do not fit on the disk."""
    for size in (0, 30, 100):
        with file_limit(size), pytest.raises(RunError, match="the disk is full"):
            export(coreset, tmp_path / f"{size}", "basicsr")
        done = export(coreset, tmp_path / f"{size}", "basicsr", resume=True, check=True)
        assert done.compared == done.patches


def test_changed_and_missing_images(coreset: Path, dataset: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(dataset, moved)  # keeps the times
    table = rewritten(coreset, tmp_path / "moved.parquet", root=str(moved))
    os.utime(moved / "a b.png", ns=(1, 1))
    with pytest.raises(InputError, match=r"a b\.png: has changed since it was scored"):
        srfast.export(table, tmp_path / "out", to="folder")
    # Elsewhere, times say nothing; sizes do.
    srfast.export(coreset, tmp_path / "copied", to="folder", root=moved, check=True)
    with open(moved / "a_b.png", "ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match=r"a_b\.png: has changed since it was scored"):
        srfast.export(coreset, tmp_path / "out", to="folder", root=moved)
    (moved / "a_b.png").unlink()
    with pytest.raises(InputError, match=r"a_b\.png: No such file or directory$"):
        srfast.export(coreset, tmp_path / "out", to="folder", root=moved)
    (moved / "a b.png").unlink()
    with pytest.raises(InputError, match=r"a b\.png: No such file .*; --root names the folder"):
        srfast.export(table, tmp_path / "out", to="folder")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.parts").exists()


def test_an_image_that_changes_meanwhile(
    coreset: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(dataset, moved)
    table = rewritten(coreset, tmp_path / "moved.parquet", root=str(moved))
    real = stream.read_images

    def replaced(source: Any, scale: int) -> Any:
        if source.path.name == "whole.png":
            os.utime(source.path, ns=(1, 1))
        return real(source, scale)

    monkeypatch.setattr(stream, "read_images", replaced)
    with pytest.raises(InputError, match=r"whole\.png: has changed"):
        srfast.export(table, tmp_path / "out", to="lmdb")
    assert not (tmp_path / "out").exists()


def test_an_image_smaller_than_its_patches(coreset: Path, dataset: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(dataset, moved)
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(moved / "a b.png")
    table = rewritten(coreset, tmp_path / "moved.parquet", root=str(moved), images={})
    with pytest.raises(InputError, match=r"a b\.png: expected at least .* got 50 x 50"):
        srfast.export(table, tmp_path / "out", to="folder")


def test_a_whole_file_is_a_hard_link_and_is_never_written_through(coreset: Path, dataset: Path, tmp_path: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in dataset.rglob("*") if p.is_file()}
    done = srfast.export(coreset, tmp_path / "out", to="folder")
    linked = [p for p in (tmp_path / "out" / "HR").iterdir() if p.stat().st_nlink > 1]
    assert done.linked == len(linked) == 1
    assert linked[0].samefile(dataset / "whole.png")

    # An interrupted run has made the link; the next one makes the file anew.
    def stop(images: int, total: int, patches: int) -> None:
        if images == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        srfast.export(coreset, tmp_path / "again", to="folder", progress=stop)
    (tmp_path / "again.parts" / ".export-rows").unlink()
    srfast.export(coreset, tmp_path / "again", to="folder", resume=True, check=True)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before} == before


@pytest.mark.parametrize("kind", ["palette", "alpha", "deep", "gray", "profile", "oriented", "jpeg"])
def test_only_plain_files_stand_for_themselves(kind: str, photographs: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Trainers read the others in different ways: the patch is encoded anew."""
    import cv2
    from PIL import ImageCms

    root = tmp_path / "images"
    root.mkdir()
    image = Image.fromarray(photographs["chelsea"][50:98, 80:128])
    path = root / ("a.jpg" if kind == "jpeg" else "a.png")
    if kind == "palette":
        image.quantize(64).save(path)
    elif kind == "alpha":
        image.convert("RGBA").save(path)
    elif kind == "deep":
        cv2.imwrite(str(path), np.asarray(image, np.uint16) * 257)
    elif kind == "gray":
        image.convert("L").save(path)
    elif kind == "profile":
        image.save(path, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    elif kind == "oriented":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    else:
        image.save(path)
    columns = {"image": [path.name], "x": pa.array([0], pa.int32()), "y": pa.array([0], pa.int32())}
    table = pa.table({**columns, "size": pa.array([48], pa.int32())})
    table = table.replace_schema_metadata({b"srfast": json.dumps({"version": 1, "root": str(root)}).encode()})
    done = srfast.export(table, tmp_path / "out", to="folder", check=True)
    assert done.linked == 0
    (file,) = (tmp_path / "out" / "HR").iterdir()
    assert file.name == "a.png"
    assert np.array_equal(read_rgb(file), read_rgb(path))


def test_without_hard_links(coreset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    done = srfast.export(coreset, tmp_path / "out", to="folder", check=True)
    assert done.linked == 0


def test_outputs_are_never_replaced(coreset: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "out.parts").mkdir()
    (tmp_path / "out.parts" / "notes.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    for resume in (False, True):
        for name in ("mine", "file", "out"):
            with pytest.raises(InputError, match=r"exists|did not write"):
                srfast.export(coreset, tmp_path / name, to="list", resume=resume)
    assert (tmp_path / "mine" / "notes.txt").read_text() == (tmp_path / "out.parts" / "notes.txt").read_text() == "mine"
    srfast.export(coreset, tmp_path / "empty", to="list")
    with pytest.raises(InputError, match="exists"):
        srfast.export(coreset, tmp_path / "empty", to="list")


def test_the_check_finds_what_is_wrong(coreset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    srfast.export(coreset, out, to="basicsr", scale=2)
    names = [line.split(" ")[0] for line in (out / "meta_info.txt").read_text().splitlines()]
    good = (out / "HR" / names[0]).read_bytes()

    def check() -> None:
        srfast.export(coreset, out, to="basicsr", scale=2, resume=True, check=True)

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
    with pytest.raises(RunError, match="is there twice"):
        check()


def test_wrong_arguments(coreset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for options, message in (
        ({"to": "zip"}, rf"to: expected {', '.join(TARGETS[:-1])} or list, got 'zip'"),
        ({"scale": 5}, "scale: expected 2, 3 or 4, got 5"),
        ({"scale": True}, "scale: expected 2, 3 or 4, got True"),
        ({"lr": "maybe"}, r"lr: expected True or False \(yes or no\), got 'maybe'"),
        ({"format": "jpg"}, "format: expected png or webp, got 'jpg'"),
        ({"embed": True}, "embed: expected `to` hf with it, got 'folder'"),
        ({"threads": 0}, "threads: expected a whole number of at least 1, got 0"),
    ):
        with pytest.raises(InputError, match=message):
            srfast.export(coreset, out, **options)
    table = pq.read_table(coreset)
    with pytest.raises(InputError, match="occurs twice"):
        srfast.export(pa.concat_tables([table, table.slice(3, 1)]), out)
    with pytest.raises(InputError, match="empty table"):
        srfast.export(table.slice(0, 0), out)
    assert not any(tmp_path.glob("out*"))


def test_lmdb_that_cannot_be_loaded(coreset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(RunError, match=r"lmdb cannot be loaded .*; pip install --force-reinstall lmdb"):
        srfast.export(coreset, tmp_path / "out", to="lmdb")


def test_sizes_may_differ(coreset: Path, tmp_path: Path) -> None:
    table = pq.read_table(coreset)
    size = np.where(np.arange(len(table)) % 2, 48, 24).astype(np.int32)
    mixed = table.set_column(3, "size", pa.array(size))
    done = srfast.export(mixed, tmp_path / "out", to="basicsr", scale=2, check=True)
    assert done.compared == len(table)
    shapes = [line.split(" ")[1] for line in (tmp_path / "out" / "meta_info.txt").read_text().splitlines()]
    assert sorted(shapes) == sorted(f"({n},{n},3)" for n in size)
