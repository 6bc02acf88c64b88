"""join, stats, dedup and the options of select on the command line."""

import io
import json
import pickle
import sys
from pathlib import Path

import pytest

import srfast
from srfast.cli import main
from srfast.errors import ArgumentError, InputError, RunError


@pytest.fixture
def process(srfast_command, tmp_path):
    return lambda *args: srfast_command(*args, cwd=tmp_path)


@pytest.fixture
def scores(photo_folder, tmp_path):
    srfast.score(photo_folder, patch=48, mode="dense", scorer="bicubic").write(tmp_path / "s.parquet")
    return tmp_path / "s.parquet"


def test_join_stats_select_and_dedup(scores, tmp_path, process):
    pytest.importorskip("duckdb")
    pytest.importorskip("faiss")
    images = sorted(set(srfast.ScoreTable.read(scores)["image"]))
    (tmp_path / "iqa.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(images)))
    joined = process("join", scores, tmp_path / "iqa.txt", "-o", tmp_path / "j.parquet")
    assert joined.returncode == 0, joined.stderr
    assert "by path ->" in joined.stdout
    stats = process("stats", tmp_path / "j.parquet", "--json")
    assert json.loads(stats.stdout)["columns"]["iqa"]["missing"] == 0
    assert "Agreement with loss" in process("stats", tmp_path / "j.parquet").stdout
    gates = ["--where", "iqa < 1", "--method", "iqa", "--keep", "1", "--max-per-image", "2"]
    chosen = process("select", tmp_path / "j.parquet", "-o", tmp_path / "c.parquet", *gates, "--json")
    assert chosen.returncode == 0, chosen.stderr
    assert json.loads(chosen.stdout)["kept"] == 2
    assert "max_per_image=2 allows no more" in chosen.stderr
    photos = Path(srfast.ScoreTable.read(scores).meta["root"])
    printed = process(
        "dedup", scores, "-o", tmp_path / "d.parquet", "--json", "--against", photos / images[0], photos / images[1]
    )
    assert printed.returncode == 0, printed.stderr
    assert len(json.loads(printed.stdout)["leaks"]) == 2


@pytest.mark.parametrize("kind", [InputError, ArgumentError, RunError])
def test_an_error_carries_its_hint(kind):
    error = kind("s.parquet: exists", hint="choose another output")
    assert (error.message, error.hint) == ("s.parquet: exists", "choose another output")
    assert str(error) == "s.parquet: exists; choose another output"
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.hint, type(again)) == (error.message, error.hint, kind)
    assert (str(kind("a; b.png: choose")), kind("a; b.png: choose").hint) == ("a; b.png: choose", None)
    moved = kind("not of 8 bits", hint="convert the file").within("a.png: ")
    assert (type(moved), moved.message, moved.hint) == (kind, "a.png: not of 8 bits", "convert the file")


class Terminal(io.StringIO):
    def isatty(self):
        return True


LINES = [
    (["scor"], "No such command 'scor'", "did you mean score?"),
    (["select", "no.parquet", "-o", "c.parquet", "--kep", "0.5"], "No such option '--kep'", "did you mean --keep?"),
    (["select", "no.parquet", "-o", "c.parquet", "--method", ""], "--method", None),
    (["export", "c.parquet", "-o", "e", "--to", "lmbd"], "'lmbd' is not one of", "did you mean lmdb?"),
    (["score"], "Missing argument 'IMAGES...'.", "see `srfast score --help`"),
    (["stats", __file__, "--lr-rot", "."], "No such option '--lr-rot'", None),
]


@pytest.mark.parametrize(("line", "error", "hint"), LINES)
def test_a_terminal_gets_two_lines(line, error, hint, monkeypatch):
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)
    with pytest.raises(SystemExit) as end:
        main(line)
    assert end.value.code == 2
    lines = seen.getvalue().splitlines()
    assert lines[0].startswith("srfast: error: ")
    assert error in lines[0]
    if hint is not None:
        assert len(lines) == 2
        assert "hint" in lines[1]
        assert hint in lines[1]
        assert hint not in lines[0]


def test_anything_else_gets_one_and_json_has_both(run):
    assert run("scor")[2] == "srfast: error: No such command 'scor'; did you mean score?\n"
    bad = run("score", __file__, "-o", "s.parquet", "--scorer", "bicubic")[2]
    assert bad.endswith("; --skip-bad leaves such files out\n")
    line = ("score", "no-such-folder", "-o", "s.parquet", "--scorer", "bicubic", "--mode", "dence", "--json")
    content = json.loads(run(*line)[1])
    assert (content["hint"], content["code"]) == ("did you mean dense?", 2)
    assert content["error"].endswith("; did you mean dense?")
