"""``study``: how far it is, SIGTERM, columns from elsewhere, targets, strata."""

import json
import re
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.data.images import find_images
from srfast.errors import InputError
from srfast.evaluation.evaluator import TILE, evaluate, evaluate_tiles
from srfast.evaluation.settings import EvaluateSettings
from srfast.scoring.table import ScoreTable
from srfast.study.description import cells
from srfast.study.file import read_study
from srfast.study.pool import select_cell, weighted_cell
from srfast.study.runner import run_study
from srfast.training import checkpoint, loop


def test_status_on_one_screen(write_study, tmp_path, run):
    study, out = write_study(updates=4, seeds=30), tmp_path / "out"

    def status(*line):
        code, said, _ = run("study", *line, "--status")
        assert code == 0
        return said

    assert status(study, "-o", out).startswith("0 done, 0 running, 120 left\nnext: fsrcnn-des-k100-u4-s0\n")
    assert len(status(study, "-o", out).splitlines()) < 24
    srfast.run_study(study, out, only="des-k50-u2-s0")
    assert re.match(r"1 done, 0 running, 119 left, about \d+ (s|min) left", status(study, "-o", out))
    assert status(out).startswith("1 done, 0 running, 119 left, about ")


def test_a_joined_column_is_an_arms_method(write_study, photo_folder, tmp_path, refused):
    arms = '[[arm]]\nname = "best"\nmethod = "quality"\nkeep = 0.5\nbudget = "updates"\n'
    names = sorted(f.name for f in find_images(photo_folder))
    rows = "".join(f"{name},{i}\n" for i, name in enumerate(names))
    (tmp_path / "quality.csv").write_text("image,quality\n" + rows)
    join = ("[scoring]", '[scoring]\njoin = "quality.csv"')
    study = write_study(join, updates=4, seeds=2, arms=arms)
    results = srfast.run_study(study, tmp_path / "out", only="*-s0")
    assert list(results.meta["cells"]) == ["fsrcnn-best-k50-u4-s0"]
    table = srfast.ScoreTable.read(tmp_path / "out" / "scores-0.parquet")
    kept = srfast.select(table, keep=0.5, method="quality").table
    assert min(kept["quality"].to_pylist()) > 0
    (tmp_path / "quality.csv").write_text("image,quality\n" + rows.replace(",0\n", ",9\n"))
    refused(r"join: .* was run with", srfast.run_study, study, tmp_path / "out", only="*-s1")
    with pytest.raises(InputError, match=r"arm 'best'\.method: expected one of .*quality.*, got 'sharpness'"):
        read_study(write_study(join, arms=arms.replace("quality", "sharpness")))


def test_sigterm_finishes_the_step_as_ctrl_c_does(write_study, tmp_path, monkeypatch):
    study = write_study(("save_every = 2", "save_every = 99"), updates=6, arms='[[arm]]\nname = "full"\nkeep = 1.0\n')
    update = loop._Runner._update

    def ends(self, *arguments):
        if self.step == 3:
            signal.raise_signal(signal.SIGTERM)
        return update(self, *arguments)

    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with monkeypatch.context() as patch:
        patch.setattr(loop._Runner, "_update", ends)
        with pytest.raises(KeyboardInterrupt):
            srfast.run_study(study, tmp_path / "out")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    last = tmp_path / "out" / "cells" / "fsrcnn-full-k100-u6-s0" / "last.pt"
    assert checkpoint.load(last)["step"] == 4
    assert list(srfast.run_study(study, tmp_path / "out").meta["cells"]) == ["fsrcnn-full-k100-u6-s0"]


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
def test_an_arms_target_is_a_column_of_the_pool(method, write_study, tmp_path, monkeypatch, refused):
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
    refused(r"arm|targets", run_study, path, tmp_path / "out")


def test_a_target_is_scored_by_no_other_scorer(write_study):
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
def test_refusals(arms, message, write_study, refused):
    refused(message, read_study, write_study(arms=arms))


CLASSIC = EvaluateSettings(scale=2, protocol="classic")


