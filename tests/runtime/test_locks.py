"""Locks: what lies in a lock's place stays, a failure to lock is no other run, and a lock moves with its folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from srfast.data.files import output_folder
from srfast.errors import InputError, RunError
from srfast.runtime.locks import LOCK, Lock


@pytest.mark.parametrize("content", ["my notes", "12 notes/of mine", "1" * 400])
@pytest.mark.parametrize("how", ["file", "link", "symbolic link"])
def test_a_lock_that_is_not_srfasts_is_not_written_into(how: str, content: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text(content)
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / LOCK
    if how == "file":
        path.write_text(content)
    else:
        (os.link if how == "link" else os.symlink)(mine, path)
    with pytest.raises(InputError, match="out"), output_folder(tmp_path / "out", "export"):
        pass
    assert (mine.read_text(), path.read_text()) == (content, content)


def test_a_link_to_an_old_lock_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "12").write_text("12 host")
    (tmp_path / "out").mkdir()
    os.link(tmp_path / "12", tmp_path / "out" / LOCK)
    with pytest.raises(InputError, match="is not a lock of srfast"), output_folder(tmp_path / "out", "export"):
        pass
    assert (tmp_path / "12").read_text() == "12 host"


@pytest.mark.skipif(os.name == "nt", reason="errors of POSIX")
def test_a_lock_that_cannot_be_had_is_not_said_to_be_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(RunError, match=r"out: cannot be locked \(Input/output error\)"):
        Lock.take(tmp_path / LOCK, tmp_path / "out")
    monkeypatch.undo()
    Lock.take(tmp_path / LOCK, tmp_path / "out").release()


def test_a_lock_moves_with_its_folder(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path / "a" / LOCK, tmp_path / "out")
    (tmp_path / "a").rename(tmp_path / "b")
    lock.path = tmp_path / "b" / LOCK
    second = Lock.take(tmp_path / "a" / LOCK, tmp_path / "out")
    with pytest.raises(RunError, match="is writing it"):
        Lock.take(tmp_path / "b" / LOCK, tmp_path / "out")
    lock.release()
    assert not (tmp_path / "b" / LOCK).exists()
    assert (tmp_path / "a" / LOCK).exists(), "the second run's"
    second.release()
