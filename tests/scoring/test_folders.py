"""Score tables as folders of parts: the rows of the file, in the same order, whatever interrupted the run."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.coreset.selection import CoreSet
from srfast.data.provenance import kind_of
from srfast.errors import InputError
from srfast.scoring import parts
from srfast.scoring.pipeline import score
from srfast.scoring.table import ScoreTable

OPTIONS: dict[str, Any] = {"patch": 48, "scorer": "bicubic", "threads": 1}


@pytest.fixture
def alone(photo_folder: Path) -> ScoreTable:
    return score(photo_folder, **OPTIONS)


def test_a_folder_holds_the_rows_of_the_file(photo_folder, tmp_path, alone, monkeypatch):
    monkeypatch.setattr(parts, "ROWS", 40)
    output = tmp_path / "scores"
    table = score(photo_folder, output=f"{output}/", **OPTIONS)
    assert len(list(output.glob("part-*.parquet"))) > 1
    assert table.table.equals(alone.table)
    assert table.meta == alone.meta
    assert kind_of(output) == "score table"
    assert [p.name for p in tmp_path.iterdir() if "scores" in p.name] == ["scores"]
    assert not (output / "lock").exists()
    again = score(photo_folder, output=output, **OPTIONS)
    assert again.table.equals(alone.table)
    assert srfast.select(output, keep=0.3).table.equals(srfast.select(alone, keep=0.3).table)
    assert srfast.select(output, keep=0.3, engine="duckdb").table.equals(srfast.select(alone, keep=0.3).table)


def test_a_resumed_run_ends_in_the_order_of_one(photo_folder, tmp_path, alone, monkeypatch, interrupted):
    monkeypatch.setattr(parts, "ROWS", 40)
    output = f"{tmp_path / 'scores'}/"
    interrupted(score, photo_folder, output=output, after=2, **OPTIONS)
    assert not Path(output).exists()
    with pytest.raises(InputError, match="is of a run that is not finished"):
        ScoreTable.read(tmp_path / "scores.parts")
    assert score(photo_folder, output=output, resume=True, **OPTIONS).table.equals(alone.table)
    # An image that changed is scored again; its new rows take the place of the old ones.
    first = sorted(photo_folder.iterdir())[0]
    with Image.open(first) as image:
        flipped = image.convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    flipped.save(first)
    os.utime(first, ns=(1, 1))
    table = score(photo_folder, output=output, resume=True, **OPTIONS)
    assert table.table.equals(score(photo_folder, **OPTIONS).table)
    assert not table.table.equals(alone.table)
    names = [pq.read_table(p).column("image")[0].as_py() for p in sorted(Path(output).glob("part-*.parquet"))]
    assert names == sorted(names)


def test_nothing_of_the_users_is_replaced(photo_folder, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds files and is not a score table"):
        score(photo_folder, output=own, **OPTIONS)
    with pytest.raises(InputError, match="is an input of this run"):
        score(photo_folder, output=photo_folder, **OPTIONS)
    with pytest.raises(InputError, match=f"make it: mkdir -p {tmp_path / 'none'}"):
        score(photo_folder, output=f"{tmp_path}/none/scores/", **OPTIONS)
    score(photo_folder, output=f"{tmp_path}/scores/", **OPTIONS)
    (tmp_path / "scores" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt"):
        score(photo_folder, output=f"{tmp_path}/scores/", **OPTIONS)
    assert (tmp_path / "scores" / "notes.txt").read_text() == "mine"


# No reader passes over a missing shard of a folder; what allows it says so.


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
def test_every_reader_names_the_missing_shard(words, folder, tmp_path, run):
    places = {"SCORES": folder, "A": folder / "part-0.parquet", "B": folder / "part-2.parquet"}
    arguments = [places.get(w, tmp_path / w if "." in w else w) for w in words]
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "scores: 1 of 3 shards is missing (1/3); give all of them, or leave out their images by" in err
    assert err.count("\n") == 1
    assert not [p for p in tmp_path.iterdir() if p.suffix in (".parquet", ".html") or p.name in ("audit", "pairs")]


@pytest.mark.parametrize("small", [0, 1 << 26])
def test_what_allows_it_says_so(small, folder, tmp_path, run, monkeypatch):
    monkeypatch.setattr("srfast.scoring.stored.SMALL", small)
    chosen = tmp_path / "c.parquet"
    code, _, err = run("select", folder, "-o", chosen, ALLOW)
    assert (code, err) == (0, "srfast: scores: 1 of 3 shards is missing (1/3); their images are left out\n")
    assert CoreSet.read(chosen).meta["missing_shards"] == [[1, 3]]
    assert json.loads(run("stats", folder, "--json", ALLOW)[1])["patches"] == len(srfast.ScoreTable.read(folder))
    assert run("report", folder, "-o", tmp_path / "r.html", ALLOW)[0] == 0
    assert "Missing: 1 shard" in (tmp_path / "r.html").read_text()


def test_metadata_that_are_no_shards_are_passed_over(folder):
    table = srfast.ScoreTable.read(folder / "part-0.parquet")
    for odd in ("x", [1], [0, 0], [0, 1 << 60], [[0, "3"]], {"a": 1}, [True, 2]):
        table.meta["shard"] = odd
        table.meta["missing_shards"] = odd
        assert srfast.stats(table)["patches"] == len(table)
    table.meta.update(shard=[0, 1_000_003], missing_shards=None)
    other = srfast.ScoreTable(table.table.slice(0, 0), {**table.meta, "shard": [0, 1_000_033]})
    with pytest.raises(InputError, match="expected shards of one division of the images"):
        srfast.stats([table, other])
