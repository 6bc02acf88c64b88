"""Crops drawn by the losses of their patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srfast
from srfast.errors import InputError
from srfast.training.sampling import FLOOR, Chances, Sampling, parse
from srfast.training.sources import open_store
from srfast.training.store import Batches, PairStore

LOSSES = np.array([4.0, 0.0, 1.0, 3.0, 2.0, 6.0, 5.0, 7.0])


@pytest.fixture
def store(photo_folder: Path, tmp_path: Path) -> PairStore:
    scores = srfast.score(photo_folder, patch=32, scorer="bicubic")
    scores.write(tmp_path / "scores.parquet")
    found, _ = open_store([str(tmp_path / "scores.parquet")], 2, color="y", patch=32, quantise=False)
    assert found.losses is not None
    assert found.losses.tolist() == scores.table["loss"].to_pylist()
    return found


def drawn(batches: Batches, steps: range) -> np.ndarray:
    return np.concatenate([batches._drawn(step) for step in steps])


def test_the_hardest_come_first_and_all_of_them_later(store: PairStore) -> None:
    n, batch, steps = len(store.regions), 4, 200
    batches = Batches(store, batch=batch, patch=32, seed=0, sample=parse("hard:0.25:0.5"), steps=steps)
    hardest = set(np.argsort(-np.asarray(store.losses), kind="stable")[: int(n / 4 + 0.5)].tolist())
    assert set(drawn(batches, range(100)).tolist()) == hardest
    later = drawn(batches, range(100, 100 + n // batch))
    assert len(set(later.tolist())) == len(later), "a pass without repetition"
    assert len(set(drawn(batches, range(100, 200)).tolist())) == min(n, 400)
    # A function of the step alone: what is asked for in another order is the same.
    again = Batches(store, batch=batch, patch=32, seed=0, sample=parse("hard:0.25:0.5"), steps=steps)
    assert (drawn(again, range(150, 160)) == drawn(batches, range(150, 160))).all()
    assert (drawn(again, range(20, 30)) == drawn(batches, range(20, 30))).all()


def test_without_sampling_the_order_is_what_it_was(store: PairStore) -> None:
    """Against the permutations as they were before there was a choice."""
    batches = Batches(store, batch=3, patch=32, seed=5)
    n = len(store.regions)
    order = np.concatenate([np.random.default_rng((5, 1, e)).permutation(n) for e in range(2)])
    assert (drawn(batches, range(2 * n // 3)) == order[: 2 * n // 3 * 3]).all()


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_chances_are_the_losses(power: float) -> None:
    chances = Chances(Sampling(power=power), LOSSES, 10)
    got = np.bincount(chances.draw(0, np.random.default_rng(0).random(200_000)), minlength=8) / 200_000
    floored = np.maximum(LOSSES / LOSSES.mean(), FLOOR) ** power
    assert got == pytest.approx(floored / floored.sum(), abs=0.005)  # 4 standard errors of 200,000 draws


def test_an_annealed_power_ends_on_all_alike() -> None:
    annealed = Chances(parse("loss:2:annealed"), LOSSES, 1000)
    uniform = np.random.default_rng(0).random(20_000)
    shares = [np.bincount(annealed.draw(step, uniform), minlength=8) / 20_000 for step in (0, 500, 999)]
    assert shares[0].max() > shares[1].max() > shares[2].max()
    assert shares[2] == pytest.approx(np.full(8, 1 / 8), abs=0.02)


def test_weights_make_the_mean_that_of_all() -> None:
    """The weighted mean of anything over draws is its mean over all patches."""
    chances = Chances(parse("loss:1:weighted"), LOSSES, 10)
    values = np.arange(8.0) ** 2
    patches = chances.draw(0, np.random.default_rng(1).random(400_000))
    weights = chances.weights(0, patches)
    assert weights is not None
    assert weights.mean() == pytest.approx(1, abs=0.02)
    assert (weights * values[patches]).mean() == pytest.approx(values.mean(), rel=0.02)
    assert Chances(parse("loss:1"), LOSSES, 10).weights(0, patches) is None


def test_nothing_but_zeros_is_drawn_alike() -> None:
    got = np.bincount(Chances(parse("loss:1"), np.zeros(4), 1).draw(0, np.linspace(0, 0.999, 400)), minlength=4)
    assert got.tolist() == [100, 100, 100, 100]


@pytest.mark.parametrize("how", ["hard:0.5:0.5", "loss:1:annealed", "loss:1:weighted"])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(photo_folder: Path, tmp_path: Path, how: str) -> None:
    scores = tmp_path / "scores.parquet"
    srfast.score(photo_folder, patch=32, scorer="bicubic").write(scores)
    options = {"scale": 2, "batch": 2, "lr_patch": 12, "sample": how, "save_every": 3, "threads": 1}
    small = {"model_options": {"features": 8, "shrunk": 4, "mappings": 1}}
    srfast.train("fsrcnn", scores, steps=8, output=tmp_path / "a", **options, **small)
    # Half of the way in a run planned for as many steps.
    from srfast.training import loop

    calls = 0
    update = loop._Runner._update

    def stops(self: loop._Runner, *arguments: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return update(self, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Runner, "_update", stops)
        with pytest.raises(KeyboardInterrupt):
            srfast.train("fsrcnn", scores, steps=8, output=tmp_path / "b", **options, **small)
    srfast.train("fsrcnn", scores, steps=8, output=tmp_path / "b", resume=True, **options, **small)
    a, b = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert a == b


@pytest.mark.parametrize("how", ["hard", "hard:0:0.5", "hard:0.5:1", "loss:0", "loss:9", "loss:1:weighed", "loss:1..2"])
def test_what_is_no_sampling_is_refused(how: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^sample: expected hard:KEEP:PART, loss:POWER"):
        parse(how)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"^sample: expected"):
        srfast.train("fsrcnn", tmp_path, steps=1, output=tmp_path / "r", sample=how)
    with pytest.raises(InputError, match=r"expected data to be scores\.parquet or a core-set"):
        srfast.train("fsrcnn", tmp_path, steps=1, output=tmp_path / "r", sample="loss:1")
