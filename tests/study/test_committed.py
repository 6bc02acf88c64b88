"""The ready-made studies: their committed results, what the documentation says of them, and one real cell."""

import contextlib
import importlib
import json
import re
import shutil
import sys
from itertools import combinations
from pathlib import Path

import pytest

from srfast.errors import InputError
from srfast.evaluation.evaluator import STRATA
from srfast.evaluation.inference import compare
from srfast.study.description import cells
from srfast.study.file import read_study
from srfast.study.groups import groups, main_dataset, paired
from srfast.study.publication import publish, results_folder
from srfast.study.runner import run_study

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ROOT / "studies"
# "+0.088 [+0.062, +0.115]" or "0.09 dB [0.06, 0.12]"
EFFECT = re.compile(r"([+-]?\d\.\d+)(?: dB)? \[([+-]?\d\.\d+),\s([+-]?\d\.\d+)\]")

RESULTS = {"/".join(p.parts[-2:]): p for p in sorted((STUDIES / "results").glob("*/*"))}
"""STUDY/POOL -> the folder of these results."""
GONE = ("adaptive-bsds", "sampling")
"""Studies that this version cannot run any more."""


@pytest.fixture(scope="module")
def page():
    """experiments/study_page.py, which is not in the package."""
    sys.path.append(str(ROOT))
    return importlib.import_module("experiments.study_page")


@pytest.fixture(scope="module")
def results_in(page):
    """``Results.read``, once a folder for all tests."""
    read = importlib.import_module("experiments.study_rows").results_in
    return read


@pytest.mark.parametrize("name", RESULTS)
def test_committed_results_print_their_tables(name, results_in):
    study, folder = STUDIES / f"{RESULTS[name].parent.name}.toml", RESULTS[name]
    alone = len(list(folder.parent.iterdir())) == 1
    results = results_in(folder)
    assert results.meta["study"]["train"] == [folder.name]
    if study.stem not in GONE:
        assert set(results.meta["cells"]) <= {c.name for c in cells(read_study(study))}
    with contextlib.nullcontext() if alone else pytest.raises(InputError, match=folder.name):
        assert results_folder(study) == folder
    assert f"Table 1: selections on {main_dataset(groups(results))}" in publish(results, None)


def test_the_documentation_has_the_tables_of_the_results(page):
    marked = 0
    made = page.results()
    expected = {path: page.write(path.read_text()) for path in page.PAGES} | made
    generated = {p.name for p in made}
    by_hand = {"agreement.md", "defects.md", "selections-compared.md", "target.md"}
    assert {p.name for p in (ROOT / "docs" / "results").iterdir()} == generated | by_hand
    for path, text in expected.items():
        assert path.read_text() == text, f"{path.name} is behind its results: python -m experiments.study_page"
        marked += text.count("<!-- table: ")
    assert marked == len(page.TABLES)


def test_every_auc_that_is_written_is_one_that_was_measured():
    measured = json.loads((ROOT / "experiments" / "results" / "defects.json").read_text())["spoilt"].values()
    rows = [row for figures in measured for column in figures["rows"].values() for row in column.values()]
    prose = "".join(x for x in (ROOT / "docs" / "results" / "defects.md").read_text().splitlines(True) if x[0] != "|")
    pairs = set(re.findall(r"([01]\.\d{3}) / ([01]\.\d{3})", prose))
    assert pairs
    assert pairs <= {(f"{patch:.3f}", f"{image:.3f}") for patch, image, _ in rows}


def test_the_limit_of_enlarged_images_is_the_one_that_was_found(page):
    rows = importlib.import_module("experiments.enlarged_rows")
    assert rows.LIMIT == rows.least() < rows.BEFORE
    text = (ROOT / "docs" / "results" / "defects.md").read_text()
    assert f"found at {rows.LIMIT:g} / was found at {rows.BEFORE:g}" in text
    tails = rows.kept()["tails"]
    assert f"reaches {tails['as it is']:.2f}, by the tail" in text
    assert f"reaches {tails['JPEG 95']:.2f}, so" in text


def test_every_effect_that_is_written_is_one_that_was_found(page, results_in):
    """Of two arms of studies whose names begin alike, on BSD100 and Urban100, or the mean over pools, or on strata."""
    pages = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    # Tables are held to the results by the test above.
    prose = {path.name: "".join(x for x in path.read_text().splitlines(True) if x[0] != "|") for path in pages}
    left = {tuple(map(float, e)): name for name, text in prose.items() for e in EFFECT.findall(text)}
    assert left

    def strike(e):
        for bounds in ((e.mean, e.low, e.high), (-e.mean, -e.high, -e.low)):
            for digits in (2, 3):
                left.pop(tuple(round(v, digits) for v in bounds), None)

    pairs = [pair for t in page.TABLES.values() for *_, pair in getattr(t, "rows", ())]
    for pair in (p for p in pairs if not isinstance(p.args[0], str)):  # the mean over pools
        for stratum in ("", *STRATA):
            strike(pair(stratum=stratum).effect)
        with contextlib.suppress(KeyError):  # not every study has it
            strike(pair(dataset="Urban100").effect)
    for c in (c for t in page.TABLES.values() if hasattr(t, "cells") for row in t.cells() for c in row):
        strike(c.effect)
    studies = {name: groups(results_in(p)) for name, p in RESULTS.items()}
    for family in {re.split("[-/]", name)[0] for name in studies}:
        some = [g for name, own in studies.items() for g in own if re.split("[-/]", name)[0] == family]
        for a, b in combinations(some, 2):
            if a.key.model != b.key.model or len(set(a.seeds) & set(b.seeds)) < 2:
                continue
            for dataset in {"BSD100", "BSD100-degraded", "Urban100"} & a.psnr.keys() & b.psnr.keys():
                x, y = paired(a, b, dataset)
                mean = float((x - y).mean())
                if {abs(e[0]) for e in left} & {abs(round(mean, digits)) for digits in (2, 3)}:
                    strike(compare(x, y).effect)
    assert left == {}


@pytest.mark.slow
def test_one_real_cell_of_table_1(data_folder, tmp_path):
    for name in ("BSDS400", "Set5", "Set14", "BSD100"):
        data_folder(name)
    shutil.copy(STUDIES / "table1-bsds.toml", tmp_path / "table1-bsds.toml")
    images, tests = data_folder("BSDS400"), {"Set5": data_folder("Set5"), "Set14": data_folder("Set14")}
    cell = "fsrcnn-random-k25-u488-s0"
    results = run_study(tmp_path / "table1-bsds.toml", tmp_path / "out", images=[images], test=tests, only=cell)
    rows = [r for r in results.table.to_pylist() if r["dataset"] == "Set5"]
    assert list(results.meta["cells"]) == [cell]
    assert {(r["updates"], r["patches"]) for r in rows} == {(488, 5400)}
    # 488 updates: above bicubic (33.66 dB), below what 1,951 reach (35.84 dB).
    assert 34.0 < sum(r["psnr"] for r in rows) / len(rows) < 35.9
