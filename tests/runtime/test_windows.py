"""srfast where fcntl, fork, SIGHUP, pread and the rest of POSIX are missing, and where open files stay: see
``without_posix.py``. Windows itself was not at hand."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import srfast
from srfast.coreset import rejects
from srfast.data import atomic, images
from srfast.errors import InputError
from srfast.runtime import locks

PROGRAM = Path(__file__).with_name("without_posix.py")
pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to know what is open")


def run(*arguments: object, code: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        env={**os.environ, "PYTHONSAFEPATH": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_score_select_export_and_again(photo_folder: Path, tmp_path: Path) -> None:
    scores, coreset, export = tmp_path / "s.parquet", tmp_path / "c.parquet", tmp_path / "out"
    for again in ([], ["--resume"], []):
        run("score", photo_folder, "-o", scores, "--stride", 48, *again)
        assert sorted(p.name for p in tmp_path.iterdir() if p != photo_folder) == sorted(
            {"s.parquet"} | ({"c.parquet", "out"} if export.exists() else set())
        )
        run("select", scores, "-o", coreset, "--keep", 0.5)
        if not export.exists():
            run("export", coreset, "-o", export, "--to", "basicsr")
    run("export", coreset, "-o", export, "--to", "basicsr", "--resume")
    assert len(list((export / "HR").iterdir())) == len(srfast.CoreSet.read(coreset))
    assert json.loads(run("stats", scores, "--json"))["patches"] > 0


def test_a_table_that_is_a_folder_is_replaced(photo_folder: Path, tmp_path: Path) -> None:
    for stride in (48, 96):
        run("score", photo_folder, "-o", f"{tmp_path}/table/", "--stride", stride)
    assert not [p.name for p in tmp_path.iterdir() if p not in (photo_folder, tmp_path / "table")]


def test_every_text_file_names_its_encoding() -> None:
    """Where none is named Windows takes that of the country: a name with an accent is then another one, or an error."""
    for path in sorted(Path(srfast.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            binary = any("b" in str(getattr(a, "value", "")) for a in node.args[1:2])
            reads = name in ("read_text", "write_text") or (isinstance(node.func, ast.Name) and name == "open")
            named = any(k.arg == "encoding" for k in node.keywords) or '"utf-8"' in ast.unparse(node).replace("'", '"')
            assert not reads or binary or named, f"{path}:{node.lineno}: {ast.unparse(node)}"


def test_a_file_that_is_open_elsewhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "s.parquet"
    target.write_bytes(b"before")

    def refuse(old: object, _new: object) -> None:
        raise PermissionError(13, "Permission denied", os.fspath(old))  # type: ignore[call-overload]

    monkeypatch.setattr(atomic, "OPEN_STAYS", True)
    monkeypatch.setattr(atomic.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InputError, match=r"s\.parquet: cannot be replaced .*: is it open elsewhere\?"):
        with atomic.atomic_path(target) as temporary:
            temporary.write_bytes(b"after")
    assert target.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["s.parquet"]


def test_drives_and_backslashes(photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_drives(_paths: object) -> str:
        raise ValueError("Paths don't have the same drive")

    with monkeypatch.context() as patched:
        patched.setattr(os.path, "commonpath", other_drives)
        with pytest.raises(InputError, match="images: expected files and folders on one drive, got several"):
            images.find_images([photo_folder, tmp_path])
    (tmp_path / "rejects.csv").write_text("image,x,y,size,reason\na\\b.png,,,,blur\n", encoding="utf-8")
    monkeypatch.setattr(os, "sep", "\\")
    assert rejects.read_rejects(tmp_path / "rejects.csv")[0].image == "a/b.png"


class Msvcrt:
    """Windows' lock of a byte, one process: a second descriptor does not get it."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.taken: dict[tuple[int, int], int] = {}

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        place = os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR)
        holder = self.taken.get(place)
        if holder not in (None, descriptor) and os.path.exists(f"/proc/self/fd/{holder}"):
            raise PermissionError(13, "Permission denied")
        self.taken[place] = descriptor


def test_locks_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "msvcrt", Msvcrt())
    monkeypatch.setattr(locks, "OPEN_STAYS", True)
    path = tmp_path / ".srfast.lock"
    with locks.Lock.take(path, tmp_path / "out"):
        other = os.open(path, os.O_RDWR)
        assert not locks.hold(other)
        os.close(other)
        locks._held.clear()  # as another process sees it
        with pytest.raises(locks.Taken, match=rf"process {os.getpid()} on"):
            locks.Lock.take(path, tmp_path / "out")
    assert not path.exists()
