"""``study``: claims that are named, or taken out, after trainings say so."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import srfast
from srfast.study.folder import results_of
from srfast.study.naming import NAMED
from srfast.study.publication import publish
from srfast.study.results import Results

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
    assert "named after" not in publish(srfast.run_study(study, out), None)
    late = CLAIM + 'stratum = "easy"\n'
    study.write_text(study.read_text() + late)
    for _ in range(2):  # it stays late
        page = publish(srfast.run_study(study, out), None)
        assert len(re.findall("named after 1 seed", page)) == 1
        assert "Claims named before the run, but for those" in page
    assert publish(Results.read(out), None) == publish(results_of(out), None) == page
    study.write_text(study.read_text().replace("seeds = 1", "seeds = 2"))
    page = publish(srfast.run_study(study, other, known=[out]), None)
    assert "named after" not in page  # the other results name both
    study.write_text(study.read_text().replace('stratum = "easy"', 'stratum = "hard"'))
    page = publish(srfast.run_study(study, tmp_path / "third", known=[other]), None)
    assert len(re.findall("named after 2 seeds", page)) == 1


def test_a_claim_that_is_taken_out_is_counted(write_study: Callable[..., Path], tmp_path: Path) -> None:
    """Once its sides have been trained; before, the file may be changed."""
    study = write_study(updates=4, arms=ARM)
    plain = study.read_text()
    study.write_text(plain + CLAIM + 'stratum = "easy"\n')
    srfast.run_study(study, tmp_path / "out", only="k100")
    study.write_text(plain + CLAIM)
    assert "taken out" not in publish(srfast.run_study(study, tmp_path / "out"), None)
    study.write_text(plain + CLAIM + 'stratum = "hard"\n')
    page = publish(srfast.run_study(study, tmp_path / "out"), None)
    assert "1 more had been named and taken out of the file after their trainings." in page
    assert "named after 1 seed" in page
    assert publish(Results.read(tmp_path / "out"), None) == page


def test_a_claim_is_in_time_before_both_of_its_sides_are_trained(
    write_study: Callable[..., Path], tmp_path: Path
) -> None:
    study = write_study(updates=4, arms=ARM)
    srfast.run_study(study, tmp_path / "out", only="k100")
    study.write_text(study.read_text() + CLAIM)
    assert "named after" not in publish(srfast.run_study(study, tmp_path / "out"), None)


def test_a_run_of_before_there_was_a_record(write_study: Callable[..., Path], tmp_path: Path) -> None:
    """Its claims, which had no scale, are in time, and remain counted when they are taken out."""
    study, out = write_study(updates=4, arms=ARM), tmp_path / "out"
    plain = study.read_text()
    study.write_text(plain + CLAIM)
    found = srfast.run_study(study, out)
    for claim in found.meta["study"]["claims"]:
        del claim["scale"]
    for _ in range(2):
        (out / NAMED).unlink()
        found.write(out)
        page = publish(srfast.run_study(study, out), None)
        assert "named after" not in page
        assert "taken out" not in page
    (out / NAMED).unlink()
    found.write(out)
    study.write_text(plain + CLAIM + 'stratum = "easy"\n')
    for _ in range(2):
        assert "1 more had been named" in publish(srfast.run_study(study, out), None)


def test_cells_brought_together_accuse_nobody(write_study: Callable[..., Path], tmp_path: Path) -> None:
    """Folders of cells without the record of any run say nothing of when claims were named."""
    study = write_study(updates=4, arms=ARM)
    study.write_text(study.read_text() + CLAIM)
    srfast.run_study(study, tmp_path / "out")
    shutil.copytree(tmp_path / "out" / "cells", tmp_path / "gathered" / "cells")
    assert "named after" not in publish(srfast.run_study(study, tmp_path / "gathered"), None)
