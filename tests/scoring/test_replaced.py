"""Tables that take the place of older ones: at every moment one of the two is there, and nothing else is lost."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import srfast
from srfast.errors import InputError, RunError
from srfast.runtime.locks import LOCK
from srfast.scoring import parts
from srfast.scoring.pipeline import score
from srfast.scoring.table import ScoreTable

OPTIONS: dict[str, Any] = {"patch": 48, "scorer": "bicubic", "threads": 1}
OLD = {**OPTIONS, "stride": 24}
PHOTO = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture
def few(photo_folder: Path) -> Path:
    """Two small images, each a part of its own."""
    for name in ("chelsea.jpg", "sub/café au lait.png"):
        (photo_folder / name).unlink()
    return photo_folder


@pytest.fixture(autouse=True)
def _a_part_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 1)


def test_an_older_folder_is_back_when_the_newer_cannot_take_its_name(few, tmp_path, monkeypatch):
    output = tmp_path / "scores"
    old = score(few, output=f"{output}/", **OLD)
    rename = os.rename

    def failing(src, dst):
        if Path(src) == tmp_path / "scores.parts":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(src, dst)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", failing)
        with pytest.raises((OSError, RunError), match="Input/output error"):
            score(few, output=f"{output}/", **OPTIONS)
    assert ScoreTable.read(output).table.equals(old.table)
    assert score(few, output=f"{output}/", resume=True, **OPTIONS).meta["stride"] != OLD["stride"]
    assert not list(tmp_path.glob("scores.*"))


@pytest.mark.parametrize("name", ["s.parquet", "scores/"])
def test_a_table_is_replaced_in_one_step(name, few, tmp_path, ending):
    """At each end, what is read is the old table or the new one; ``--resume`` gives the new one."""
    output = f"{tmp_path / 'out'}/{name}"
    Path(output).parent.mkdir()
    old, new = score(few, output=output, **OLD), score(few, **OPTIONS)
    number, seen = 0, []
    while True:
        with ending(number, tmp_path / "out"):
            score(few, output=output, **OPTIONS)
            break
        if name.endswith("/") and not os.path.exists(output):  # between two renames: the next run puts one there
            score(few, output=output, resume=True, **OPTIONS)
        stored = ScoreTable.read(output.rstrip("/"))
        assert stored.table.equals(old.table) or stored.table.equals(new.table)
        seen.append(stored.table.equals(new.table))
        begun = list(Path(output.rstrip("/") + ".parts").glob("part-*")) or seen[-1]
        if not begun:  # it may have ended before it noted that it began
            with suppress(InputError):
                score(few, output=output, resume=True, **OPTIONS)
        score(few, output=output, resume=bool(begun), **OPTIONS)
        assert ScoreTable.read(output.rstrip("/")).table.equals(new.table)
        assert os.listdir(tmp_path / "out") == [name.rstrip("/")]
        assert not [n for n in os.listdir(tmp_path / "out" / name) if "srfast-" in n] if name.endswith("/") else True
        shutil.rmtree(tmp_path / "out")
        (tmp_path / "out").mkdir()
        score(few, output=output, **OLD)
        number += 1
    assert number > 5
    assert seen == sorted(seen)
    assert ScoreTable.read(output.rstrip("/")).table.equals(new.table)


@pytest.mark.parametrize("name", ["s.parquet", "scores/"])
def test_an_interrupted_run_over_an_older_table_is_resumed(name, few, tmp_path, interrupted):
    output = f"{tmp_path}/{name}"
    score(few, output=output, **OLD)
    interrupted(score, few, output=output, after=1, **OPTIONS)
    [part] = (tmp_path / f"{Path(output).name}.parts").glob("part-*")
    before = part.read_bytes()
    with pytest.raises(InputError, match=r"stride: .* was scored with 48, got 36"):
        score(few, output=output, resume=True, **{**OPTIONS, "stride": 36})
    assert part.read_bytes() == before
    done: list[int] = []
    table = score(few, output=output, resume=True, progress=lambda n, *_: done.append(n), **OPTIONS)
    assert done[0] == 1, "the part was used"
    assert table.table.equals(score(few, **OPTIONS).table)


def _foreign(path: Path, _: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), path)


FOREIGN: dict[str, Callable[[Path, Path], Any]] = {
    LOCK: lambda path, _: path.write_text("my combination: 12-34"),
    "part-00000000.parquet": _foreign,
    "part-00000001.parquet": lambda path, _: path.write_bytes(PHOTO),
    "part-00000002-0123abcd.parquet": lambda path, images: srfast.select(score(images, **OPTIONS), keep=0.5).write(
        path
    ),
    "part-00000003-0123abcd.parquet": _foreign,
    "notes.txt": lambda path, _: path.write_text("mine"),
    # Tables that are whole, of other names than their own.
    "part-00000004-0123abcd.parquet": lambda path, images: score(images, output=path, **OPTIONS),
    "part-00000005.parquet": lambda path, images: score(images, output=path, **OPTIONS),
}


@pytest.mark.parametrize("where", ["a folder of the user's", "parts of a run", "a table that is a folder"])
def test_what_no_run_wrote_stays(where, few, tmp_path, interrupted):
    output: Any = tmp_path / "s.parquet"
    folder = tmp_path / "s.parquet.parts"
    if where == "parts of a run":
        interrupted(score, few, output=output, after=1, **OPTIONS)
    elif where == "a table that is a folder":
        folder = tmp_path / "scores"
        output = f"{folder}/"
        score(few, output=output, **OPTIONS)
    else:
        folder.mkdir()
    for name, make in FOREIGN.items():
        if "-0123abcd" in name and where != "a folder of the user's":
            continue  # in a folder that a run has marked, the name of a part is a part's
        make(folder / name, few)
        before = {p.name: p.read_bytes() for p in folder.iterdir()}
        for resume in (False, True):
            with pytest.raises(InputError, match=f"{name}|{folder.name}"):
                score(few, output=output, resume=resume, **OPTIONS)
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == before, name
        (folder / name).unlink()
    assert score(few, output=output, resume=True, **OPTIONS).table.equals(score(few, **OPTIONS).table)


def test_what_comes_into_a_table_while_it_is_replaced_stays(few, tmp_path):
    output = f"{tmp_path / 'scores'}/"
    score(few, output=output, **OLD)

    def arrive(done, total, _patches):
        if done == total:
            (tmp_path / "scores" / "part-00000009.parquet").write_bytes(PHOTO)

    with pytest.raises(InputError, match=r"holds part-00000009\.parquet"):
        score(few, output=output, progress=arrive, **OPTIONS)
    assert (tmp_path / "scores" / "part-00000009.parquet").read_bytes() == PHOTO


def test_a_table_with_the_name_of_parts_is_not_taken_for_them(few, tmp_path):
    """A run into ``s.parquet`` would have removed it."""
    with pytest.raises(InputError, match=r"s\.parquet\.parts: a name that ends in \.parts is that of unfinished work"):
        score(few, output=f"{tmp_path}/s.parquet.parts/", **OPTIONS)
    assert os.listdir(tmp_path) == [few.name]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("name", ["s.parquet", "scores/"])
def test_permissions_stay(name, few, tmp_path):
    output = f"{tmp_path}/{name}"
    score(few, output=output, **OPTIONS)
    os.chmod(output, 0o700 if name.endswith("/") else 0o600)
    mode = os.stat(output).st_mode
    score(few, output=output, **OLD)
    assert os.stat(output).st_mode == mode


def test_a_table_of_which_a_part_is_missing_is_refused(few, tmp_path):
    table = score(few, output=f"{tmp_path}/scores/", **OPTIONS)
    first, last = sorted((tmp_path / "scores").glob("part-*"))
    first.rename(tmp_path / "kept")
    for read in (ScoreTable.read, srfast.select):
        with pytest.raises(InputError, match=f"scores: 1 of 2 parts are missing, such as {first.name}"):
            read(tmp_path / "scores")
    assert score(few, output=f"{tmp_path}/scores/", resume=True, **OPTIONS).table.equals(table.table)
    # Files that were put together by hand are a table too.
    shards = tmp_path / "shards"
    shards.mkdir()
    (tmp_path / "kept").rename(shards / "part-0.parquet")
    assert len(ScoreTable.read(shards)) < len(table)
    assert last.name not in os.listdir(tmp_path / "scores")
