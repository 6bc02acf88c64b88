"""Files appear whole or not at all, and only where they may."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from srfast.data.atomic import atomic_path
from srfast.errors import InputError, RunError


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
    [
        ("missing/out.html", "existing folder"),
        ("file/out.html", "existing folder"),
        ("folder", "a directory is there"),
    ],
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
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="a device is there"), atomic_path(Path("/dev/full")):
        pass


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write everywhere")
def test_no_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"), atomic_path(tmp_path / "out"):
        pass
    tmp_path.chmod(0o700)
