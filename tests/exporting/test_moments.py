"""The moment at which an export appears: its lock is held until it is there, and what a kill leaves is no export."""

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


def test_what_comes_to_its_place_while_it_is_written_stays(tmp_path):
    for name, arrive in (("a", lambda p: p.write_bytes(b"mine")), ("b", lambda p: (p.mkdir(), (p / "x").touch()))):
        out = tmp_path / name
        with pytest.raises(InputError, match=f"{name}: exists"), workplace(out, SETTINGS, False):
            arrive(out)
        assert out.read_bytes() == b"mine" if name == "a" else os.listdir(out) == ["x"]


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("where", ["mine.txt", "HR/mine.png", "HR/more/mine.png", "photos/a.png", "HR.lmdb/mine"])
def test_what_an_export_did_not_write_stays_in_its_parts(where, resume, coreset, tmp_path, begin, goes_on):
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


def test_an_export_with_the_name_of_parts_is_not_taken_for_them(coreset, tmp_path, refused):
    refused(r"pairs\.parts: ", srfast.export, coreset, tmp_path / "pairs.parts", to="list", scale=2)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(("layout", "victim"), [
    ("folder", "HR/*.png"), ("basicsr", "LRx2/*.png"), ("hf", "HR/*.png"), ("hf-embedded", "train-*.parquet"),
    ("webdataset", "*.tar"), ("lmdb", "LRx2.lmdb/data.mdb"),
])  # fmt: skip
@pytest.mark.parametrize("how", ["removed", "empty"])
def test_what_went_missing_of_an_unfinished_export_is_written_again(
    layout, victim, how, coreset, tmp_path, monkeypatch, begin, goes_on
):
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


def test_parts_that_cannot_be_listed_are_not_taken_for_empty(coreset, tmp_path, monkeypatch, begin):
    begin(coreset, tmp_path / "out")
    scandir, parts = os.scandir, tmp_path / "out.parts" / "HR"
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda path: scandir(tmp_path / "none" if os.fspath(path) == str(parts) else path))
        with pytest.raises(OSError, match="No such file"):
            srfast.export(coreset, tmp_path / "out", to="list", scale=2)
    assert any(parts.iterdir())
