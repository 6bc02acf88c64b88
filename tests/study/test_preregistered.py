"""``python -m experiments.preregistered``: claims after trainings, known results."""

import importlib
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srfast.study import cell as cell_module
from srfast.study.file import read_study
from srfast.study.folder import results_of, status
from srfast.study.publication import publish
from srfast.study.results import Results

sys.path.append(str(Path(__file__).resolve().parents[2]))
preregistered = importlib.import_module("experiments.preregistered")  # not in the package
run_study = preregistered.run
ARM = """
[[arm]]
name = "des"
keep = [1.0, 0.5]
budget = "updates"
"""
HALF = ARM.replace("[1.0, 0.5]", "0.5")
CLAIM = """
[[claim]]
arm = "des"
keep = 0.5
against = "des"
against_keep = 1.0
"""


def test_a_claim_named_after_trainings_says_so(write_study, tmp_path):
    study = write_study(updates=4, arms=ARM + CLAIM)
    out, other = tmp_path / "out", tmp_path / "other"
    assert "named after" not in publish(run_study(study, out), None)
    easy, hard = (f'{CLAIM}stratum = "{stratum}"\n' for stratum in ("easy", "hard"))
    study = write_study(updates=4, arms=ARM + CLAIM + easy)
    for _ in range(2):  # it stays late
        page = publish(run_study(study, out), None)
        assert len(re.findall("named after 1 seed", page)) == 1
        assert "The other claims were pre-registered." in page
    assert publish(Results.read(out), None) == publish(results_of(out), None) == page
    study = write_study(updates=4, seeds=2, arms=ARM + CLAIM + easy)
    page = publish(run_study(study, other, known=[out]), None)
    assert len(re.findall("named after 1 seed", page)) == 1  # the other results name both, but this one late
    page = publish(run_study(write_study(updates=4, seeds=2, arms=ARM + CLAIM + hard), tmp_path / "third",
                             known=[other]), None)  # fmt: skip
    assert len(re.findall("named after 2 seeds", page)) == 1
    assert len(re.findall("named after", page)) == 1


def test_a_claim_that_is_taken_out_is_counted(write_study, tmp_path):
    out = tmp_path / "out"
    easy, hard = (f'{CLAIM}stratum = "{stratum}"\n' for stratum in ("easy", "hard"))
    run_study(write_study(updates=4, arms=ARM + easy), out, only="k100")
    assert "taken out" not in publish(run_study(write_study(updates=4, arms=ARM + CLAIM), out), None)
    page = publish(run_study(write_study(updates=4, arms=ARM + hard), out), None)
    assert "1 claim more had been named and taken out after trainings of both sides." in page
    assert "named after 1 seed" in page
    assert publish(Results.read(out), None) == page
    two = ARM + ARM.replace('"des"', '"other"')
    claimed = two + CLAIM.replace('against = "des"', 'against = "other"')
    for first in (two, ARM):
        out = tmp_path / str(len(first))
        run_study(write_study(updates=4, arms=claimed), out)
        run_study(write_study(updates=4, arms=first), out)
        page = publish(run_study(write_study(updates=4, arms=ARM), out), None)
        assert "1 claim more had been named and taken out" in page
    assert "taken out" not in publish(run_study(write_study(updates=4, arms=claimed), out), None)


def test_claims_that_are_in_time(write_study, tmp_path):
    plain, claimed = {"updates": 4, "arms": ARM}, {"updates": 4, "arms": ARM + CLAIM}
    run_study(write_study(**plain), tmp_path / "out", only="k100")
    run_study(write_study(**plain), tmp_path / "images", images=[tmp_path / "photos" / "sub"])
    study = write_study(**claimed)
    pages = [publish(run_study(study, tmp_path / "out"), None)]
    shutil.copytree(tmp_path / "out" / "cells", tmp_path / "gathered" / "cells")
    pages += [publish(run_study(study, tmp_path / "gathered"), None)]
    pages += [publish(run_study(study, tmp_path / "other", known=[tmp_path / "images"]), None)]
    assert not [page for page in pages if "named after" in page]