def test_thirds_by_the_error_of_bicubic(photo_folder):
    files = sorted(map(str, photo_folder.rglob("*.*")))
    _, errors = evaluate_tiles("bicubic", files, CLASSIC)
    shown = {}
    evaluate("bicubic", files, 2, "classic", inspect=lambda name, sr, hr: shown.update({name: (sr, hr)}))
    tiles = {s: sum(r.pixels for r in errors if r.stratum == s) // TILE**2 for s in ("easy", "middle", "hard")}
    total = sum(((h.shape[0] - 4) // TILE) * ((h.shape[1] - 4) // TILE) for _, h in shown.values())
    assert sum(tiles.values()) == total
    assert max(tiles.values()) - min(tiles.values()) <= 1
    mse = {s: [r.mse for r in errors if r.stratum == s] for s in tiles}
    assert max(mse["easy"]) < min(mse["middle"]) < max(mse["middle"]) < min(mse["hard"])
    # An image of one stratum only is its PSNR over the tiles.
    sr, hr = (a.astype(np.float64) for a in shown["astronaut.png"])
    rows = [r for r in errors if r.image == "astronaut.png" and r.stratum != "flat"]
    h, w = ((n - 4) // TILE * TILE for n in hr.shape)
    expected = np.mean((sr - hr)[2 : 2 + h, 2 : 2 + w] ** 2)
    assert sum(r.mse * r.pixels for r in rows) / sum(r.pixels for r in rows) == pytest.approx(expected)


def test_flat_areas_and_images_smaller_than_a_tile(tmp_path):
    rng = np.random.default_rng(0)
    image = np.full((68, 68, 3), 120, np.uint8)
    image[:34] = rng.integers(0, 256, (34, 68, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "half.png")
    _, errors = evaluate_tiles("bicubic", [str(tmp_path / "half.png")], CLASSIC)
    assert {r.stratum: r.pixels for r in errors}["flat"] == 2 * TILE**2
    path = tmp_path / "small.png"
    Image.fromarray(image[:30, :30]).save(path)
    evaluation, errors = evaluate_tiles("bicubic", [str(path)], CLASSIC)
    assert len(evaluation.images) == 1
    assert errors == []


def test_draws_mixtures_and_scorers_of_an_arm(write_study, photo_folder, tmp_path):
    arm = '[[arm]]\nname = "{}"\nsizes = "all"\nbudget = "updates"\n{}\n'
    arms = "".join(
        arm.format(name, more)
        for name, more in (
            ("mixed", 'keep = 0.25\nmix = 0.5\nscorers = ["srcnn"]'),
            ("sizes", 'keep = 1.0\ndraws = "sizes"\nscorers = ["srcnn"]'),
            ("loss", 'keep = 1.0\ndraws = "loss^0.5"\nscorers = ["bicubic"]'),
        )
    )
    both = {"scorers": '["srcnn", "bicubic"]', "updates": 4}
    sizes = ("[scoring]", '[scoring]\nshrink = "1,1/2"')
    study = read_study(write_study(sizes, arms=arms, **both))
    mixed, by_size, loss = cells(study)
    assert [(c.arm.name, c.scorer) for c in cells(study)] == [("mixed", 0), ("sizes", 0), ("loss", 1)]
    table = srfast.score(photo_folder, patch=study.patch, shrink="1,1/2")

    drawn, weights = weighted_cell(mixed, table)
    kept = {tuple(row) for row in places(select_cell(mixed, table))}
    inside = np.array([tuple(row) in kept for row in places(drawn)])
    assert len(drawn) == len(table)
    assert inside.sum() == len(kept) < len(drawn)
    # Half of the crops come from the selection, and a quarter of the other half lies in it.
    assert weights[inside].sum() == pytest.approx(0.5 + 0.5 * len(kept) / len(drawn))
    assert len(np.unique(weights[inside])) == len(np.unique(weights[~inside])) == 1

    drawn, weights = weighted_cell(by_size, table)
    small = drawn["shrink"] == 0.5
    assert 0 < small.sum() < (~small).sum()
    assert weights[small].sum() == pytest.approx(weights[~small].sum())

    drawn, weights = weighted_cell(loss, table)
    np.testing.assert_allclose(weights, np.sqrt(drawn["loss"]), rtol=1e-6)
    with pytest.raises(InputError, match=r"arm 1\.mix: expected a fraction with 0 <= mix < 1, got 1"):
        read_study(write_study(sizes, arms=arms.replace("mix = 0.5", "mix = 1.0"), **both))


def places(table):
    return zip(*(table[name].tolist() for name in ("image", "shrink", "x", "y")), strict=True)
