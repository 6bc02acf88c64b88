"""Recipes, schedules, SOAP, and that every model learns."""

import csv
import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import srfast
from srfast import models
from srfast.errors import InputError
from srfast.training.loop import train
from srfast.training.objective import SOAP
from srfast.training.plan import Plan, steps_for_epochs
from srfast.training.recipes import Recipe, fits, recipe
from srfast.training.sources import open_store
from srfast.training.store import Batches

STEPS = {"srcnn": 400, "fsrcnn": 1200, "ignn": 300, "swinir_light": 400}
"""To fit one crop, where 250 are not enough."""
LEFT = {"ignn": 3.0}
"""Of bicubic's error, where it is not half: IGNN starts at a tenth of He's weights, as a mean, and takes longer."""


def test_schedules():
    halving = Recipe(lr=1.0, milestones=(0.5, 0.75))
    assert [halving.rate(s, 8) for s in range(8)] == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    warm = Recipe(lr=1.0, milestones=(0.5,), warmup=0.25)
    assert [warm.rate(s, 8) for s in range(8)] == [0.5, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]
    for part, steps in ((0.15, 10), (0.01, 10), (0.33, 100)):
        rising = Recipe(lr=1.0, milestones=(), warmup=part)
        assert max(rising.rate(s, steps) for s in range(steps)) == 1
    cosine = Recipe(lr=1.0, schedule="cosine")
    assert cosine.rate(0, 10) == 1
    assert cosine.rate(5, 10) == pytest.approx(0.5)
    assert cosine.rate(9, 10) < 0.03
    tenths = Recipe(lr=1.0, milestones=(0.5, 0.75), decay=0.1)
    assert [tenths.rate(s, 4) for s in range(4)] == pytest.approx([1, 1, 0.1, 0.01])
    how = Recipe(lr_factors={"*.bias": 0.1, "deconv": 0.5, "conv_?.weight": 0.2})
    names = ("body.0.weight", "body.0.bias", "deconv.weight", "deconv.bias", "conv_a.weight")
    assert [how.factor(n) for n in names] == [1, 0.1, 0.5, 0.1, 0.2]
    how = Recipe(lr_factors={"a": 0.1, "a.b": 0.5})
    assert [how.factor(n) for n in ("a.c", "a.b.weight", "b")] == [0.1, 0.5, 1.0]


@pytest.mark.parametrize("source", ["default", "paper"])
@pytest.mark.parametrize("name", models.names())
def test_recipes_fit_their_models_at_every_scale(name, source):
    """In range, and every part that has a rate of its own is there."""
    if models.describe(name).extra:
        pytest.importorskip("spandrel")
    for scale in (2, 3, 4):
        how = recipe(name, scale, source)
        if how.lr_factors:
            with torch.device("meta"):
                names = [n for n, _ in models.create(name, scale).named_parameters()]
            assert all(any(fits(n, key) for n in names) for key in how.lr_factors)
    with pytest.raises(InputError, match="recipe: expected default or paper"):
        recipe(name, 2, "best")