def test_a_claim_is_the_same_however_it_is_written(write_study, tmp_path):
    out = tmp_path / "out"
    run_study(write_study(updates=4, arms=ARM + CLAIM), out)
    whole = CLAIM + 'model = "fsrcnn"\nupdates = 4\nscale = 2\n'
    page = publish(run_study(write_study(updates=4, arms=ARM + whole), out), None)
    assert not re.search("named after|taken out", page)
    two = ('models = ["fsrcnn"]', 'models = ["srcnn", "fsrcnn"]')
    run_study(write_study(two, updates=4, arms=ARM), out)
    page = publish(run_study(write_study(two, updates=4, arms=ARM + CLAIM), out), None)
    assert "named after 1 seed" in page
    assert "1 claim more had been named and taken out" in page


@pytest.fixture
def ran(monkeypatch):
    """The cells that are trained from now on."""
    names = []
    train = cell_module.train

    def counted(plan, store, folder, **how):
        names.append(folder.name)
        return train(plan, store, folder, **how)

    monkeypatch.setattr(cell_module, "train", counted)
    return names


def test_known_cells_are_taken_over(write_study, tmp_path, ran):
    first = run_study(write_study(), tmp_path / "first")
    ran.clear()
    both = run_study(write_study(seeds=2), tmp_path / "second", known=[tmp_path / "first"])
    assert len(ran) == 4
    assert all(name.endswith("-s1") for name in ran)
    cells = set(first.meta["cells"])
    for name in ("table", "strata", "log"):
        rows = getattr(first, name).to_pylist()
        assert rows
        taken = [r for r in getattr(both, name).to_pylist() if r["cell"] in cells]
        for one, other in zip(taken, rows, strict=True):
            assert {**one, "scoring_seconds": 0} == {**other, "scoring_seconds": 0}, name
    # Scoring the pool is counted as it took here.
    seconds = [r.meta["scoring"][0]["seconds"] for r in (first, both)]
    of = [{r["cell"]: r["scoring_seconds"] for r in results.table.to_pylist()} for results in (first, both)]
    for name in cells:
        before, after = of[0][name], of[1][name]
        assert after == (pytest.approx(before + seconds[1] - seconds[0], abs=1e-3) if before else 0)
    assert any(of[1].values())
    assert both.meta["cells"].items() >= first.meta["cells"].items()
    # Their seconds are another machine's: they say nothing of how long the rest will take.
    run_study(write_study(seeds=1), tmp_path / "third", known=[tmp_path / "first"])
    assert status(read_study(write_study(seeds=2)), tmp_path / "third").seconds is None
    # Once taken over, they are cells as any other.
    ran.clear()
    assert run_study(write_study(seeds=2), tmp_path / "second").table.equals(both.table)
    assert not ran


def test_known_cells_of_other_settings_data_or_losses_are_run(write_study, tmp_path, ran):
    run_study(write_study(), tmp_path / "first")
    ran.clear()
    run_study(write_study(("batch = 2", "batch = 3")), tmp_path / "batch", known=[tmp_path / "first"])
    assert len(ran) == 4
    # Losses of weights with the same name; what needs no scorer is taken.
    arms = HALF + '[[arm]]\nname = "bicubic"\nmethod = "bicubic"\nkeep = 0.5\nbudget = "updates"\n'
    results = run_study(write_study(updates=4, arms=arms), tmp_path / "scored")
    for scoring in results.meta["scoring"]:
        scoring["loss_quantiles"] = [1.01 * q for q in scoring["loss_quantiles"]]
    results.write(tmp_path / "scored")
    ran.clear()
    run_study(write_study(updates=4, arms=arms), tmp_path / "again", known=[tmp_path / "scored"])
    assert ran == ["fsrcnn-des-k50-u4-s0"]
    ran.clear()
    # One more training image: other patches under the same settings.
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "photos" / "more.png")
    run_study(write_study(), tmp_path / "more", known=[tmp_path / "first"])
    assert len(ran) == 4


def test_known_results_that_are_none(write_study, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    refused(r"results\.parquet", run_study, write_study(arms=ARM), "out", known=["photos"])
    assert not Path("out").exists()


def test_trainings_that_the_file_names_no_more(write_study, tmp_path):
    study, out = write_study(updates=4, seeds=[0, 1], arms=HALF), tmp_path / "out"
    assert "does not name" not in publish(run_study(study, out), None)
    study = write_study(updates=4, seeds=[0, 2], arms=HALF)
    assert "The folder holds 1 training that the file does not name" in publish(run_study(study, out), None)
