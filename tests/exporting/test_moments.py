"""The moment at which an export appears: its lock is held until it is there, and what a kill leaves is no export."""

import errno
import os

import pytest

import srfast
from srfast.errors import InputError, RunError
from srfast.exporting.job import workplace

SETTINGS = {"to": "folder"}


def test_a_second_run_does_not_wipe_what_is_about_to_appear(tmp_path, monkeypatch):
    rename, tried = os.rename, []

    def renamed(old, new):
        if os.fspath(old).endswith("out.parts"):
            with pytest.raises(RunError, match="is writing it"), workplace(tmp_path / "out", SETTINGS, False):
                pass
            tried.append(old)
        rename(old, new)

    monkeypatch.setattr(os, "rename", renamed)
    with workplace(tmp_path / "out", SETTINGS, False) as (folder, _):
        (folder / "1.png").write_bytes(b"1")
    assert tried
    assert sorted(n for n in os.listdir(tmp_path / "out")) == [".srfast.json", "1.png"]
    assert os.listdir(tmp_path) == ["out"]


def test_a_run_that_waited_for_the_first_ones_end_sees_its_export(tmp_path, monkeypatch):
    """The second one looks, the first one ends, the second one takes the lock."""
    from srfast.data import files

    take, first = files.Lock.take, []

    def late(path, output):
        if not first:
            first.append(output)
            with workplace(tmp_path / "out", SETTINGS, False) as (folder, _):
                (folder / "1.png").write_bytes(b"1")
        return take(path, output)

    monkeypatch.setattr(files.Lock, "take", late)
    with (
        pytest.raises(InputError, match="out: exists; choose another output"),
        workplace(tmp_path / "out", SETTINGS, False) as (folder, _),
    ):
        (folder / "2.png").write_bytes(b"2")
    assert (tmp_path / "out" / "1.png").exists()
    assert os.listdir(tmp_path) == ["out"]


def test_what_comes_to_its_place_while_it_is_written_stays(tmp_path):
    for name, arrive in (("a", lambda p: p.write_bytes(b"mine")), ("b", lambda p: (p.mkdir(), (p / "x").touch()))):
        out = tmp_path / name
        with pytest.raises(InputError, match=f"{name}: exists"), workplace(out, SETTINGS, False):
            arrive(out)
        assert out.read_bytes() == b"mine" if name == "a" else os.listdir(out) == ["x"]


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("where", ["mine.txt", "HR/mine.png", "HR/more/mine.png", "photos/a.png", "HR.lmdb/mine"])
def test_what_an_export_did_not_write_stays_in_its_parts(where, resume, coreset, tmp_path, begin, goes_on):
    """A killed run has marked the folder; what somebody put there since was deleted with it."""
    out, parts = tmp_path / "out", tmp_path / "out.parts"
    begin(coreset, out)
    foreign = parts / where
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_bytes(b"mine")
    before = sorted(parts.rglob("*"))
    with pytest.raises(InputError, match=r"out\.parts: holds .*, which srfast did not write; move it away"):
        srfast.export(coreset, out, to="folder", scale=2, resume=resume)
    assert foreign.read_bytes() == b"mine"
    assert sorted(parts.rglob("*")) == before
    foreign.unlink()
    for folder in foreign.relative_to(parts).parents[:-1]:
        if not any((parts / folder).iterdir()):
            (parts / folder).rmdir()
    goes_on(coreset, out, "folder", resume=resume)
    assert ".srfast-rows" not in os.listdir(out)


