"""What ``study OUT/`` says of a run in progress, by its folder alone, and of published results on one screen."""

import json
import shutil
from pathlib import Path

import pytest

import srfast
from srfast.runtime.locks import Lock
from srfast.study import results
from srfast.study.file import read_study
from srfast.study.folder import described, results_of, status
from srfast.study.results import Results

BUSY, DONE, STOPPED = "fsrcnn-des-k50-u2-s1", "fsrcnn-des-k50-u2-s0", "fsrcnn-rs2-k50-u2-s1"


@pytest.fixture
def study(write_study):
    return write_study(updates=4, seeds=2)


@pytest.fixture
def out(study, tmp_path):
    """A run of which one cell has finished, another one is run now, and a third one was killed."""
    srfast.run_study(study, tmp_path / "out", only=DONE)
    cells = tmp_path / "out" / "cells"
    for name in (BUSY, STOPPED):
        (cells / name).mkdir()
        (cells / name / "log.csv").write_text("step,loss,lr,psnr,ssim,seconds,data_seconds\n1,0.5,0.1,,,2.0,0.0\n")
    (cells / STOPPED / "lock").write_text("1 elsewhere")
    with Lock.take(cells / BUSY / "lock", cells):
        yield tmp_path / "out"


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def said(run):
    """said(*words): what ``study`` prints."""

    def call(*line):
        code, out, err = run("study", *line)
        assert code == 0, err
        return out

    return call


def test_the_folder_says_what_the_file_says(study, out, said):
    before = content(out)
    by_file = said(study, "-o", out, "--status", "--jobs", "2")
    assert by_file.startswith("1 done, 1 running, 6 left, about ")
    assert said(out, "--status", "--jobs", "2") == by_file
    lists = json.loads(said(out, "--status", "--jobs", "2", "--json"))
    assert lists == json.loads(said(study, "-o", out, "--status", "--jobs", "2", "--json"))
    assert (lists["done"], lists["running"], len(lists["left"])) == ([DONE], [BUSY], 6)
    assert content(out) == before


def test_tables_of_what_is_done(out, said, run):
    pytest.importorskip("scipy")
    pytest.importorskip("matplotlib")
    whole = Results.read(out)
    Results(*(t.slice(0, 0) for t in (whole.table, whole.strata, whole.log)), {**whole.meta, "cells": {}}).write(out)
    before = content(out)
    printed = said(out, "--tables")
    assert "| des | 50 % |" in printed
    made = {name: b for name, b in content(out).items() if not name.startswith(("tables/", "figures/"))}
    assert made == before
    assert (out / "tables" / "study.md").read_text() in printed
    results = results_of(out)
    assert results.table.equals(whole.table)
    assert results.meta == whole.meta
    # Tables are printed although their files cannot be written.
    shutil.rmtree(out / "tables")
    (out / "tables").write_text("mine")
    code, printed, err = run("study", out)
    assert (code, "| Selection | Kept |" in printed) == (2, True)
    assert err.startswith(f"srfast: error: {out / 'tables'}: expected a folder to write to; a file is there")
    assert (out / "tables").read_text() == "mine"
    # Cells that were removed stay in the tables.
    results.write(out)
    (out / "cells" / DONE / "results.parquet").unlink()
    assert list(results_of(out).meta["cells"]) == [DONE]


def test_a_run_says_from_its_first_moment_what_is_run(study, tmp_path):
    seen = []

    def progress(outcome, *_):
        known = status(described(tmp_path / "out"), tmp_path / "out")
        seen.append((len(known.done), len(known.left)))
        raise SystemExit

    with pytest.raises(SystemExit):
        srfast.run_study(study, tmp_path / "out", progress=progress)
    assert seen == [(1, 7)]


def test_a_description_survives_the_file(study):
    study.write_text(study.read_text() + '[[claim]]\narm = "des"\nagainst = "rs2"\nkeep = 0.5\nupdates = 2\n')
    plain = results.as_plain(read_study(study))
    assert results.as_plain(results.from_plain(plain)) == plain


def test_published_results_fit_on_a_screen(said):
    published = Path(__file__).resolve().parents[2] / "studies" / "results" / "table1-bsds"
    lines = said(published, "--status").splitlines()
    assert len(lines) < 24
    assert lines[0].startswith("136 cells done, of 34 settings, in ")
    assert lines[-1] == "and 14 more settings"
    assert len(json.loads(said(published, "--status", "--json"))["done"]) == 136


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["out", "--only", "x"], "--only is for a run"),
        (["tiny.toml", "-o", "out", "--status", "--shard", "0/2"], "--shard is for a run"),
        (["tiny.toml", "--only", "x"], "--only is for a run, and nothing is run with no -o or --images"),
        (["tiny.toml", "-o", "out", "--json"], "--json is for --status"),
        (["out", "--status", "--tables"], "--status and --tables exclude each other"),
        (["out", "-o", "other"], "-o is for a study's file"),
        (["out", "--images", "photos"], "--images is for a study's file"),
        (["tiny.toml", "-o", "o", "--test", "a=photos", "--test", "a=out"], "test: expected test sets of different"),
    ],
)
def test_options_that_would_be_ignored(given, message, out, tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("study", *given)
    assert (code, message in err) == (2, True), err
    assert not (tmp_path / "o").exists()
