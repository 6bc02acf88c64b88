"""What a command says without being asked, what it does not do without being asked, and errors for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srfast.training.arguments import gather

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def scores(make_table: Callable[..., Any], tmp_path: Path) -> Path:
    table = make_table(np.arange(1, 21.0), noise=np.zeros(20, np.float32))
    table.write(path := tmp_path / "s.parquet")
    return path


def test_the_condition_of_clean_is_for_the_curious(scores: Path, tmp_path: Path, run: Run) -> None:
    words = ("select", scores, "-o", tmp_path / "c.parquet", "--clean")
    assert "--where" not in run(*words)[2]
    assert '--clean is --where "' in run("-v", *words)[2]


def test_a_score_table_is_exported_only_if_all_of_it_is_meant(scores: Path, tmp_path: Path, run: Run) -> None:
    """It may have a million patches."""
    code, out, err = run("export", scores, "-o", tmp_path / "pairs", "--to", "folder")
    assert (code, out) == (2, "")
    assert "expected a core-set, got a score table, of which every patch would be written; select from it first" in err
    assert not (tmp_path / "pairs").exists()
    assert "a score table" not in run("export", scores, "-o", tmp_path / "pairs", "--to", "folder", "--all")[2]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("stats", "nowhere.parquet"), 2, "nowhere.parquet: no such file"),
        (("select", "nowhere.parquet", "-o", "c.parquet", "--keep", "2"), 2, "--keep: expected"),
        (("select", "nowhere.parquet"), 2, "Missing option"),
        (("score", "nowhere", "-o", "s.parquet", "--scael", "2"), 2, "No such option"),
    ],
    ids=lambda w: " ".join(w) if isinstance(w, tuple) else None,
)
def test_an_error_is_one_object_too(words: tuple[str, ...], code: int, said: str, run: Run) -> None:
    for words_typed in ((*words, "--json"), words):
        exit_code, out, err = run(*words_typed)
        assert exit_code == code
        assert said in err
        assert err.count("\n") == 1
        if "--json" not in words_typed:
            assert out == ""
            continue
        assert out.count("\n") == 1
        error = json.loads(out)
        assert error.keys() - {"hint"} == {"error", "code"}
        assert error["error"].endswith(error.get("hint", ""))
        assert (error["code"], f"srfast: error: {error['error']}\n") == (code, err)


def test_a_trainer_is_no_format_but_reads_one(scores: Path, tmp_path: Path, run: Run) -> None:
    assert (
        "traiNNer-redux, neosr and KAIR read folder" in run("export", scores, "-o", tmp_path / "p", "--to", "redux")[2]
    )
    assert run("export", scores, "-o", tmp_path / "p", "--to", "foldr")[2].endswith("did you mean folder?\n")


def test_crops_are_no_larger_than_the_patches_of_a_core_set(make_table: Callable[..., Any], tmp_path: Path) -> None:
    """Recipes take 32 LR pixels or more, of which a patch of 96 at x4 has 24."""
    table = make_table(np.arange(1, 21.0))
    table.meta.update(scale=4, patch=96)
    table.write(tmp_path / "s.parquet")
    data = [tmp_path / "s.parquet"]
    assert gather("fsrcnn", data, tmp_path / "run", False, {"steps": 1}).settings.lr_patch == 24
    assert gather("fsrcnn", data, tmp_path / "run", False, {"steps": 1, "lr_patch": 32}).settings.lr_patch == 32
    assert gather("fsrcnn", [tmp_path], tmp_path / "run", False, {"steps": 1, "scale": 4}).settings.lr_patch > 24
