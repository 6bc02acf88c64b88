"""``srfast compare``: evaluations whose differences are known."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import srfast
from srfast.cli import main
from srfast.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def by_image(values: np.ndarray) -> dict[str, float]:
    return {f"{i}.png": float(v) for i, v in enumerate(values)}


def write_csv(path: Path, rows: list[dict[str, Any]]) -> str:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_one_training_each_is_a_paired_t_test_over_images() -> None:
    rng = np.random.default_rng(0)
    a = 30 + 4 * rng.standard_normal(40)
    b = a + 0.05 + 0.1 * rng.standard_normal(40)
    found = srfast.compare({"a": by_image(a), "b": by_image(b)})
    best, other = found.rows
    expected = stats.ttest_rel(a, b)
    assert (best.name, other.name) == ("b", "a")
    assert other.p == pytest.approx(expected.pvalue)
    assert (other.low, other.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert other.verdict == "worse"
    assert "another training" in str(found)
    lower = srfast.compare({"a": by_image(a), "b": by_image(b)}, lower_is_better=True)
    assert lower.rows[0].name == "a"
    assert lower.rows[0].mean == pytest.approx(a.mean())


def test_equal_checkpoints_are_seldom_told_from_the_best() -> None:
    """Eight of the same: the best is picked from the data, and still at most 5 % of the trials call one worse."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        level = 30 + rng.standard_normal(30)
        runs = {str(k): by_image(level + 0.1 * rng.standard_normal(30)) for k in range(8)}
        wrong += any(r.verdict == "worse" for r in srfast.compare(runs).rows)
    assert wrong / 200 < 0.05 + 3 * 0.0154


def test_seeds_widen_the_interval() -> None:
    """Trainings that differ by 0.1 dB: a difference of 0.1 that images alone tell is not told by three seeds."""
    rng = np.random.default_rng(2)
    level = 30 + rng.standard_normal(50)
    offsets = {"a": [0.1, -0.1, 0.0], "b": [0.0, 0.2, 0.12]}
    own = {n: level + np.array(o)[:, None] for n, o in offsets.items()}
    seeds = srfast.compare({n: [by_image(v) for v in of] for n, of in own.items()})
    assert seeds.seeds
    assert seeds.rows[1].verdict == "cannot be told from the best"
    assert srfast.compare({n: by_image(of[0] + 0.001 * rng.random(50)) for n, of in own.items()}).rows[1].p < 0.05


def test_files_of_every_kind(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(3)
    values = 30 + rng.standard_normal(12)
    images = [{"image": f"{i}.png", "psnr": float(v), "ssim": 0.9} for i, v in enumerate(values)]
    (tmp_path / "eval.json").write_text(json.dumps({"model": "x", "images": [*images, {"image": "z", "psnr": None}]}))
    rows = [{"image": r["image"], "psnr": r["psnr"] + 0.2, "lpips": 0.1} for r in images]
    other = write_csv(tmp_path / "other.csv", [*rows, {"image": "z", "psnr": 30.0, "lpips": 0.1}])
    with pytest.raises(SystemExit) as stop:
        main(["compare", str(tmp_path / "eval.json"), other, "--json"])
    assert stop.value.code == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["images"], found["left_out"], found["metric"]) == (12, 1, "psnr")
    assert [r["verdict"] for r in found["rows"]] == ["best", "worse"]
    assert found["rows"][1]["difference"] == pytest.approx(-0.2)
    seeds = [{**r, "seed": s, "psnr": r["psnr"] + s} for r in rows for s in range(3)]
    both = srfast.compare({"one": write_csv(tmp_path / "s.csv", seeds), "two": [other] * 1})
    assert both.rows[0].seeds == 3
    with pytest.raises(SystemExit):
        main(["compare", f"new={other},{other}", f"old={tmp_path / 'eval.json'},{tmp_path / 'eval.json'}"])
    assert "Paired over 12 images and 2 trainings" in capfd.readouterr().out


def test_the_arms_of_a_study() -> None:
    found = srfast.compare({"study": ROOT / "studies" / "results" / "spread-bsds"})
    assert [r.seeds for r in found.rows] == [5, 5]
    assert {r.name for r in found.rows} == {"study: full 100 %", "study: random 50 %"}
    assert found.rows[1].verdict == "cannot be told from the best"


@pytest.mark.parametrize(
    ("text", "metric", "message"),
    [
        ("image,psnr\n1,30\n2,31\n", "lpips", "metric: expected one of psnr of .*, got 'lpips'"),
        ("name,psnr\n1,30\n", "psnr", "expected a column 'image'"),
        ("image,psnr\n1,30\n1,31\n", "psnr", "image '1' occurs twice"),
        ("image,psnr\n1,high\n", "psnr", "psnr of '1': expected a number, got 'high'"),
        ("image,psnr\n9,30\n8,30\n", "psnr", "expected at least two images that all evaluations have, got 0 of 4"),
        ("{", "psnr", "not JSON"),
        ("", "psnr", "expected a column 'image'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, metric: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    good = {"1": 30.0, "2": 31.0}
    with pytest.raises(InputError, match=message):
        srfast.compare({"a": tmp_path / "a.csv", "b": good}, metric)
    with pytest.raises(InputError, match="evaluate it first"):
        srfast.compare({"a": tmp_path, "b": good})
    with pytest.raises(InputError, match="at least two evaluations, got 1"):
        srfast.compare({"b": good})
