"""Arms that choose for a target: the pool has a column for each, made once."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.errors import InputError
from srfast.evaluation.evaluator import TILE, TileErrors, evaluate
from srfast.scoring.table import ScoreTable
from srfast.study.description import cells
from srfast.study.file import read_study
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
def test_an_arms_target_is_a_column_of_the_pool(method, write_study, tmp_path, monkeypatch):
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


def test_a_target_is_scored_by_no_other_scorer(write_study):
    """Influence is that of the scorer that comes with the package, and likeness of none."""
    path = write_study(arms=ARMS.format(method="similar"), scorers='["bicubic", "srcnn"]')
    assert [(c.arm.name, c.scorer) for c in cells(read_study(path))] == [("for", 0), ("des", 0), ("des", 1)]


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ('[[arm]]\nname = "for"\nmethod = "similar"\n', "target: expected images"),
        ('[[arm]]\nname = "for"\ntarget = "a"\n', "target: needs the method influence or similar"),
        ("".join(f'[[arm]]\nname = "{a}"\nmethod = "similar"\ntarget = "{a}/x"\n' for a in "ab"), "names differ"),
    ],
)
def test_refusals(arms, message, write_study):
    with pytest.raises(InputError, match=message):
        read_study(write_study(arms=arms))


def test_thirds_by_the_error_of_bicubic(photo_folder):
    files = sorted(map(str, photo_folder.rglob("*.*")))
    errors = TileErrors(files, 2, "classic")
    shown: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def inspect(name: str, sr: np.ndarray, hr: np.ndarray) -> None:
        shown[name] = sr, hr
        errors.inspect(name, sr, hr)

    evaluate("bicubic", files, 2, "classic", inspect=inspect)
    tiles = {s: sum(r.pixels for r in errors.rows if r.stratum == s) // TILE**2 for s in ("easy", "middle", "hard")}
    total = sum(((h.shape[0] - 4) // TILE) * ((h.shape[1] - 4) // TILE) for _, h in shown.values())
    assert sum(tiles.values()) == total
    assert max(tiles.values()) - min(tiles.values()) <= 1
    mse = {s: [r.mse for r in errors.rows if r.stratum == s] for s in tiles}
    assert max(mse["easy"]) < min(mse["middle"]) < max(mse["middle"]) < min(mse["hard"])
    # An image of one stratum only is its PSNR over the tiles.
    sr, hr = (a.astype(np.float64) for a in shown["astronaut.png"])
    rows = [r for r in errors.rows if r.image == "astronaut.png" and r.stratum != "flat"]
    h, w = ((n - 4) // TILE * TILE for n in hr.shape)
    expected = np.mean((sr - hr)[2 : 2 + h, 2 : 2 + w] ** 2)
    assert sum(r.mse * r.pixels for r in rows) / sum(r.pixels for r in rows) == pytest.approx(expected)


def test_flat_areas_and_images_smaller_than_a_tile(tmp_path):
    rng = np.random.default_rng(0)
    image = np.full((68, 68, 3), 120, np.uint8)
    image[:34] = rng.integers(0, 256, (34, 68, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "half.png")
    errors = TileErrors([str(tmp_path / "half.png")], 2, "classic")
    evaluate("bicubic", tmp_path, 2, "classic", inspect=errors.inspect)
    assert {r.stratum: r.pixels for r in errors.rows}["flat"] == 2 * TILE**2
    path = tmp_path / "small.png"
    Image.fromarray(image[:30, :30]).save(path)
    small = TileErrors([str(path)], 2, "classic")
    assert len(evaluate("bicubic", path, 2, "classic", inspect=small.inspect).images) == 1
    assert small.rows == []
