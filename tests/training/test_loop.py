"""Training: resume, determinism, several processes, checkpoints, recipes, and that every model learns."""

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor, nn

import srfast
from srfast import models
from srfast.errors import InputError, RunError
from srfast.models.loading import load_model, load_state
from srfast.samplers import RS2
from srfast.training.loop import train
from srfast.training.objective import check_diverged
from srfast.training.plan import Plan
from srfast.training.recipes import Recipe
from srfast.training.sources import open_store
from srfast.training.store import Batches, PairStore, Region

FSRCNN: dict[str, Any] = {"features": 24, "shrunk": 8, "mappings": 2}
TINY = Recipe(lr=1e-3, batch=2, lr_patch=12, ema=0.9, quantise=False)


@pytest.fixture
def store(photo_folder: Path) -> PairStore:
    return open_store([photo_folder], 2, color="y", patch=24, quantise=False)[0]


def plan(steps: int = 8, **changes: Any) -> Plan:
    """FSRCNN, small: milliseconds a step."""
    own = {k: changes.pop(k) for k in ("seed", "precision", "scale") if k in changes}
    how = dataclasses.replace(TINY, **changes)
    return Plan("fsrcnn", own.pop("scale", 2), steps, how, options=FSRCNN, **own)


def weights(run: Path) -> dict[str, Tensor]:
    return load_state(run / "model.safetensors")


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def rows_of(run: Path) -> list[dict[str, str]]:
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def interrupt_at(step: int) -> Callable[[nn.Module], tuple[float, float]]:
    """An evaluation that ends the run, as a crash would: nothing is saved on the way out."""
    calls = iter(range(1, step + 1))

    def evaluate(_: nn.Module) -> tuple[float, float]:
        if next(calls) == step:
            raise InterruptedError
        return 30.0, 0.9

    return evaluate


@pytest.mark.parametrize(
    "changes",
    [{}, {"optimizer": "soap"}, {"precision": "bf16", "fp32_tail": 0.3}, {"ema": 0.0, "schedule": "cosine"}],
    ids=["adam", "soap", "bf16", "no-ema"],
)
def test_resume_is_bit_for_bit(store, tmp_path, changes):
    train(plan(8, **changes), store, tmp_path / "whole", log_every=1, quiet=True)
    # Crashes after step 5; the last checkpoint is that of step 4.
    how: dict[str, Any] = {"evaluate": interrupt_at(5), "eval_every": 1, "save_every": 2, "log_every": 1}
    with pytest.raises(InterruptedError):
        train(plan(8, **changes), store, tmp_path / "halves", **how, quiet=True)
    result = train(plan(8, **changes), store, tmp_path / "halves", resume=True, log_every=1, quiet=True)
    assert result.step == 8
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "halves"))
    whole, halves = (torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("whole", "halves"))
    assert same(whole["model"], halves["model"])
    logged = [[(r["step"], r["loss"], r["lr"]) for r in rows_of(tmp_path / n)] for n in ("whole", "halves")]
    assert len(logged[0]) == 8
    assert logged[0] == logged[1]


def test_resume_of_a_finished_run_changes_nothing(store, tmp_path):
    first = train(plan(3), store, tmp_path, quiet=True)
    before = (tmp_path / "model.safetensors").read_bytes(), (tmp_path / "log.csv").read_bytes()
    again = train(plan(3), store, tmp_path, resume=True, quiet=True)
    assert (again.step, again.loss) == (3, first.loss)
    assert before == ((tmp_path / "model.safetensors").read_bytes(), (tmp_path / "log.csv").read_bytes())


def test_resume_restores_what_models_draw(photo_folder, tmp_path, sizes):
    """SwinIR drops paths at random while it trains: that generator's state is in the checkpoint."""
    pytest.importorskip("spandrel")
    rgb, _ = open_store([photo_folder], 2, color="rgb", patch=32)
    how = Plan("swinir_light", 2, 4, dataclasses.replace(TINY, lr_patch=16), options=sizes("swinir_light"))
    train(how, rgb, tmp_path / "whole", quiet=True)
    with pytest.raises(InterruptedError):
        train(how, rgb, tmp_path / "b", evaluate=interrupt_at(3), eval_every=1, save_every=2, quiet=True)
    train(how, rgb, tmp_path / "b", resume=True, quiet=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "b"))


