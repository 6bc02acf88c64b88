"""``srfast compare``: evaluations whose differences are known."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

import srfast
from srfast.errors import InputError
from srfast.scoring.table import write_parquet
from srfast.study.results import SCHEMA

ROOT = Path(__file__).resolve().parents[2]


def by_image(values):
    return {f"{i}.png": float(v) for i, v in enumerate(values)}


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_one_training_each_is_a_paired_t_test_over_images():
    rng = np.random.default_rng(0)
    a = 30 + 4 * rng.standard_normal(40)
    b = a + 0.05 + 0.1 * rng.standard_normal(40)
    contest = srfast.compare({"a": by_image(a), "b": by_image(b)})
    best, other = contest.rows
    expected = stats.ttest_rel(a, b)
    assert (best.name, other.name) == ("b", "a")
    assert other.p == pytest.approx(expected.pvalue)
    assert (other.low, other.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert other.verdict == "worse"
    assert "another training" in str(contest)
    lower = srfast.compare({"a": by_image(a), "b": by_image(b)}, lower_is_better=True)
    best, other = lower.rows
    assert (best.name, best.mean, other.verdict) == ("a", pytest.approx(a.mean()), "worse")
    assert other.difference == pytest.approx(other.mean - best.mean)
    assert 0 < other.low < other.difference < other.high
    assert f"+{other.difference:.4f}" in str(lower)


def test_equal_checkpoints_are_seldom_told_from_the_best():
    """Eight of the same: the best is picked from the data, and still at most 5 % of the trials call one worse."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        level = 30 + rng.standard_normal(30)
        runs = {str(k): by_image(level + 0.1 * rng.standard_normal(30)) for k in range(8)}
        wrong += any(r.verdict == "worse" for r in srfast.compare(runs).rows)
    assert wrong / 200 < 0.05 + 3 * 0.0154


def test_seeds_widen_the_interval():
    """Trainings that differ by 0.1 dB: a difference of 0.1 that images alone tell is not told by three seeds."""
    rng = np.random.default_rng(2)
    level = 30 + rng.standard_normal(50)
    offsets = {"a": [0.1, -0.1, 0.0], "b": [0.0, 0.2, 0.12]}
    own = {n: level + np.array(o)[:, None] for n, o in offsets.items()}
    seeds = srfast.compare({n: [by_image(v) for v in of] for n, of in own.items()})
    assert seeds.seeds
    assert seeds.rows[1].verdict == "not significantly different from the best"
    assert srfast.compare({n: by_image(of[0] + 0.001 * rng.random(50)) for n, of in own.items()}).rows[1].p < 0.05


def test_files_of_every_kind(tmp_path, run):
    rng = np.random.default_rng(3)
    values = 30 + rng.standard_normal(12)
    images = [{"image": f"{i}.png", "psnr": float(v), "ssim": 0.9} for i, v in enumerate(values)]
    (tmp_path / "eval.json").write_text(json.dumps({"model": "x", "images": [*images, {"image": "z", "psnr": None}]}))
    rows = [{"image": r["image"], "psnr": r["psnr"] + 0.2, "lpips": 0.1} for r in images]
    other = write_csv(tmp_path / "other.csv", [*rows, {"image": "z", "psnr": 30.0, "lpips": 0.1}])
    content = json.loads(run("compare", tmp_path / "eval.json", other, "--json")[1])
    assert (content["images"], content["left_out"], content["metric"]) == (12, 1, "psnr")
    assert [r["verdict"] for r in content["rows"]] == ["best", "worse"]
    assert content["rows"][1]["difference"] == pytest.approx(-0.2)
    seeds = [{**r, "seed": s, "psnr": r["psnr"] + s} for r in rows for s in range(3)]
    both = srfast.compare({"one": write_csv(tmp_path / "s.csv", seeds), "two": [other] * 1})
    assert both.rows[0].seeds == 3
    again = [str(shutil.copy(f, f"{f}.copy")) for f in (other, tmp_path / "eval.json")]
    out = run("compare", f"new={other},{again[0]}", f"old={tmp_path / 'eval.json'},{again[1]}")[1]
    assert "Paired over 12 images and 2 trainings" in out