@pytest.mark.parametrize("name", [n for n in models.names() if recipe(n, 2, "paper").optimizer == "sgd"])
def test_the_papers_optimisers_lower_the_loss(name, photo_folder, tmp_path, sizes):
    """At the papers' rates, where another loss or no clipping makes NaN of some."""
    how = dataclasses.replace(recipe(name, 2, "paper"), batch=8)
    store, _ = open_store([photo_folder], 2, color="y", patch=2 * how.lr_patch, quantise=how.quantise)
    options = sizes(name) if name == "drrn" else {}
    train(Plan(name, 2, 30, how, options=options), store, tmp_path / "run", log_every=5, quiet=True)
    with open(tmp_path / "run" / "log.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.7 * losses[0]


OUTSIDE = {
    "momentum": (1.0,), "weight_decay": (-1.0, math.inf, 1e39), "clip": (-1.0, math.inf), "loss_border": (-1,),
    "lr_factors": ({"conv": -1.0}, {"conv": math.inf}), "decay": (math.inf,),
    "lr": (math.inf, "inf", 1e39),  # single precision takes the last for infinite
}  # fmt: skip


@pytest.mark.parametrize(
    ("word", "changes"),
    [
        *((name, {name: value}) for name, values in OUTSIDE.items() for value in values),
        ("weight_decay", {"weight_decay": 1e-4, "optimizer": "soap"}),
        ("lr", {"lr": 1e30, "lr_factors": {"conv": 1e30}}),
    ],
)
def test_settings_of_optimisers_out_of_range(word, changes):
    with pytest.raises(InputError, match=f"^{word}: "):
        Recipe(**changes)


def test_epochs_and_matched_steps():
    """The paper's fixed epochs give a core-set its share of the updates, matched steps those of the whole."""
    assert steps_for_epochs(200, 31_216, 2) == 3_121_600
    assert steps_for_epochs(1, 7_804, 2) == 3_902
    assert steps_for_epochs(0.5, 5, 2) == 2
    for wrong in (0, math.nan, math.inf, 1e308):
        with pytest.raises(InputError, match="epochs: expected a positive, finite number"):
            steps_for_epochs(wrong, 5, 2)


QUICK = ("srcnn", "drrn", "edsr_baseline", "rdn", "rcan", "compact", "realplksr")
"""Models that learn a batch in a second or two; the others take a minute together."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in models.names()])
def test_every_model_fits_one_batch(name, photographs, tmp_path, sizes):
    """One crop, seen again and again through the whole training path, is learned far below bicubic.

    A corner of a photograph, mirrored to be its own image under all flips and rotations: every batch is the same.
    """
    folder = tmp_path / "one"
    folder.mkdir()
    corner = photographs["astronaut"][72:80, 200:208]
    upper = np.triu(np.ones((8, 8), bool))[..., None]
    corner = np.where(upper, corner, corner.transpose(1, 0, 2))
    half = np.concatenate([corner, corner[::-1]])
    Image.fromarray(np.concatenate([half, half[:, ::-1]], 1)).save(folder / "crop.png")
    color = models.describe(name).color
    store, _ = open_store([folder], 2, color=color, patch=16)
    how = dataclasses.replace(
        recipe(name), lr=5e-3, lr_factors={}, batch=2, lr_patch=8, loss="mse", loss_border=0, ema=0.0,
        schedule="cosine", quantise=True, fp32_tail=0.0, clip=0.0, optimizer="soap",
    )  # fmt: skip
    lr, hr = Batches(store, batch=1, patch=16, seed=0)[0]
    up = srfast.upsample(lr.float(), 2)
    bicubic = float((up - hr).square().mean()) / 255**2
    fit = Plan(name, 2, STEPS.get(name, 250), how, options=sizes(name))
    result = train(fit, store, tmp_path / "run", log_every=10, quiet=True)
    assert result.loss < LEFT.get(name, 0.5) * bicubic


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate", "batch"), [("compact", 1e-3, 8), ("span", 2e-3, 8), ("realplksr", 2e-3, 4)])
def test_two_hundred_updates_beat_bicubic(name, rate, batch, data_folder, tmp_path):
    """At full size, on small crops of BSDS400 as one core allows; PSNR of Y on Set5 by the protocol rgb (bicubic 33.7,
    nearest neighbour 30.9 dB)."""
    pytest.importorskip("spandrel")
    images, five = data_folder("BSDS400"), data_folder("Set5")
    small: dict[str, Any] = {"batch": batch, "lr_patch": 16, "ema": 0.0, "schedule": "cosine", "warmup": 0.05}
    done = srfast.train(name, images, tmp_path / "run", scale=2, steps=200, lr=rate, eval_data=five, **small)
    assert done.psnr is not None
    assert done.psnr > srfast.evaluate("bicubic", five, scale=2, protocol="rgb").psnr


# Square ones are turned: from one gradient, the longer side's average has a null space, whose eigenvectors are
# anything, and two orders of summation give two.
SQUARE = ((4, 1, 2, 2), (6,), (5, 5, 1, 1), (1,), (3, 3))
LONG = ((6, 1, 3, 3), (1, 12), (7, 4))


def plain_step(p: Tensor, grad: Tensor, state: dict[str, Any], every: int, longest: int) -> Tensor:
    """Algorithm 3 of the paper as the class states it."""
    lr, beta1, beta2, memory, eps = 3e-3, 0.9, 0.99, 0.95, 1e-8
    g = grad.reshape(len(p), -1) if p.ndim > 1 else grad[None]
    turns = [p.ndim > 1 and 1 < n <= longest for n in g.shape]
    if not state:
        outer = [g @ g.T if turns[0] else None, g.T @ g if turns[1] else None]
        eye = [torch.eye(n, dtype=g.dtype) for n in g.shape]
        basis = [e if o is None else torch.linalg.eigh(o)[1].flip(1) for o, e in zip(outer, eye, strict=True)]
        state.update(t=0, mean=torch.zeros_like(g), square=torch.zeros_like(g), outer=outer, basis=basis)
    state["t"] += 1
    left, right = state["basis"]
    state["mean"] = beta1 * state["mean"] + (1 - beta1) * g
    state["square"] = beta2 * state["square"] + (1 - beta2) * (left.T @ g @ right) ** 2
    root = (state["square"] / (1 - beta2 ** state["t"])).sqrt() + eps
    update = (left.T @ state["mean"] @ right) / root / (1 - beta1 ** state["t"])
    out = p - lr * (left @ update @ right.T).reshape(p.shape)
    for side, product in enumerate((g @ g.T, g.T @ g)):
        if not turns[side]:
            continue
        state["outer"][side] = memory * state["outer"][side] + (1 - memory) * product
        if state["t"] % every == 0:
            outer, basis = state["outer"][side], state["basis"][side]
            order = torch.argsort((basis * (outer @ basis)).sum(0), descending=True)
            state["square"] = state["square"].index_select(side, order)
            state["basis"][side] = torch.linalg.qr(outer @ basis[:, order])[0]
    return out


@pytest.mark.parametrize(("shapes", "longest"), [(SQUARE, 1024), (SQUARE + LONG, 3)])
def test_all_parameters_together_are_each_by_itself(shapes, longest):
    generator = torch.Generator().manual_seed(0)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    mine = [torch.nn.Parameter(draw(shape)) for shape in shapes]
    plain = [p.detach().clone() for p in mine]
    states: list[dict[str, Any]] = [{} for _ in mine]
    optimizer = SOAP(mine, lr=3e-3, betas=(0.9, 0.99), every=3, longest=longest)
    for step in range(10):
        for i, p in enumerate(mine):
            # One parameter has no gradient at first: its own count of steps is behind the others'.
            p.grad = None if i == 2 and step < 4 else draw(p.shape)
            if p.grad is not None:
                plain[i] = plain_step(plain[i], p.grad, states[i], 3, longest)
        optimizer.step()
    for p, expected in zip(mine, plain, strict=True):
        # 10 updates of at most 0.003 each; the bases are well conditioned products of random numbers.
        torch.testing.assert_close(p.detach(), expected, rtol=0, atol=1e-9)


def test_nothing_to_do_is_nothing_done():
    p = torch.nn.Parameter(torch.ones(2, 2))
    SOAP([p]).step()
    assert torch.equal(p.detach(), torch.ones(2, 2))


def test_a_basis_that_float32_does_not_find(monkeypatch):
    """LAPACK's float32 gives up on some first gradients of SRCNN's last layer; which ones depends on the processor."""
    eigh = torch.linalg.eigh

    def gives_up(matrix: Tensor) -> Any:
        if matrix.dtype == torch.float32:
            raise torch.linalg.LinAlgError("linalg.eigh: The algorithm failed to converge")
        return eigh(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", gives_up)
    p = torch.nn.Parameter(torch.zeros(3, 5))
    p.grad = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    optimizer = SOAP([p], lr=0.1)
    optimizer.step()
    assert p.dtype == torch.float32
    for basis in optimizer.state[p]["basis"]:
        # Orthogonal to float32's rounding of entries of at most 1.
        torch.testing.assert_close(basis.T @ basis, torch.eye(len(basis)), atol=1e-6, rtol=0)
    assert p.abs().max() > 0
