"""Whole or not at all: interrupts, kills, full disks; what goes on ends in the same bytes."""

from __future__ import annotations

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
from srfast.errors import InputError, RunError
from srfast.exporting import arrangement, encode

LAYOUTS = ["folder", "basicsr", "lmdb", "hf", "hf-embedded", "webdataset"]


def content(folder: Path) -> dict[str, bytes]:
    """Every file but LMDB's lock table, and what it holds."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "lock.mdb"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrangement, "SHARD_BYTES", 5 * 3 * (48**2 + 24**2))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_do_not_depend_on_threads(coreset: Path, tmp_path: Path, layout: str, export: Callable[..., Any]) -> None:
    export(coreset, tmp_path / "one" / "out", layout, threads=1)
    export(coreset, tmp_path / "two" / "out", layout, threads=5)
    one, two = content(tmp_path / "one" / "out"), content(tmp_path / "two" / "out")
    assert one.keys() == two.keys()
    for name in one:
        if not name.endswith((".yml", ".toml", "kair.json", "load.py")):  # they name the folder
            assert one[name] == two[name], name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_resume_after_every_possible_stop(
    coreset: Path, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch, export: Callable[..., Any]
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


def test_resumed_images_are_not_decoded_again(
    coreset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, export: Callable[..., Any]
) -> None:
    read: list[str] = []
    real = encode.read_pair
    monkeypatch.setattr(
        encode, "read_pair", lambda source, scale: (read.append(source.path.name), real(source, scale))[1]
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
    with pytest.raises(InputError, match=r"scale: .* was begun with 2, got 3"):
        srfast.export(coreset, tmp_path / "out", to="folder", scale=3, resume=True)
    with pytest.raises(InputError, match=r"lr: .* was begun with True, got False"):
        srfast.export(coreset, tmp_path / "out", to="folder", scale=2, lr=False, resume=True)
    other = pq.read_table(coreset).slice(1)
    with pytest.raises(InputError, match="was begun with other patches"):
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
        "import sys, time, srfast.exporting.encode as encode\n"
        "real = encode.read_pair\n"
        "def slow(*args):\n"
        "    time.sleep(0.15); return real(*args)\n"
        "encode.read_pair = slow\n"
        "from srfast.__main__ import run; run()\n"
    )
    out = tmp_path / "out"
    arguments = ["export", str(coreset), "-o", str(out), "--to", to, "--threads", "1"]
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
    coreset: Path,
    tmp_path: Path,
    layout: str,
    monkeypatch: pytest.MonkeyPatch,
    file_limit: Any,
    export: Callable[..., Any],
) -> None:
    monkeypatch.setattr("srfast.exporting.lmdb._COMMIT_BYTES", 30_000)
    out = tmp_path / "out"
    with file_limit({"lmdb": 60_000, "hf-embedded": 20_000, "webdataset": 20_000}.get(layout, 4096)):
        with pytest.raises(RunError, match=r"the disk is full .*`resume`") as caught:
            export(coreset, out, layout)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    done = export(coreset, out, layout, resume=True, check=True)
    assert done.compared == done.patches


@pytest.mark.parametrize("left", [b"", b'{"to": "fol', b"[]", b"\xff"])
def test_settings_that_a_crash_cut_are_no_settings(
    coreset: Path, tmp_path: Path, left: bytes, export: Callable[..., Any]
) -> None:
    out, parts = tmp_path / "out", tmp_path / "out.parts"
    with pytest.raises(KeyboardInterrupt):
        export(coreset, out, "folder", progress=interrupt)
    (parts / ".srfast.json").write_bytes(left)
    done = export(coreset, out, "folder", resume=True, check=True)
    assert done.compared == done.patches
    (out / ".srfast.json").write_bytes(left)
    with pytest.raises(InputError, match="out: exists; choose another output"):
        export(coreset, out, "folder", resume=True)


@pytest.fixture
def scored(tmp_path: Path, photographs: dict[str, np.ndarray]) -> Callable[[bool], srfast.CoreSet]:
    """scored(inverted) -> the core-set of two images, written now: the same places whatever their pixels are."""

    def make(inverted: bool) -> srfast.CoreSet:
        root = tmp_path / "images"
        root.mkdir(exist_ok=True)
        for i, name in enumerate("ab"):
            pixels = photographs["coffee"][100:196, 100 * i : 100 * i + 96]
            Image.fromarray(255 - pixels if inverted else pixels).save(root / f"{name}.bmp")
        return srfast.select(srfast.score(root, scale=2, patch=48, scorer="bicubic"), keep=1.0)

    return make


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_that_were_scored_again_are_not_mixed_in(
    layout: str, finished: bool, scored: Callable[[bool], Any], tmp_path: Path, export: Callable[..., Any]
) -> None:
    """The sizes of the files and the places of the patches are the same."""
    out = tmp_path / "out"
    if finished:
        export(scored(False), out, layout)
    else:
        with pytest.raises(KeyboardInterrupt):
            export(scored(False), out, layout, progress=interrupt, threads=1)
    left = content(out if finished else tmp_path / "out.parts")
    new = scored(True)
    with pytest.raises(InputError, match=r"images: .*out was begun with other images") as caught:
        export(new, out, layout, resume=True)
    assert "\n" not in str(caught.value)
    assert content(out if finished else tmp_path / "out.parts") == left


@pytest.mark.parametrize("layout", [*LAYOUTS, "list"])
def test_other_columns_are_not_taken_for_those_of_the_export(
    layout: str, scored: Callable[[bool], Any], tmp_path: Path, export: Callable[..., Any]
) -> None:
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
        with pytest.raises(InputError, match=r"columns: .*out was begun with other columns"):
            export(other, out, layout, resume=True)
    assert content(out) == left


def test_a_moved_dataset_is_resumed(scored: Callable[[bool], Any], tmp_path: Path) -> None:
    chosen, out = scored(False), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        srfast.export(chosen, out, to="folder", progress=interrupt, threads=1)
    shutil.copytree(tmp_path / "images", tmp_path / "moved", copy_function=shutil.copyfile)  # with times of its own
    shutil.rmtree(tmp_path / "images")
    done = srfast.export(chosen, out, to="folder", root=tmp_path / "moved", resume=True, check=True)
    assert done.compared == done.patches


def test_two_exports_to_one_folder(coreset: Path, tmp_path: Path, export: Callable[..., Any]) -> None:
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


def test_no_room_for_the_settings(coreset: Path, tmp_path: Path, file_limit: Any, export: Callable[..., Any]) -> None:
    """The very first files of an export do not fit on the disk."""
    for size in (0, 30, 100):
        with file_limit(size), pytest.raises(RunError, match="the disk is full"):
            export(coreset, tmp_path / f"{size}", "basicsr")
        done = export(coreset, tmp_path / f"{size}", "basicsr", resume=True, check=True)
        assert done.compared == done.patches