def test_the_arms_of_a_study():
    contest = srfast.compare({"study": ROOT / "studies" / "results" / "spread-bsds" / "BSDS400"})
    assert [r.seeds for r in contest.rows] == [5, 5]
    assert {r.name for r in contest.rows} == {"study: full 100 %", "study: random 50 %"}
    assert contest.rows[1].verdict == "not significantly different from the best"
    # One with arms of one training.
    contest = srfast.compare({"s": ROOT / "studies" / "results" / "sizes-long" / "wild"})
    assert all((row.over == "images") == (row.paired < 2) for row in contest.rows[1:])
    assert {r.over for r in contest.rows[1:]} == {"images", "trainings and images"}


def trained(offsets, images=20, noise=0.01):
    """Rows of trainings that differ by an offset; all of one image of about the same level."""
    rng = np.random.default_rng(len(offsets))
    level = 30 + np.random.default_rng(9).standard_normal(images)
    rows = []
    for seed, offset in offsets.items():
        psnr = level + offset + noise * rng.standard_normal(images)
        rows += [{"image": f"{i}.png", "seed": seed, "psnr": float(v)} for i, v in enumerate(psnr)]
    return rows


def means(rows, *seeds):
    return float(np.mean([r["psnr"] for r in rows if r["seed"] in seeds]))


def test_one_entry_of_one_training_does_not_change_how_others_are_tested(tmp_path):
    """By images alone a and b are told apart, by their trainings they are not; c has one training."""
    rows = {
        "a": trained({"0": 0.3, "1": 0.1, "2": 0.2, "3": 0.4}),
        "b": trained({"0": 0.2, "1": 0.3, "2": 0.15, "3": 0.1}),
        "c": trained({"1": 0.05}),
    }
    contest = srfast.compare({n: write_csv(tmp_path / f"{n}.csv", r) for n, r in rows.items()})
    alone = srfast.compare({n: tmp_path / f"{n}.csv" for n in "ab"})
    best, b, c = contest.rows
    assert [(r.seeds, r.paired, r.over) for r in (b, c)] == [(4, 4, "trainings and images"), (1, 1, "images")]
    assert (b.difference, b.p) == pytest.approx((alone.rows[1].difference, min(1.0, 3 * alone.rows[1].p)))
    assert b.verdict == "not significantly different from the best"
    assert c.difference == pytest.approx(means(rows["c"], "1") - means(rows["a"], "1"))
    assert (best.over, best.verdict, contest.seeds, alone.seeds) == (None, "best", False, True)
    text = str(contest).splitlines()
    assert "images, 4 trainings" in text[2]
    assert "images alone, 1 training in common" in text[3]
    assert "and 4 trainings" not in text[4]
    assert "says nothing of other trainings" in text[5]
    assert "says nothing" not in str(alone)
    told = contest.to_dict()
    assert [r["over"] for r in told["rows"]] == [None, "trainings and images", "images"]
    assert any("says nothing of other trainings" in note for note in told["notes"])
    assert not told["seeds"]


def test_trainings_that_differ_are_paired_where_they_are_the_same(tmp_path):
    a = trained({"0": 0.3, "1": 0.3, "2": 0.3, "3": 0.9})
    b = trained({"0": 0.1, "1": 0.12, "2": 0.11, "4": 0.0})
    c = trained({"7": 0.0, "8": 0.02, "9": 0.01})
    contest = srfast.compare({n: write_csv(tmp_path / f"{n}.csv", r) for n, r in (("a", a), ("b", b), ("c", c))})
    _, of_b, of_c = contest.rows
    assert (of_b.name, of_b.seeds, of_b.paired) == ("b", 4, 3)
    assert of_b.difference == pytest.approx(means(b, "0", "1", "2") - means(a, "0", "1", "2"))
    assert (of_c.paired, of_c.over) == (0, "images")
    assert of_c.difference == pytest.approx(of_c.mean - contest.rows[0].mean)
    assert "images, 3 trainings in common" in str(contest)
    assert "the difference is of those in common, and not that of the means" in str(contest)
    alone = str(srfast.compare({n: tmp_path / f"{n}.csv" for n in "ac"}))
    assert "images alone" in alone
    assert "4 trainings" not in alone
    assert "those in common" not in alone


