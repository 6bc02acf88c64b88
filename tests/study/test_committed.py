"""The ready-made studies: their committed results, and one real cell."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from srfast.study.cells import cells
from srfast.study.description import read_study
from srfast.study.publication import publish, results_folder
from srfast.study.results import Results
from srfast.study.runner import run_study

STUDIES = Path(__file__).resolve().parents[2] / "studies"


@pytest.mark.parametrize("name", sorted(p.name for p in (STUDIES / "results").iterdir()))
def test_committed_results_print_their_tables(name: str) -> None:
    study = STUDIES / f"{name}.toml"
    folder = results_folder(study)
    assert folder is not None
    results = Results.read(folder)
    assert set(results.meta["cells"]) <= {c.name for c in cells(read_study(study))}
    assert "Table 1: selections on BSD100" in publish(results, None)


@pytest.mark.slow
def test_one_real_cell_of_table_1(data_folder: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("BSDS400", "Set5", "Set14", "BSD100"):
        data_folder(name)
    shutil.copy(STUDIES / "table1-bsds.toml", tmp_path / "table1-bsds.toml")
    images, tests = data_folder("BSDS400"), {"Set5": data_folder("Set5"), "Set14": data_folder("Set14")}
    cell = "fsrcnn-random-k25-u488-s0"
    found = run_study(tmp_path / "table1-bsds.toml", tmp_path / "out", images=[images], test=tests, only=cell)
    rows = [r for r in found.table.to_pylist() if r["dataset"] == "Set5"]
    assert list(found.meta["cells"]) == [cell]
    assert {(r["updates"], r["patches"]) for r in rows} == {(488, 5400)}
    # 488 updates: above bicubic (33.66 dB), below what 1,951 reach (35.84 dB).
    assert 34.0 < sum(r["psnr"] for r in rows) / len(rows) < 35.9
