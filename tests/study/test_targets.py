"""Arms that choose for a target: the pool has a column for each, made once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import srfast
from srfast.errors import InputError
from srfast.scoring.table import ScoreTable
from srfast.study.cells import cells
from srfast.study.description import read_study
from srfast.study.pool import select_cell
from srfast.study.runner import run_study

ARMS = """
[[arm]]
name = "for"
method = "{method}"
target = "kinds/sub"
keep = 0.5
budget = "updates"
[[arm]]
name = "des"
keep = 0.5
budget = "updates"
"""


@pytest.mark.parametrize("method", ["similar", "influence"])
def test_an_arms_target_is_a_column_of_the_pool(
    method: str, write_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if method == "influence":
        from srfast.coreset import influence

        monkeypatch.setattr(influence, "PROBES", 20)
    shutil.copytree(tmp_path / "photos", tmp_path / "kinds")
    path = write_study(arms=ARMS.format(method=method), seeds=2)
    monkeypatch.chdir(tmp_path.parent)  # the target is relative to the file
    results = run_study(path, tmp_path / "out")
    table = ScoreTable.read(tmp_path / "out" / "scores-0.parquet")
    plain = srfast.score(tmp_path / "photos", patch=32, scorer="bicubic")
    kept = srfast.select(plain, method=method, target=str(tmp_path / "kinds" / "sub"), keep=0.5)
    first = next(c for c in cells(read_study(path)) if c.arm.name == "for")
    own = select_cell(first, table)
    for column in ("image", "x", "y"):
        assert own.table.column(column).to_pylist() == kept.table.column(column).to_pylist()
    known = json.dumps(results.meta)
    assert str(tmp_path) not in known, "results say nothing of the machine"
    assert "sub, 2 images, sha256" in known
    assert table.column(f"{method}.sub").dtype == "float32"
    seconds = {r["arm"]: r["scoring_seconds"] for r in results.table.to_pylist()}
    assert seconds["for"] > 0
    assert json.loads((tmp_path / "out" / "scores-0.json").read_text())["targets"].keys() == {f"{method}.sub"}

    image = next((tmp_path / "kinds" / "sub").iterdir())
    image.write_bytes(image.read_bytes() + b"\0")
    (tmp_path / "out" / "cells" / first.name / "results.parquet").unlink()
    with pytest.raises(InputError, match=r"arm|targets"):
        run_study(path, tmp_path / "out")


def test_a_target_is_scored_by_no_other_scorer(write_study: Callable[..., Path]) -> None:
    """Influence is that of the scorer that comes with the package, and likeness of none."""
    path = write_study(arms=ARMS.format(method="similar"), scorers='["bicubic", "srcnn"]')
    assert [(c.arm.name, c.scorer) for c in cells(read_study(path))] == [("for", 0), ("des", 0), ("des", 1)]


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        (
            '[[arm]]\nname = "for"\nmethod = "similar"\nkeep = 0.5\n',
            "target: expected images to choose the patches for",
        ),
        ('[[arm]]\nname = "for"\ntarget = "a"\nkeep = 0.5\n', "target: needs the method influence or similar"),
        (
            "".join(f'[[arm]]\nname = "{a}"\nmethod = "similar"\ntarget = "{a}/x"\nkeep = 0.5\n' for a in "ab"),
            "target: expected folders whose names differ, got that of arm 'a'",
        ),
    ],
)
def test_refusals(arms: str, message: str, write_study: Callable[..., Path]) -> None:
    with pytest.raises(InputError) as caught:
        read_study(write_study(arms=arms))
    assert message in str(caught.value)
