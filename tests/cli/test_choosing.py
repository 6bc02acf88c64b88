"""join, stats, dedup and the options of select on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import srfast


@pytest.fixture
def run(srfast_command: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    return lambda *args: srfast_command(*args, cwd=tmp_path)


@pytest.fixture
def scores(photo_folder: Path, tmp_path: Path) -> Path:
    srfast.score(photo_folder, patch=48, mode="dense", scorer="bicubic").write(tmp_path / "s.parquet")
    return tmp_path / "s.parquet"


def test_join_stats_select_and_dedup(scores: Path, tmp_path: Path, run: Callable[..., Any]) -> None:
    pytest.importorskip("duckdb")
    pytest.importorskip("faiss")
    images = sorted(set(srfast.ScoreTable.read(scores)["image"]))
    (tmp_path / "iqa.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(images)))
    joined = run("join", scores, tmp_path / "iqa.txt", "-o", tmp_path / "j.parquet")
    assert joined.returncode == 0, joined.stderr
    assert "by path ->" in joined.stdout
    stats = run("stats", tmp_path / "j.parquet", "--json")
    assert json.loads(stats.stdout)["columns"]["iqa"]["missing"] == 0
    assert "Agreement with loss" in run("stats", tmp_path / "j.parquet").stdout
    gates = ["--where", "iqa < 1", "--method", "iqa", "--keep", "1", "--max-per-image", "2"]
    chosen = run("select", tmp_path / "j.parquet", "-o", tmp_path / "c.parquet", *gates, "--json")
    assert chosen.returncode == 0, chosen.stderr
    assert json.loads(chosen.stdout)["kept"] == 2
    assert "max_per_image=2 allows no more" in chosen.stderr
    photos = Path(srfast.ScoreTable.read(scores).meta["root"])
    printed = run(
        "dedup", scores, "-o", tmp_path / "d.parquet", "--json", "--against", photos / images[0], photos / images[1]
    )
    assert printed.returncode == 0, printed.stderr
    assert len(json.loads(printed.stdout)["leaks"]) == 2


def test_score_and_select_by_blockiness(photo_folder: Path, tmp_path: Path, run: Callable[..., Any]) -> None:
    pytest.importorskip("duckdb")
    base = ["score", photo_folder, "-o", tmp_path / "s.parquet", "--patch", "48", "--mode", "dense"]
    base += ["--scorer", "bicubic"]
    scored = run(*base, "--blockiness")
    assert scored.returncode == 0, scored.stderr
    values = srfast.ScoreTable.read(tmp_path / "s.parquet")["blockiness"]
    limit = float(sorted(values)[len(values) // 2])
    gates = ["--where", f"blockiness <= {limit!r}", "--keep", "1.0", "--json"]
    chosen = run("select", tmp_path / "s.parquet", "-o", tmp_path / "c.parquet", *gates)
    assert chosen.returncode == 0, chosen.stderr
    assert json.loads(chosen.stdout)["kept"] == (values <= limit).sum()
    mixed = run(*base, "--resume")
    assert mixed.returncode == 2
    assert "cannot be resumed: blockiness was True and is None now" in mixed.stderr
    small = run(*base[:5], "8", "--blockiness")
    assert (small.returncode, small.stderr.count("\n")) == (2, 1)
    assert "blockiness: expected a patch of at least 9 pixels, got 8" in small.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stats", "no.parquet"], "no.parquet: no such file"),
        (["join", "no.parquet", "x.csv", "-o", "o.parquet"], "no.parquet: no such file"),
        (["dedup", "a.parquet", "b.parquet", "-o", "o.parquet"], "test images come after --against"),
        (["dedup", "no.parquet", "-o", "o.parquet"], "no.parquet: no such file"),
        (["influence", "no.parquet", "--target", ".", "-o", "o.parquet"], "no.parquet: no such file"),
        (["influence", "a.parquet", "-o", "o.parquet"], "--target"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], words: str, run: Callable[..., Any]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