def test_an_evaluation_may_be_better_over_the_trainings_in_common(tmp_path):
    level = dict.fromkeys("0123", 0.0)
    rows = {"a": trained({**level, "4": 2.0}), "b": trained(dict.fromkeys(level, 0.1))}
    contest = srfast.compare({n: write_csv(tmp_path / f"{n}.csv", r) for n, r in rows.items()})
    assert [r.name for r in contest.rows] == ["a", "b"]
    assert contest.rows[1].difference == pytest.approx(0.1, abs=0.01)
    assert contest.rows[1].verdict == "better"


def write_study(folder, rows, meta=None):
    cell = {"cell": "c", "model": "m", "scale": 2, "keep": 1.0, "updates": 10, "seconds": 1.0, "scoring_seconds": 0.0}
    more = {"pool": 1.0, "scorer": "srcnn", "patches": 5, "dataset": "Set5", "ssim": 0.9}
    folder.mkdir()
    table = pa.Table.from_pylist([{**cell, **more, **r, "seed": int(r["seed"])} for r in rows], SCHEMA)
    write_parquet(folder / "results.parquet", [table], SCHEMA, {"version": 1, **(meta or {})})
    return folder


def test_a_study_of_two_scales(tmp_path, run, refused):
    rows = [
        {**r, "arm": arm, "scale": scale, "psnr": r["psnr"] - 2 * scale + (arm == "full")}
        for arm in ("full", "des")
        for scale in (2, 4)
        for r in trained({"0": 0.0, "1": 0.1})
    ]
    study = write_study(tmp_path / "study", rows)
    refused(r"full 100 % x4: expected scale 2, as .* has, got scale 4; `scale`", srfast.compare, {"s": study})
    for scale in (2, 4):
        contest = srfast.compare({"s": study}, scale=scale)
        assert [r.name for r in contest.rows] == [f"s: full 100 % x{scale}", f"s: des 100 % x{scale}"]
        own = [r["psnr"] for r in rows if r["scale"] == scale and r["arm"] == "full"]
        assert contest.rows[0].mean == pytest.approx(np.mean(own))
    assert run("compare", study, "--scale", "3")[2] == "srfast: error: --scale: expected one of 2, 4, got 3\n"


def test_a_study_of_y_and_rgb_models(tmp_path, run, refused):
    rows = [
        {**r, "arm": arm, "model": model, "psnr": r["psnr"] + (arm == "full")}
        for model in ("fsrcnn", "edsr_baseline")
        for arm in ("full", "des")
        for r in trained({"0": 0.0, "1": 0.1})
    ]
    study = write_study(tmp_path / "study", rows)
    wrong = r"full 100 % edsr_baseline: expected protocol classic, as .*fsrcnn has, got protocol rgb; `protocol` picks"
    refused(wrong, srfast.compare, {"s": study})
    for protocol, model in (("classic", "fsrcnn"), ("rgb", "edsr_baseline")):
        contest = srfast.compare({"s": study}, protocol=protocol)
        assert [r.name for r in contest.rows] == [f"s: {arm} 100 % {model}" for arm in ("full", "des")]
        code, out, _ = run("compare", study, "--protocol", protocol)
        assert (code, f"full 100 % {model}" in out) == (0, True)
    refused(r"protocol: expected one of classic, rgb, got 'both'", srfast.compare, {"s": study}, protocol="both")
    own = [{**r, "model": {"fsrcnn": "mine.py:Net"}.get(r["model"], r["model"])} for r in rows]
    assert len(srfast.compare({"s": write_study(tmp_path / "own", own)}).rows) == 4
    # A cell's own word goes before what its model tells.
    named = [{**r, "arm": "full", "model": "mine.py:Net"} for r in trained({"0": 0.0})]
    study = write_study(tmp_path / "named", named, {"cells": {"c": {"protocol": "rgb"}}})
    other = write_study(tmp_path / "other", [{**r, "model": "fsrcnn"} for r in named])
    refused(r"expected protocol rgb, as .* has, got protocol classic", srfast.compare, {"a": study, "b": other})