def test_evaluation_does_not_change_a_run(store, photo_folder, tmp_path):
    def evaluate(net: nn.Module) -> tuple[float, float]:
        assert not net.training
        torch.rand(3)
        result = srfast.evaluate(net, photo_folder, 2)
        return result.psnr, result.ssim

    train(plan(4), store, tmp_path / "a", quiet=True)
    result = train(plan(4), store, tmp_path / "b", evaluate=evaluate, eval_every=2, quiet=True)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    # What is evaluated is what is exported.
    final = srfast.evaluate(tmp_path / "b" / "model.safetensors", photo_folder, 2)
    assert (result.psnr, result.ssim) == (final.psnr, final.ssim)
    rows = rows_of(tmp_path / "b")
    assert [(r["step"], bool(r["psnr"])) for r in rows] == [("2", True), ("4", True)]
    assert float(rows[-1]["psnr"]) == pytest.approx(final.psnr, abs=1e-3)


def test_the_average_is_what_it_says(store, tmp_path):
    """EMA by hand from the weights after steps 1, 2 and 3."""

    def until(step: int, out: Path, ema: float) -> dict[str, Tensor]:
        how: dict[str, Any] = {"evaluate": interrupt_at(step + 1), "eval_every": 1, "save_every": step}
        with pytest.raises(InterruptedError):
            train(plan(6, ema=ema), store, out, **how, quiet=True)
        return weights(out)

    states = [until(step, tmp_path / f"stop{step}", 0.0) for step in (1, 2, 3)]
    torch.manual_seed(0)
    average = {k: v.clone() for k, v in models.create("fsrcnn", 2, **FSRCNN).state_dict().items()}
    for step, state in enumerate(states, 1):
        decay = min(0.9, (1 + step) / (10 + step))
        average = {k: decay * average[k] + (1 - decay) * state[k] for k in average}
    for k, v in until(3, tmp_path / "average", 0.9).items():
        assert torch.allclose(v, average[k], atol=1e-7), k


def test_metadata_make_the_weights_a_model(store, tmp_path):
    train(plan(2, seed=7), store, tmp_path, quiet=True, data_name="photos")
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        about = file.metadata()
    got = {k: about[k] for k in ("model", "scale", "steps", "seed", "data")}
    assert got == {"model": "fsrcnn", "scale": "2", "steps": "2", "seed": "7", "data": "photos"}
    for name in ("model.safetensors", "last.pt"):
        loaded = load_model(tmp_path / name, 2)
        assert (loaded.name, loaded.scale, loaded.color) == ("fsrcnn", 2, "y")
        assert same(loaded.model.state_dict(), weights(tmp_path))


def test_init_takes_what_fits(store, photo_folder, tmp_path):
    train(plan(2), store, tmp_path / "x2", quiet=True)
    initial = weights(tmp_path / "x2")
    slow = plan(1, scale=3, lr=1e-12, ema=0.0)
    store3, _ = open_store([photo_folder], 3, color="y", patch=36, quantise=False)
    train(slow, store3, tmp_path / "x3", initial=initial, quiet=True)
    for k, v in weights(tmp_path / "x3").items():
        assert torch.allclose(v, initial[k], atol=1e-6), k
    with pytest.raises(InputError, match="init"):
        train(slow, store3, tmp_path / "none", initial={"other": torch.zeros(1)}, quiet=True)


def test_a_loss_that_is_not_finite_stops_the_run(store, tmp_path):
    for log_every, save_every in ((1, 50), (99, 20)):
        with pytest.raises(RunError, match="loss is"):
            train(plan(50, lr=1e18, ema=0.0), store, tmp_path, log_every=log_every, save_every=save_every, quiet=True)
        assert not (tmp_path / "last.pt").exists()


