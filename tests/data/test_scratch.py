"""Folders to work in, and parquet files on disks that are full: nothing is left, and nothing is said twice."""

import errno
import gc
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from srfast.data import atomic, parquet
from srfast.data.atomic import atomic_path, scratch_folder
from srfast.data.parquet import TableWriter
from srfast.errors import InputError, RunError

HOLD = """
import sys, time
from pathlib import Path
from srfast.data.atomic import scratch_folder
with scratch_folder(Path(sys.argv[1]), "work") as folder:
    (folder / "a").write_bytes(b"1")
    print(folder.name, flush=True)
    time.sleep(60)
"""
TABLE = pa.table({"x": list(range(1000)), "y": [str(i) for i in range(1000)]})


@pytest.mark.parametrize("lockable", [True, False])
def test_a_folder_to_work_in_is_ones_own_and_gone_at_the_end(lockable, tmp_path, monkeypatch):
    if not lockable:  # each use left two hidden folders
        monkeypatch.setattr(atomic, "hold", lambda descriptor: False)
    with suppress(KeyError), scratch_folder(tmp_path, "work") as one, scratch_folder(tmp_path, "work") as other:
        assert sorted(tmp_path.iterdir()) == sorted({one, other})
        (one / "a").write_bytes(b"1")
        raise KeyError
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not held there")
def test_that_of_a_killed_run_goes_with_the_next_one(tmp_path):
    (tmp_path / ".srfast-work-mine").mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as run:
        name = run.stdout.readline().strip()
        with scratch_folder(tmp_path, "work"):
            assert (tmp_path / name / "a").exists(), "of a living run"
        run.send_signal(signal.SIGKILL)
    with scratch_folder(tmp_path, "other"):
        assert (tmp_path / name).exists(), "of another purpose"
    with scratch_folder(tmp_path, "work"):
        pass
    assert os.listdir(tmp_path) == [".srfast-work-mine"], "a name that is not srfast's"


@pytest.mark.parametrize("first", range(5))
def test_a_full_disk_is_one_error(first, tmp_path, monkeypatch, capfd):
    """From each write on; pyarrow itself writes again when the file is closed and collected, and says it failed."""
    write_all, left = parquet.write_all, first
    unraised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraised.append)

    def full(file, data):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_all(file, data)

    monkeypatch.setattr(parquet, "write_all", full)

    def write():
        with TableWriter(tmp_path / "a.parquet", TABLE.schema) as writer:
            writer.write_table(TABLE)

    with pytest.raises(OSError, match="No space left on device") as caught:
        write()
    assert caught.value.errno == errno.ENOSPC
    del caught
    gc.collect()
    assert capfd.readouterr().err == ""
    assert not unraised


# Files appear whole or not at all, and only where they may.


def test_files_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.html"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic_path(path) as temporary:
        temporary.write_text("half \ud800")
    assert path.read_text() == "old"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    link = tmp_path / "link.html"
    link.symlink_to(path)
    with atomic_path(link) as temporary:
        temporary.write_text("linked")
    assert link.is_symlink()
    assert path.read_text() == "linked"
    with pytest.raises(RunError, match="nothing was written"), atomic_path(path):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.html", "out.html"]


@pytest.mark.parametrize(
    ("path", "message"),
    [("missing/out.html", "existing folder"), ("file/out.html", "existing folder"), ("folder", "a directory is there")],
)
def test_places_that_cannot_hold_a_file(path, message, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message), atomic_path(tmp_path / path) as temporary:
        temporary.write_text("")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk_and_devices(tmp_path):
    with pytest.raises(RunError, match="disk is full"), atomic_path(tmp_path / "out"):
        Path("/dev/full").write_text("x")
    with pytest.raises(RunError, match="out: the disk is full"), atomic_path(tmp_path / "out") as temporary:
        raise OSError(errno.EDQUOT, "Disk quota exceeded", str(temporary))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="a device is there"), atomic_path(Path("/dev/full")):
        pass


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write everywhere")
def test_no_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"), atomic_path(tmp_path / "out"):
        pass
    tmp_path.chmod(0o700)
