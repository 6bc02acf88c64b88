"""``study``: rounds until claims are decided, how far it is, columns from elsewhere, the end by SIGTERM."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import srfast
from srfast.cli import main
from srfast.data.images import find_images
from srfast.errors import InputError
from srfast.evaluation.inference import judge, sequential_level
from srfast.study import claims
from srfast.study.claims import Judged
from srfast.study.description import read_study
from srfast.training import checkpoint, loop

CLAIM = """
[[claim]]
arm = "des"
keep = 0.5
against = "des"
against_keep = 1.0
"""


def test_only_undecided_claims_go_on(
    write_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decided after two of four seeds: the third is not run, nor any cell that no claim compares."""
    study = write_study(updates=4, seeds=4)
    study.write_text(study.read_text() + CLAIM)
    asked: list[tuple[int, float]] = []

    def decided(self: Judged, alpha: float, part: float) -> bool:
        assert alpha == 0.05
        asked.append((self.result.seeds, part))
        return self.result.seeds >= 2

    monkeypatch.setattr(claims.Judged, "decided", decided)
    found = srfast.run_study(study, tmp_path / "out", until_decided=True)
    names = {f"fsrcnn-des-k{k}-u4-s{s}" for k in (50, 100) for s in (0, 1)}
    assert set(found.meta["cells"]) == names
    assert asked == [(1, 0.25), (2, 0.5)]


def test_a_study_without_claims_has_nothing_to_decide(write_study: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"until_decided: expected \[\[claim\]\] without a stratum"):
        srfast.run_study(write_study(), tmp_path / "out", until_decided=True)
    assert not (tmp_path / "out").exists()


def test_nulls_are_called_better_at_most_as_often_as_promised() -> None:
    """10,000 nulls, four claims a study at 5 % in all, a look after each of 2 to 8 seeds, images that differ: at most
    2.5 % of the studies call any of them better."""
    rng = np.random.default_rng(0)
    seeds, count, trials = 8, 4, 2500  # 10,000 claims
    levels = {n: sequential_level(0.05 / count, n / seeds) for n in range(2, seeds + 1)}
    better = 0
    for _ in range(trials):
        wrong = False
        for _ in range(count):
            d = 0.04 * rng.standard_normal((seeds, 1)) + 0.03 * rng.standard_normal((1, 6))
            d = d + 0.05 * rng.standard_normal((seeds, 6))
            for n, level in levels.items():
                # What decides needs a mean far out; the test itself only where it could.
                if d[:n].mean() > 2 * 0.04 / np.sqrt(n):
                    c = judge(d[:n])
                    if c.p <= level:
                        wrong |= c.effect.mean > 0
                        break
        better += wrong
    # 2,500 studies: a standard error of 0.3 %.
    assert better / trials <= 0.025 + 3 * 0.0031


def test_status_on_one_screen(
    write_study: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    study, out = write_study(updates=4, seeds=30), tmp_path / "out"

    def status(*line: Any) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["study", *map(str, line), "--status"])
        assert stop.value.code == 0
        return capfd.readouterr().out

    assert status(study, "-o", out).startswith("0 done, 0 running, 120 left\nnext: fsrcnn-des-k100-u4-s0\n")
    assert len(status(study, "-o", out).splitlines()) < 24
    srfast.run_study(study, out, only="des-k50-u2-s0")
    assert re.match(r"1 done, 0 running, 119 left, about \d+ (s|min) left", status(study, "-o", out))
    assert status(out).startswith("1 done, 0 running, 119 left, about ")
    published = Path(__file__).resolve().parents[2] / "studies" / "results" / "spread-bsds"
    assert status(published).startswith("10 cells done, of 2 settings, in ")


def test_a_joined_column_is_an_arms_method(
    write_study: Callable[..., Path], photo_folder: Path, tmp_path: Path
) -> None:
    """Quality of each image, from elsewhere: the half of the highest are patches of the best images."""
    study = write_study(
        updates=4, seeds=2, arms='[[arm]]\nname = "best"\nmethod = "quality"\nkeep = 0.5\nbudget = "updates"\n'
    )
    study.write_text(study.read_text().replace('method = "quality"\n', ""))
    names = sorted(f.name for f in find_images(read_study(study).train))
    with_join = study.read_text().replace("[scoring]", '[scoring]\njoin = "quality.csv"')
    study.write_text(with_join.replace('name = "best"\n', 'name = "best"\nmethod = "quality"\n'))
    rows = "".join(f"{name},{i}\n" for i, name in enumerate(names))
    (study.parent / "quality.csv").write_text("image,quality\n" + rows)
    found = srfast.run_study(study, tmp_path / "out", only="*-s0")
    assert list(found.meta["cells"]) == ["fsrcnn-best-k50-u4-s0"]
    table = srfast.ScoreTable.read(tmp_path / "out" / "scores-0.parquet")
    kept = srfast.select(table, keep=0.5, method="quality").table
    assert min(kept["quality"].to_pylist()) > 0
    (study.parent / "quality.csv").write_text("image,quality\n" + rows.replace(",0\n", ",9\n"))
    with pytest.raises(InputError, match=r"join: .* was scored with"):
        srfast.run_study(study, tmp_path / "out", only="*-s1")
    study.write_text(study.read_text().replace('"quality"', '"sharpness"'))
    with pytest.raises(InputError, match=r"arm 'best'\.method: expected one of .*quality.*, got 'sharpness'"):
        read_study(study)


def test_sigterm_finishes_the_step_as_ctrl_c_does(
    write_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of an update: it is finished, a checkpoint is written, and the study goes on from it."""
    study = write_study(updates=6, arms='[[arm]]\nname = "full"\nkeep = 1.0\n')
    study.write_text(study.read_text().replace("save_every = 2", "save_every = 1000"))
    update = loop._Runner._update

    def ends(self: loop._Runner, *arguments: Any) -> Any:
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
