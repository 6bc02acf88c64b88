"""No reader passes over a missing shard of a folder; what allows it says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import srfast
from srfast.coreset.selection import CoreSet
from srfast.errors import InputError

ALLOW = "--allow-missing-shards"


@pytest.fixture
def folder(photo_folder: Path, tmp_path: Path) -> Path:
    """Two of the three shards of a folder, as a Slurm job leaves them whose second task has failed."""
    (tmp_path / "scores").mkdir()
    for i in (0, 2):
        output = tmp_path / "scores" / f"part-{i}.parquet"
        srfast.score(photo_folder, patch=48, scorer="bicubic", shard=(i, 3), output=output)
    return tmp_path / "scores"


@pytest.mark.parametrize(
    "words",
    [
        ("select", "SCORES", "-o", "c.parquet", "--engine", "memory"),
        ("select", "SCORES", "-o", "c.parquet", "--engine", "duckdb"),
        ("select", "A", "B", "-o", "c.parquet"),
        ("stats", "SCORES"),
        ("report", "SCORES", "-o", "r.html"),
        ("view", "SCORES", "--no-browser"),
        ("join", "SCORES", "none.csv", "-o", "j.parquet"),
        ("dedup", "SCORES", "-o", "d.parquet"),
        ("influence", "SCORES", "--target", "SCORES", "-o", "i.parquet"),
        ("audit", "SCORES", "-o", "audit"),
        ("export", "SCORES", "-o", "pairs", "--to", "folder", "--all"),
    ],
    ids=" ".join,
)
def test_every_reader_names_the_missing_shard(
    words: tuple[str, ...], folder: Path, tmp_path: Path, run: Callable[..., Any]
) -> None:
    places = {"SCORES": folder, "A": folder / "part-0.parquet", "B": folder / "part-2.parquet"}
    arguments = [places.get(w, tmp_path / w if "." in w else w) for w in words]
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "scores: 1 of 3 shards is missing (1/3); give all of them, or leave out their images by" in err
    assert err.count("\n") == 1
    assert not [p for p in tmp_path.iterdir() if p.suffix in (".parquet", ".html") or p.name in ("audit", "pairs")]


@pytest.mark.parametrize("small", [0, 1 << 26])
def test_what_allows_it_says_so(
    small: int, folder: Path, tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srfast.scoring.stored.SMALL", small)
    chosen = tmp_path / "c.parquet"
    code, _, err = run("select", folder, "-o", chosen, ALLOW)
    assert (code, err) == (0, "srfast: scores: 1 of 3 shards is missing (1/3); their images are left out\n")
    assert CoreSet.read(chosen).meta["missing_shards"] == [[1, 3]]
    assert json.loads(run("stats", folder, "--json", ALLOW)[1])["patches"] == len(srfast.ScoreTable.read(folder))
    assert run("report", folder, "-o", tmp_path / "r.html", ALLOW)[0] == 0
    assert "Missing: 1 shard" in (tmp_path / "r.html").read_text()


def test_metadata_that_are_no_shards_are_passed_over(folder: Path) -> None:
    table = srfast.ScoreTable.read(folder / "part-0.parquet")
    for odd in ("x", [1], [0, 0], [0, 1 << 60], [[0, "3"]], {"a": 1}, [True, 2]):
        table.meta["shard"] = odd
        table.meta["missing_shards"] = odd
        assert srfast.stats(table)["patches"] == len(table)
    table.meta.update(shard=[0, 1_000_003], missing_shards=None)
    other = srfast.ScoreTable(table.table.slice(0, 0), {**table.meta, "shard": [0, 1_000_033]})
    with pytest.raises(InputError, match="expected shards of one division of the images"):
        srfast.stats([table, other])
