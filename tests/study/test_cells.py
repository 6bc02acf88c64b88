"""The cells of a study: which there are, in which order, how many updates each has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from srfast.errors import InputError
from srfast.study.cells import cells, pick
from srfast.study.description import read_study


def test_the_grid_in_its_order(write_study: Callable[..., Path]) -> None:
    study = read_study(write_study(seeds=2))
    names = ("des-k100-u12", "des-k50-u6", "des-k50-u12", "rs2-k50-u6")
    assert [c.name for c in cells(study)] == [f"fsrcnn-{name}-s{seed}" for seed in (0, 1) for name in names]


def test_only_arms_that_ask_a_scorer_are_repeated_for_another(write_study: Callable[..., Path]) -> None:
    study = read_study(write_study(scorers='["bicubic", "srcnn"]'))
    names = [c.name for c in cells(study)]
    assert "fsrcnn-des-k50-u6-c1-s0" in names
    assert len([n for n in names if "rs2" in n]) == 1


def test_updates_of_a_budget(write_study: Callable[..., Path]) -> None:
    study = read_study(write_study(updates=1951))
    assert [study.updates_of("epochs", k, 1.0) for k in (1.0, 0.75, 0.5, 0.25)] == [1951, 1463, 976, 488]
    assert study.updates_of("updates", 0.25, 0.5) == 1951
    assert study.updates_of("epochs", 0.5, 0.5) == 488
    assert study.updates_of(0.5, 1.0, 1.0) == 976
    assert study.updates_of("epochs", 1e-6, 1.0) == 1


def test_shards_share_the_cells_out(write_study: Callable[..., Path]) -> None:
    every = cells(read_study(write_study(seeds=3)))
    shards = [pick(every, None, (i, 3)) for i in range(3)]
    assert sorted(c.name for s in shards for c in s) == sorted(c.name for c in every)
    assert pick(every, None, (3, 3)) == shards[0]


def test_only(write_study: Callable[..., Path]) -> None:
    every = cells(read_study(write_study()))
    assert [c.name for c in pick(every, "rs2", None)] == ["fsrcnn-rs2-k50-u6-s0"]
    assert [c.name for c in pick(every, "*-u12-s0", None)] == ["fsrcnn-des-k100-u12-s0", "fsrcnn-des-k50-u12-s0"]
    with pytest.raises(InputError, match="only: expected a pattern of cell names, such as fsrcnn-des"):
        pick(every, "sobel", None)
