"""``study``: claims that are named, or taken out, after trainings say so."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from srfast.study.folder import results_of
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
CLAIM = """
[[claim]]
arm = "des"
keep = 0.5
against = "des"
against_keep = 1.0
"""


def test_a_claim_named_after_trainings_says_so(write_study: Callable[..., Path], tmp_path: Path) -> None:
    """Also in results that are gathered later, and where the trainings are taken over from results without it."""
    study = write_study(updates=4, arms=ARM)
    study.write_text(study.read_text() + CLAIM)
    out, other = tmp_path / "out", tmp_path / "other"
    assert "named after" not in publish(run_study(study, out), None)
    late = CLAIM + 'stratum = "easy"\n'
    study.write_text(study.read_text() + late)
    for _ in range(2):  # it stays late
        page = publish(run_study(study, out), None)
        assert len(re.findall("named after 1 seed", page)) == 1
        assert "The other claims were pre-registered." in page
    assert publish(Results.read(out), None) == publish(results_of(out), None) == page
    study.write_text(study.read_text().replace("seeds = 1", "seeds = 2"))
    page = publish(run_study(study, other, known=[out]), None)
    assert len(re.findall("named after 1 seed", page)) == 1  # the other results name both, but this one late
    study.write_text(study.read_text().replace('stratum = "easy"', 'stratum = "hard"'))
    page = publish(run_study(study, tmp_path / "third", known=[other]), None)
    assert len(re.findall("named after 2 seeds", page)) == 1
    assert len(re.findall("named after", page)) == 1


def test_a_claim_that_is_taken_out_is_counted(write_study: Callable[..., Path], tmp_path: Path) -> None:
    """Once its sides have been trained; before, the file may be changed."""
    study = write_study(updates=4, arms=ARM)
    plain = study.read_text()
    study.write_text(plain + CLAIM + 'stratum = "easy"\n')
    run_study(study, tmp_path / "out", only="k100")
    study.write_text(plain + CLAIM)
    assert "taken out" not in publish(run_study(study, tmp_path / "out"), None)
    study.write_text(plain + CLAIM + 'stratum = "hard"\n')
    page = publish(run_study(study, tmp_path / "out"), None)
    assert "1 claim more had been named and taken out after trainings of both sides." in page
    assert "named after 1 seed" in page
    assert publish(Results.read(tmp_path / "out"), None) == page


def test_a_claim_is_in_time_before_both_of_its_sides_are_trained(
    write_study: Callable[..., Path], tmp_path: Path
) -> None:
    study = write_study(updates=4, arms=ARM)
    run_study(study, tmp_path / "out", only="k100")
    study.write_text(study.read_text() + CLAIM)
    assert "named after" not in publish(run_study(study, tmp_path / "out"), None)


def test_cells_brought_together_accuse_nobody(write_study: Callable[..., Path], tmp_path: Path) -> None:
    """Folders of cells without the record of any run say nothing of when claims were named."""
    study = write_study(updates=4, arms=ARM)
    study.write_text(study.read_text() + CLAIM)
    run_study(study, tmp_path / "out")
    shutil.copytree(tmp_path / "out" / "cells", tmp_path / "gathered" / "cells")
    assert "named after" not in publish(run_study(study, tmp_path / "gathered"), None)


def test_results_of_rounds_tell_nothing_in_time(write_study: Callable[..., Path], tmp_path: Path) -> None:
    """Their number of seeds follows from looks at them, for which only rounds of as many seeds pay."""
    study = write_study(updates=4, seeds=2, arms=ARM)
    study.write_text(study.read_text() + CLAIM)
    run_study(study, tmp_path / "rounds", until_decided=True)
    for out, rounds, late in (("once", False, 1), ("again", True, 0)):
        found = run_study(study, tmp_path / out, known=[tmp_path / "rounds"], until_decided=rounds)
        assert publish(found, None).count("named after 2 seeds") == late


def test_a_claim_is_the_same_however_it_is_written(write_study: Callable[..., Path], tmp_path: Path) -> None:
    """With the model, the updates and the scale that it takes from the file; and another one if these change."""
    study, out = write_study(updates=4, arms=ARM), tmp_path / "out"
    plain = study.read_text()
    study.write_text(plain + CLAIM)
    run_study(study, out)
    study.write_text(plain + CLAIM + 'model = "fsrcnn"\nupdates = 4\nscale = 2\n')
    page = publish(run_study(study, out), None)
    assert "named after" not in page
    assert "taken out" not in page
    other = plain.replace('models = ["fsrcnn"]', 'models = ["srcnn", "fsrcnn"]')
    study.write_text(other)
    run_study(study, out)
    study.write_text(other + CLAIM)
    page = publish(run_study(study, out), None)
    assert "named after 1 seed" in page
    assert "1 claim more had been named and taken out" in page


def test_a_claim_that_is_taken_out_with_its_arm_is_counted(write_study: Callable[..., Path], tmp_path: Path) -> None:
    """At once or after it; and without any other claim."""
    arms = ARM + ARM.replace('"des"', '"other"') + CLAIM.replace('against = "des"', 'against = "other"')
    for first in (ARM + ARM.replace('"des"', '"other"'), ARM):
        out = tmp_path / str(len(first))
        run_study(write_study(updates=4, arms=arms), out)
        run_study(write_study(updates=4, arms=first), out)
        page = publish(run_study(write_study(updates=4, arms=ARM), out), None)
        assert "1 claim more had been named and taken out" in page
    assert "taken out" not in publish(run_study(write_study(updates=4, arms=arms), out), None)


def test_known_results_of_other_images_are_not_counted(write_study: Callable[..., Path], tmp_path: Path) -> None:
    study = write_study(updates=4, arms=ARM)
    run_study(study, tmp_path / "out", images=[tmp_path / "photos" / "sub"])
    study.write_text(study.read_text() + CLAIM)
    found = run_study(study, tmp_path / "other", known=[tmp_path / "out"])
    assert "named after" not in publish(found, None)