def test_one_test_set_of_several(tmp_path, run):
    rows = [
        {**r, "arm": arm, "dataset": d, "psnr": r["psnr"] + gain * (arm == "des")}
        for arm in ("full", "des")
        for d, gain, n in (("BSD100", 0.1, 6), ("Urban100", 0.5, 4))
        for r in trained({"0": 0.0, "1": 0.1}, n)
    ]
    study = write_study(tmp_path / "study", rows)
    pooled = srfast.compare({"s": study})
    assert pooled.datasets == pooled.to_dict()["datasets"] == {"BSD100": 6, "Urban100": 4}
    assert pooled.rows[1].difference == pytest.approx(-0.26)
    assert "Paired over 10 images (6 of BSD100, 4 of Urban100) and 2 trainings." in str(pooled)
    assert "2 test sets are pooled, every image alike" in str(pooled)
    for name, gain in (("BSD100", 0.1), ("Urban100", 0.5)):
        contest = srfast.compare({"s": study}, dataset=name)
        assert contest.rows[1].difference == pytest.approx(-gain)
        assert f"images of {name} and 2 trainings." in str(contest)
        assert "pooled" not in str(contest)
        assert contest.left_out == 0
    refused = "srfast: error: --dataset: expected one of BSD100, Urban100, got 'Set5'\n"
    assert run("compare", study, "--dataset", "Set5")[2] == refused
    assert "--dataset picks one" in run("compare", study)[1]
    one = by_image(np.arange(30.0, 34))
    with pytest.raises(InputError, match="dataset: expected evaluations that name their test sets, got none"):
        srfast.compare({"a": one, "b": one}, dataset="Set5")
    (tmp_path / "other.csv").write_text("image,psnr,dataset\n0.png,30,Set5\n1.png,31,Set5\n")
    with pytest.raises(InputError, match=r"dataset: expected images of BSD100 in .*other\.csv, got none"):
        srfast.compare({"s": study, "a": tmp_path / "other.csv"}, dataset="BSD100")


def test_a_study_and_an_evaluation_that_names_no_test_set(tmp_path, refused):
    rows = [
        {**r, "arm": "full", "dataset": d, "psnr": r["psnr"] + (d == "Urban100")}
        for d in ("BSD100", "Urban100")
        for r in trained({"0": 0.0, "1": 0.1})
    ]
    mine = {r["image"]: r["psnr"] - 1 for r in rows if r["dataset"] == "BSD100" and r["seed"] == "0"}
    one = write_study(tmp_path / "one", [r for r in rows if r["dataset"] == "BSD100"])
    for contest in (
        srfast.compare({"s": one, "mine": mine}),
        srfast.compare({"s": one, "mine": {f"BSD100/{image}": value for image, value in mine.items()}}),
        srfast.compare({"s": write_study(tmp_path / "two", rows), "mine": mine}, dataset="BSD100"),
    ):
        assert (contest.images, contest.datasets) == (20, {"BSD100": 20})
        assert contest.rows[1].name == "mine"
        assert contest.rows[1].difference == pytest.approx(-1.05, abs=0.05)
    refused("got 0 of 60", srfast.compare, {"s": tmp_path / "two", "mine": mine})


def test_a_study_without_finished_cells(tmp_path, refused):
    message = "expected a study with finished cells, got none"
    refused(message, srfast.compare, {"s": write_study(tmp_path / "gathered", [])})
    (tmp_path / "begun" / "cells").mkdir(parents=True)
    refused(message, srfast.compare, {"s": tmp_path / "begun"})
    study = write_study(tmp_path / "study", [{**r, "arm": "a"} for r in trained({"0": 0.0})])
    refused(r"metric: expected one of psnr, ssim of .*, got 'seconds'", srfast.compare, {"s": study}, "seconds")