@pytest.mark.parametrize("loss", ["l1", "mse", "euclidean"])
def test_a_loss_that_no_image_has_is_no_result(loss, store, tmp_path):
    """A training that ended at a loss of 1e26 wrote its weights, and its exit code was 0."""
    with pytest.raises(RunError, match=r"the loss is \S+e\+\d+ at step 2, and \S+ for black in place of white; lower"):
        train(plan(2, lr=10.0, ema=0.0, loss=loss), store, tmp_path, log_every=99, quiet=True)
    assert not (tmp_path / "model.safetensors").exists()
    check_diverged(loss, 1.0, 24, 1, True)


@pytest.mark.parametrize(
    "changes",
    [{"steps": 0}, {"batch": 0}, {"lr": 0.0}, {"ema": 1.0}, {"precision": "fp8"}, {"lr_patch": 12, "loss_border": 12},
     {"scale": 5}, {"lr_factors": {"conv9": 0.1}}],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_settings_out_of_range(photo_folder, tmp_path, changes):
    with pytest.raises(InputError, match=f"^{next(iter(changes))}: "):
        srfast.train("fsrcnn", photo_folder, tmp_path / "run", **{"steps": 1, **changes})
    assert not (tmp_path / "run").exists()


def test_sgd_with_everything_by_hand(store, tmp_path):
    """Euclidean loss, momentum, weight decay, a part frozen, a part slower, and clipping by the rate: three steps."""
    steps, lr, momentum, decay = 3, 0.05, 0.8, 0.01
    how = plan(
        steps, optimizer="sgd", loss="euclidean", lr=lr, momentum=momentum, weight_decay=decay, milestones=(0.5,),
        clip=0.02, clip_by_rate=True, lr_factors={"deconv": 0.1, "body.0": 0.0}, ema=0.0,
    )  # fmt: skip
    train(how, store, tmp_path, quiet=True)
    torch.manual_seed(0)
    net = models.create("fsrcnn", 2, **FSRCNN)
    batches = Batches(store, batch=2, patch=24, seed=0)
    velocity = {n: torch.zeros_like(p) for n, p in net.named_parameters()}
    for step in range(steps):
        low, high = batches[step]
        loss = 0.5 * (net(low) - high / 255).square().sum() / 2
        net.zero_grad()
        loss.backward()
        rate = lr * (0.5 if step / steps >= 0.5 else 1)
        norm = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
        shrink = min(1.0, 0.02 / rate / float(norm))
        assert shrink < 1, "the clipping would not show"
        with torch.no_grad():
            for n, p in net.named_parameters():
                velocity[n] = momentum * velocity[n] + shrink * p.grad + decay * p
                p -= rate * {"deconv": 0.1, "body.0": 0.0}.get(".".join(n.split(".")[:-1]), 1.0) * velocity[n]
    for n, p in net.named_parameters():
        # Rounding of sums in another order, through three steps.
        torch.testing.assert_close(weights(tmp_path)[n], p.detach(), rtol=1e-4, atol=1e-6)


def test_a_rate_of_0_needs_no_clipping(store, tmp_path):
    how = plan(4, schedule="halving", milestones=(0.5,), decay=0.0, clip=1.0, clip_by_rate=True, ema=0.0)
    assert train(how, store, tmp_path, quiet=True).step == 4


def _all_patches(folder: Path) -> Path:
    """A core-set that keeps every patch of 24 pixels."""
    scores = srfast.score(folder, scale=2, patch=24, stride=24, scorer="bicubic", threads=1)
    path = folder.parent / "all.parquet"
    srfast.select(scores, keep=1.0).write(path)
    return path


def test_an_epoch_of_images_is_one_of_their_patches(photo_folder, store):
    """The same unit: the patches of a crop's size that scoring makes of the images."""
    whole, _ = open_store([_all_patches(photo_folder)], 2, color="y", patch=24, quantise=False)
    assert whole.patches == len(whole.regions) == store.patches > len(store.regions)


def test_grow_lets_crops_leave_the_patches(photo_folder):
    path = _all_patches(photo_folder)
    fixed, _ = open_store([path], 2, color="y", patch=24)
    grown, _ = open_store([path], 2, color="y", patch=24, grow=6)
    sizes = {s.path: np.asarray(Image.open(s.path)).shape[:2] for s in grown.sources}
    for a, b in zip(fixed.regions, grown.regions, strict=True):
        h, w = (n // 2 * 2 for n in sizes[grown.sources[b.source].path])
        assert (b.x, b.y) == (max(0, a.x - 6), max(0, a.y - 6))
        assert (b.x + b.width, b.y + b.height) == (min(w, a.x + 30), min(h, a.y + 30))
    places = {Batches(grown, batch=1, patch=24, seed=s)[0][1].numpy().tobytes() for s in range(40)}
    assert len(places) > 30
    # LR and HR still lie on each other.
    low, high = Batches(grown, batch=8, patch=24, seed=1)[0]
    small = srfast.downsample(high.float(), 2)[..., 3:-3, 3:-3]
    assert (small - low[..., 3:-3, 3:-3]).abs().max() <= 1.5
    for wrong in (-2, 3):
        with pytest.raises(InputError, match="grow: expected HR pixels"):
            open_store([path], 2, color="y", patch=24, grow=wrong)
    with pytest.raises(InputError, match="grow: expected a core-set"):
        open_store([photo_folder], 2, color="y", patch=24, grow=2)
    larger, _ = open_store([path], 2, color="y", patch=28, grow=4)
    assert min(r.width for r in larger.regions) >= 28
    with pytest.raises(InputError, match=r"lr_patch: expected at most .* px, grown by 4"):
        open_store([path], 2, color="y", patch=40, grow=4)


def test_loss_border_leaves_the_border_out(store, tmp_path):
    """With all but the centre left out, the loss is that of the centre."""
    train(plan(1, loss_border=5, ema=0.0), store, tmp_path, log_every=1, quiet=True)
    logged = float(rows_of(tmp_path)[0]["loss"])
    lr, hr = Batches(store, batch=2, patch=24, seed=0)[0]
    torch.manual_seed(0)
    net = models.create("fsrcnn", 2, **FSRCNN)
    with torch.no_grad():
        inner = (net(lr) - hr / 255)[..., 10:14, 10:14]
    assert logged == pytest.approx(float(inner.abs().mean()), rel=1e-4)


@pytest.mark.parametrize("redraw", [0.1, 0.5, 0.9, 1.0])
def test_a_pass_is_an_epoch_of_rs2(store, redraw):
    few = store.over([Region(0, x, y, 24, 24) for x in range(0, 96, 24) for y in range(0, 96, 24)])
    batches, sampler = Batches(few, batch=2, patch=24, seed=5, redraw=redraw), RS2(16, redraw, seed=5, rank=0, world=1)
    for epoch in (0, 7):
        rng = np.random.default_rng((5, 1, epoch))
        drawn = rng.permutation(np.sort(rng.permutation(16)[: {0.1: 2, 0.5: 8, 0.9: 14, 1.0: 16}[redraw]]))
        sampler.set_epoch(epoch)
        assert list(sampler) == drawn.tolist()
        if redraw == 1:  # all regions are put in order without a draw of which
            drawn = np.random.default_rng((5, 1, epoch)).permutation(16)
        assert batches._order(epoch).tolist() == drawn.tolist()


def test_weights_are_the_shares_of_the_draws(store):
    n, weights = len(store.regions), np.arange(len(store.regions), dtype=float)
    batches = Batches(store.over(store.regions, weights), batch=2, patch=24, seed=5)
    passes = [np.bincount(batches._order(p), minlength=n) for p in range(200)]
    assert all(drawn.sum() == n for drawn in passes)
    share = n * weights / weights.sum()
    for drawn in passes:
        assert (np.floor(share) <= drawn).all()
        assert (drawn <= np.ceil(share)).all()
    # A systematic draw differs from its share by less than 1; over 200 passes the standard error is below .5 / 200^.5.
    assert np.abs(np.mean(passes, 0) - share).max() < 4 * 0.5 / 200**0.5
