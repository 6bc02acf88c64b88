"""Scoring the pool again while training: what is chosen, what it trains on, and resume."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import srfast
from srfast.errors import InputError
from srfast.training.distributed import World
from srfast.training.loop import train
from srfast.training.plan import Plan
from srfast.training.recipes import Recipe
from srfast.training.reselect import Reselection, region_losses
from srfast.training.sources import open_store
from srfast.training.store import Batches, PairStore, Region

TINY = Recipe(lr=1e-3, batch=2, lr_patch=12, ema=0.9)
SIZES = {"features": 24, "shrunk": 8, "mappings": 2}


@pytest.fixture
def store(photo_folder: Path, tmp_path: Path) -> PairStore:
    srfast.score(photo_folder, patch=48, scorer="bicubic", mode="dense").write(tmp_path / "s.parquet")
    return open_store([tmp_path / "s.parquet"], 2, color="y", patch=24)[0]


def plan(steps: int = 8, **reselect: Any) -> Plan:
    return Plan("fsrcnn", 2, steps, TINY, options=SIZES, reselect=Reselection(**{"every": 3, **reselect}))


def test_the_hardest_but_the_very_hardest_are_chosen() -> None:
    losses = np.array([5.0, 1, 9, 3, 7, 2, 8, 4, 6, 0])
    got = Reselection(1, keep=0.4, drop_hardest=0.1).chosen(losses)
    assert got.tolist() == [0, 4, 6, 8]
    assert Reselection(1, keep=1.0, drop_hardest=0.0).chosen(losses).tolist() == list(range(10))
    assert Reselection(1, keep=0.001, drop_hardest=0.0).chosen(losses).tolist() == [2]


class Doubling(nn.Module):
    def forward(self, lr: Tensor) -> Tensor:
        return lr.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def test_losses_of_regions_against_a_plain_loop(store: PairStore) -> None:
    mixed = store.over([*store.regions[:7], *(dataclasses.replace(r, width=24) for r in store.regions[3:5])])
    got = region_losses(Doubling(), mixed, World(0, 1, torch.device("cpu")))
    for i in range(len(mixed.regions)):
        lr, hr = mixed.region(i)
        up = (lr.astype(np.float64) / 255).repeat(2, axis=1).repeat(2, axis=2)
        # float32 differences of values below 1.
        assert got[i] == pytest.approx(((up - hr / 255.0) ** 2).mean(), rel=1e-4)
    assert isinstance(mixed.regions[0], Region)


def test_batches_come_from_the_chosen_regions(store: PairStore) -> None:
    batches = Batches(store, batch=2, patch=24, seed=0)
    batches.use(np.array([1, 4, 6]), since=10)
    drawn = [int(batches._order(e)[p]) for e in range(3) for p in range(3)]
    assert sorted(drawn[:3]) == sorted(drawn[3:6]) == [1, 4, 6]
    again = Batches(store, batch=2, patch=24, seed=0)
    again.use(np.array([1, 4, 6]), since=10)
    assert all(torch.equal(a, b) for a, b in zip(batches[12], again[12], strict=True))


def test_training_reselects_and_resumes_bit_for_bit(store: PairStore, tmp_path: Path) -> None:
    train(plan(8), store, tmp_path / "whole", quiet=True)
    halves = tmp_path / "halves"
    calls = iter(range(1, 9))

    def crash(_: nn.Module) -> tuple[float, float]:
        if next(calls) == 5:
            raise RuntimeError("crash")
        return 30.0, 0.9

    with pytest.raises(RuntimeError, match="crash"):
        train(plan(8), store, halves, evaluate=crash, eval_every=1, save_every=1, quiet=True)
    result = train(plan(8), store, halves, resume=True, quiet=True)
    assert result.step == 8
    states = [torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("whole", "halves")]
    assert torch.equal(states[0]["active"], states[1]["active"])
    assert states[0]["since"] == states[1]["since"] == 6
    assert len(states[0]["active"]) == int(0.5 * len(store.regions) + 0.5)
    assert all(torch.equal(a, b) for a, b in zip(states[0]["model"].values(), states[1]["model"].values(), strict=True))
    other = tmp_path / "other"
    train(Plan("fsrcnn", 2, 8, TINY, options=SIZES), store, other, quiet=True)
    plain = torch.load(other / "last.pt", weights_only=True)
    assert "active" not in plain
    assert not all(torch.equal(a, b) for a, b in zip(states[0]["model"].values(), plain["model"].values(), strict=True))
    with pytest.raises(InputError, match="reselect"):
        train(plan(8, keep=0.3), store, halves, resume=True, quiet=True)


def test_a_run_that_grows_reselects_where_its_last_step_was(store: PairStore, tmp_path: Path) -> None:
    """With a schedule that does not depend on the number of steps, 3 and 5 more are the same as 8."""
    how = dataclasses.replace(TINY, milestones=())
    train(dataclasses.replace(plan(8), recipe=how), store, tmp_path / "whole", quiet=True)
    for steps in (3, 8):
        train(dataclasses.replace(plan(steps), recipe=how), store, tmp_path / "grown", resume=True, quiet=True)
    whole, grown = (torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("whole", "grown"))
    assert whole["since"] == grown["since"] == 6
    assert torch.equal(whole["active"], grown["active"])
    assert all(torch.equal(a, b) for a, b in zip(whole["model"].values(), grown["model"].values(), strict=True))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"every": 0}, "reselect_every"), ({"keep": 0.0}, "reselect_keep"), ({"keep": 1.2}, "reselect_keep"),
        ({"keep": 0.9, "drop_hardest": 0.2}, "reselect_drop"), ({"drop_hardest": -0.1}, "reselect_drop"),
    ],
)  # fmt: skip
def test_wrong_values_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=f"^{words}: "):
        plan(8, **changes).check()
