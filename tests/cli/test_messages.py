"""Messages for wrong input of the stranger kind: one line, the argument or the file, nothing of the inside."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srfast.cli import main
from srfast.scoring.metadata import KEY

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def line(run: Callable[..., tuple[int, str, str]]) -> Run:
    """line(*args) -> (exit code, stderr), which is one line."""

    def call(*args: str | Path) -> tuple[int, str]:
        code, _, err = run(*args)
        assert err.startswith("srfast: error: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert code
        return code, err

    return call


@pytest.mark.parametrize("shard", ["²/4", "1/²", "①/4", "-1/4", "1/0", "0x1/4", "1 /4 x"])
def test_shards_that_are_no_numbers(shard: str, photo_folder: Path, tmp_path: Path, line: Run) -> None:
    code, err = line("score", photo_folder, "-o", tmp_path / "s.parquet", "--scorer", "bicubic", "--shard", shard)
    assert code == 2
    assert "shard" in err
    assert "expected" in err


def test_proposals_are_similar_options(photo_folder: Path, tmp_path: Path, line: Run) -> None:
    code, err = line("onnx", "--lr", "x", "-o", tmp_path / "n.onnx")
    assert code == 2
    assert "--lr" in err
    assert "Did you mean" not in err
    _, err = line("score", photo_folder, "-o", tmp_path / "s.parquet", "--strid", "4")
    assert "--stride" in err


def test_output_names_that_are_not_utf8(photo_folder: Path, tmp_path: Path, line: Run) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/\xff\xfe")
    scores = tmp_path / "s.parquet"
    main_arguments = ["score", photo_folder, "--scorer", "bicubic", "--patch", "48", "-o"]
    with pytest.raises(SystemExit):
        main([str(a) for a in (*main_arguments, scores)])
    for arguments in (
        (*main_arguments, name),
        ("select", scores, "-o", name),
        ("report", scores, "-o", name),
        ("prune", photo_folder, "--scorer", "bicubic", "-o", name),
        ("train", "fsrcnn", "--data", photo_folder, "--steps", "1", "-o", name),
        ("eval", "bicubic", "--data", photo_folder, "--json", name),
        ("onnx", "-o", name),
    ):
        code, err = line(*arguments)
        assert code == 2, err
        assert "the name is not valid UTF-8" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos", "s.parquet"]


@pytest.mark.parametrize(
    "encoded",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"version": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[1]",
        b'"text"',
        b"\xff\xfe",
        b"{}",
        json.dumps({"version": {"a": 1}}).encode(),
    ],
)
def test_strange_metadata(encoded: bytes, tmp_path: Path, line: Run) -> None:
    path = tmp_path / "s.parquet"
    pq.write_table(pa.table({"image": ["a.png"]}).replace_schema_metadata({KEY: encoded}), path)
    for arguments in (("select", path, "-o", tmp_path / "c.parquet"), ("train", "srcnn", "--data", path, "--steps", "1",
                                                                       "-o", tmp_path / "run")):  # fmt: skip
        code, err = line(*arguments)
        assert code == 2
        assert "s.parquet: expected" in err


OUTPUTS = ("score", "select", "report", "eval", "onnx")


@pytest.mark.parametrize("command", OUTPUTS)
def test_no_command_replaces_a_photograph(command: str, photo_folder: Path, tmp_path: Path, line: Run) -> None:
    scores, photo = tmp_path / "s.parquet", tmp_path / "photo.png"
    with pytest.raises(SystemExit):
        main([str(a) for a in ("score", photo_folder, "--scorer", "bicubic", "--patch", "48", "-o", scores)])
    photo.write_bytes((photo_folder / "astronaut.png").read_bytes())
    before = photo.read_bytes()
    arguments = {
        "score": ("score", photo_folder, "--scorer", "bicubic", "-o", photo),
        "select": ("select", scores, "-o", photo),
        "report": ("report", scores, "-o", photo),
        "eval": ("eval", "bicubic", "--data", photo_folder, "--json", photo),
        "onnx": ("onnx", "-o", photo),
    }[command]
    code, err = line(*arguments)
    assert code == 2
    assert "photo.png: exists and was not written by srfast" in err
    assert photo.read_bytes() == before


def test_select_does_not_replace_its_scores(photo_folder: Path, tmp_path: Path, line: Run) -> None:
    scores = tmp_path / "s.parquet"
    with pytest.raises(SystemExit):
        main([str(a) for a in ("score", photo_folder, "--scorer", "bicubic", "--patch", "48", "-o", scores)])
    before = scores.read_bytes()
    code, err = line("select", scores, "-o", scores)
    assert code == 2
    assert "is an input of this run" in err
    (tmp_path / "other.parquet").write_bytes(before)
    _, err = line("select", scores, "-o", tmp_path / "other.parquet")
    assert "expected a core-set to replace, got a score table" in err
    assert scores.read_bytes() == (tmp_path / "other.parquet").read_bytes() == before