def test_parts_that_cannot_be_listed_are_not_taken_for_empty(coreset, tmp_path, monkeypatch, begin):
    """The user was told that the output exists."""
    out, parts, scandir = tmp_path / "out", tmp_path / "out.parts", os.scandir
    begin(coreset, out)

    def broken(path):
        if os.fspath(path) == os.fspath(parts / "HR"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", broken)
        with pytest.raises(OSError, match="Input/output error"):
            srfast.export(coreset, out, to="list", scale=2)
    assert any((parts / "HR").iterdir())
    srfast.export(coreset, out, to="list", scale=2)
    assert not (out / "HR").exists()


def test_an_export_with_the_name_of_parts_is_not_taken_for_them(coreset, tmp_path):
    """An export to ``pairs`` would have removed it."""
    with pytest.raises(InputError, match=r"pairs\.parts: "):
        srfast.export(coreset, tmp_path / "pairs.parts", to="list", scale=2)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(("layout", "victim"), [
    ("folder", "HR/*.png"), ("basicsr", "LRx2/*.png"), ("hf", "HR/*.png"), ("hf-embedded", "train-*.parquet"),
    ("webdataset", "*.tar"), ("lmdb", "LRx2.lmdb/data.mdb"),
])  # fmt: skip
@pytest.mark.parametrize("how", ["removed", "empty"])
def test_what_went_missing_of_an_unfinished_export_is_written_again(
    layout, victim, how, coreset, tmp_path, monkeypatch, begin, goes_on
):
    """Rows were noted as finished, and then their file was removed, or a power cut left it empty."""
    from srfast.exporting import arrangement, lmdb

    monkeypatch.setattr(arrangement, "SHARD_BYTES", 4 * 3 * (48**2 + 24**2))
    monkeypatch.setattr(lmdb, "_COMMIT_BYTES", 1)
    begin(coreset, tmp_path / "out", layout, patches=12)
    assert int((tmp_path / "out.parts" / ".srfast-rows").read_text())
    file = min((tmp_path / "out.parts").glob(victim))
    file.unlink()
    if how == "empty":
        file.touch()
    goes_on(coreset, tmp_path / "out", layout)


@pytest.mark.parametrize("to", ["basicsr", "lmdb", "hf", "webdataset"])
def test_an_export_that_ends_anywhere_goes_on_to_the_same_files(to, coreset, tmp_path, ending, goes_on):
    def content(folder):
        """But for the databases, whose pages depend on the transactions, and texts that name the folder."""
        files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        return {n: d for n, d in files.items() if not n.endswith((".mdb", ".yml", ".toml", ".json", "load.py"))}

    whole = tmp_path / "whole"
    srfast.export(coreset, whole, to=to, scale=2)
    for resume in (True, False):
        number = 3
        while number < 60:
            out = tmp_path / f"{number} {resume}" / "out"
            out.parent.mkdir()
            with ending(number, out.parent):
                srfast.export(coreset, out, to=to, scale=2)
                break
            # Begun anew, and ended once more while what the first one left is removed.
            if not resume and not out.exists():
                with ending(number + 2, out.parent):
                    srfast.export(coreset, out, to=to, scale=2)
            goes_on(coreset, out, to)
            assert content(out) == content(whole)
            assert os.listdir(out.parent) == ["out"]
            number += 17 + resume
        assert number > 3


def test_a_database_that_was_killed_in_its_first_pages(coreset, tmp_path, begin, goes_on):
    """Half of the two pages that LMDB writes first: it would not open them again."""
    begin(coreset, tmp_path / "out", "lmdb")
    for database in (tmp_path / "out.parts").glob("*.lmdb"):
        (database / "data.mdb").write_bytes((database / "data.mdb").read_bytes()[:4096])
    goes_on(coreset, tmp_path / "out", "lmdb")


def test_a_database_on_a_full_disk(coreset, tmp_path, monkeypatch, goes_on):
    lmdb = pytest.importorskip("lmdb")
    for number, words in ((errno.ENOSPC, "the disk is full"), (errno.EIO, "LMDB cannot write")):

        def refuse(*_, _number=number, **__):
            raise lmdb.Error(f"lock.mdb: {os.strerror(_number)}")

        with monkeypatch.context() as patch:
            patch.setattr(lmdb, "open", refuse)
            with pytest.raises(RunError, match=words) as caught:
                srfast.export(coreset, tmp_path / "out", to="lmdb", scale=2)
        assert "\n" not in str(caught.value)
    goes_on(coreset, tmp_path / "out", "lmdb")
