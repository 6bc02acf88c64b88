"""The training loop."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from srfast.data.atomic import checksum
from srfast.data.files import output_folder
from srfast.data.run_folder import check_same
from srfast.errors import InputError, reading
from srfast.models import registry as models
from srfast.runtime.interrupts import finishing
from srfast.training import arguments, checkpoint, host
from srfast.training import log as logs
from srfast.training.host import World, join, leave
from srfast.training.log import Log
from srfast.training.objective import LOSSES, check_diverged, optimizer
from srfast.training.plan import Plan
from srfast.training.store import Batches, Feed, PairStore

FILES = {checkpoint.LAST: "checkpoint", checkpoint.MODEL: "weights", logs.NAME: "training log"}
FILES |= {arguments.NAME: arguments.KIND}
Evaluate = Callable[[nn.Module], tuple[float, float]]
_ASK_OTHERS_EVERY = 16  # steps between the all-reduces that let all processes stop at the same one


@dataclass(frozen=True)
class TrainResult:
    """The state of a run at its end."""

    step: int
    loss: float
    """Mean loss since the last row of the log."""
    weights: Path
    """Path of model.safetensors: the averaged weights, or the last ones if the recipe has no average."""
    psnr: float | None
    ssim: float | None
    seconds: float
    """Seconds of this call."""
    data_seconds: float
    """Seconds of this call spent waiting for batches."""


def train(
    plan: Plan,
    store: PairStore,
    out: str | Path,
    *,
    resume: bool = False,
    initial: dict[str, Tensor] | None = None,
    evaluate: Evaluate | None = None,
    eval_every: int = 0,
    log_every: int = 100,
    save_every: int = 1000,
    device: str = "auto",
    threads: int = 1,
    quiet: bool = False,
    data_name: str = "",
    inputs: Iterable[str | Path] = (),
    settings: dict[str, Any] | None = None,
) -> TrainResult:
    """Trains a model for ``plan.steps`` updates into ``out``: last.pt (checkpoint), model.safetensors and log.csv.

    The colour space and LR type of ``store`` are those of the model and the recipe. ``resume`` continues from last.pt
    if it exists, on the CPU bit for bit as if the run had never stopped; ``steps`` may be more than planned before. Of
    ``initial`` weights, tensors with another shape (another scale's up-sampler) keep fresh ones. ``evaluate`` is called
    with the model (averaged weights) on the leading process and returns PSNR and SSIM, every ``eval_every`` steps; 0:
    at the end only. ``threads`` read images; those of the model are PyTorch's. ``inputs`` are files that the run must
    not replace, and ``settings`` are written to run.json, by which it is resumed.

    Raises InputError if settings are out of range, ``out`` holds a run that is not to be resumed or files of others, or
    the checkpoint is corrupt or was made with other settings, RunError if the loss is not finite or has diverged, the
    disk is full, or another process trains into ``out``, and KeyboardInterrupt if SIGINT, SIGTERM or SIGHUP came; the
    step was then finished and a checkpoint written.
    """
    out = Path(out)
    world = join(device)
    if world.device.type == "cpu":
        host.keep_freed_memory()
    # A checkpoint to resume from is judged by its reader.
    files = {name: kind for name, kind in FILES.items() if not (resume and name == checkpoint.LAST)}
    folder = output_folder(out, "training run", inputs, files) if world.leads else contextlib.nullcontext()
    try:
        with folder:
            module = plan.model if isinstance(plan.model, nn.Module) else nn.Module()
            device_of, mode = next(module.parameters(), torch.empty(0)).device, module.training
            runner = _Runner(plan, store, out, world, data_name)
            if not (resume and runner.restore()):
                runner.start(initial, resume)
            if settings is not None and world.leads:
                arguments.write(out, settings)
            result = runner.run(evaluate, eval_every, log_every, save_every, threads, quiet)
            if module is plan.model:  # it gets the weights that were saved
                module.load_state_dict(runner.average or module.state_dict())
                module.to(device_of).train(mode)
            return result
    finally:
        leave(world)


def _check_planes(name: str, model: nn.Module, color: str) -> None:
    """Refuses a network whose first convolution takes other planes than the data have."""
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    planes = {"y": 1, "rgb": 3}[color]
    declared = getattr(model, "color", None) is not None
    if not declared and first is not None and first.in_channels in (1, 3) and first.in_channels != planes:
        hint = f"give its class an attribute color = {'y' if planes == 3 else 'rgb'!r}"
        raise InputError(f"model: {name} takes {first.in_channels} planes, not {planes}", hint=hint)


class _Runner:
    def __init__(self, plan: Plan, store: PairStore, out: Path, world: World, data_name: str) -> None:
        self.plan, self.store, self.out, self.world, self.data_name = plan, store, out, world, data_name
        self.last = out / checkpoint.LAST
        self.settings = plan.settings(store)
        self.patch = plan.recipe.lr_patch * plan.scale
        self.batches = Batches(
            store,
            batch=plan.recipe.batch,
            patch=self.patch,
            seed=plan.seed,
            redraw=plan.redraw,
            rank=world.rank,
            world=world.size,
        )
        torch.manual_seed(plan.seed)
        self.model = models.create(plan.model, plan.scale, **plan.options).to(world.device).train()
        _check_planes(plan.name, self.model, store.color)
        if world.size > 1 and world.device.type == "cuda":
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        if plan.recipe.channels_last:
            cast(Any, self.model).to(memory_format=torch.channels_last)
        self.average = _copied(self.model) if plan.recipe.ema else {}
        self.optimizer = optimizer(plan.recipe, self.model)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=plan.precision == "fp16")
        self.step = 0
        self.loss = math.nan
        # The losses since the last row of the log, and how many they are.
        self.total = torch.zeros((), dtype=torch.float64, device=world.device)
        self.summed = 0
        self.saved = ""  # the checksum of the weights that the checkpoint goes with
        self.spent = [0.0, 0.0]  # seconds, and those of them that waited for data, of earlier calls
        self.asked: Callable[[], bool] = lambda: False

    def start(self, initial: dict[str, Tensor] | None, resume: bool) -> None:
        if self.last.exists() and not resume:
            raise InputError(f"{self.out}: already holds a run", hint="resume it, or train into another folder")
        if initial is not None:
            own = self.model.state_dict()
            fitting = {k: v for k, v in initial.items() if k in own and own[k].shape == v.shape}
            if not fitting:
                raise InputError(f"init: none of its {len(initial)} tensors fits {self.plan.name} x{self.plan.scale}")
            self.model.load_state_dict({**own, **fitting})
            self.average = _copied(self.model) if self.average else {}
        # Processes differ from here on in what they draw inside the model.
        torch.manual_seed(self.plan.seed + self.world.rank)

    def restore(self) -> bool:
        if not self.last.exists():
            return False
        state = checkpoint.load(self.last)
        with reading(f"{self.last}: expected a training checkpoint of this run, got one whose contents do not fit"):
            saved = {**state["settings"], "steps": max(state["settings"]["steps"], self.plan.steps)}
            way = "resume with the same settings and data or train into another folder"
            sums = {"data": "other images or patches"}
            check_same(self.last, saved, self.settings, done="trained", way=way, sums=sums)
            if len(state["rng"]) != self.world.size:
                raise InputError(f"processes: {self.last} was trained with {len(state['rng'])}, got {self.world.size}")
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            for k, v in state["average"].items():
                self.average[k].copy_(v)
            self.step, self.loss, self.summed = int(state["step"]), float(state["loss"]), int(state["summed"])
            self.total += state["total"]
            self.saved, self.spent = state["weights"], state["seconds"]
            checkpoint.restore_rng(state["rng"][self.world.rank])
        return True

    def run(
        self, evaluate: Evaluate | None, eval_every: int, log_every: int, save_every: int, threads: int, quiet: bool
    ) -> TrainResult:
        plan, world = self.plan, self.world
        on_cpu = world.device.type == "cpu"
        steady = self.store.fits and self.store.draws is None  # else images are made while training
        if steady:
            self.store.fill(threads)
        net: nn.Module = self.model
        if world.size > 1:
            net = DistributedDataParallel(self.model, device_ids=None if on_cpu else [world.device.index])
        weights = self.out / checkpoint.MODEL
        # Those of another step were written by a run that ended before the next checkpoint was.
        if self.step and world.leads and not (weights.exists() and checksum(weights) == self.saved):
            self._save_weights()
        feed = Feed(self.batches, self.step, 0 if on_cpu and steady else max(1, threads))
        log = Log(self.out, self.step, plan.steps, quiet) if world.leads else None
        before, began = self.spent, time.perf_counter()
        score = None
        with contextlib.ExitStack() as stack:
            if log:
                stack.callback(log.close)
            self.asked = stack.enter_context(finishing())
            stack.callback(feed.close)
            while self.step < plan.steps:
                self.total += self._update(net, feed)
                self.summed += 1
                done = self.step == plan.steps
                stop = (world.size == 1 or self.step % _ASK_OTHERS_EVERY == 0) and world.agree(self.asked())
                ask = evaluate is not None and (done or (eval_every > 0 and self.step % eval_every == 0))
                save = done or self.step % save_every == 0
                # An interrupt leaves no row: the log of a resumed run is that of one that was not interrupted.
                row = ask or save or self.step % log_every == 0
                if row:
                    self.loss = self._mean_loss(save)
                    self.total.zero_()
                    self.summed = 0
                    score = self._score(evaluate) if ask and evaluate and log else None
                self.spent = [before[0] + time.perf_counter() - began, before[1] + feed.seconds]
                if log and row:
                    log.write(self._row(score))
                elif log:
                    log.advance(self.step)
                if save or stop:
                    if log:
                        log.flush()
                    self._save()
                if stop and not done:
                    raise KeyboardInterrupt
        psnr, ssim = score or (None, None)
        return TrainResult(self.step, self.loss, weights, psnr, ssim, time.perf_counter() - began, feed.seconds)

    def _mean_loss(self, save: bool) -> float:
        loss = self.world.mean(self.total.clone()) / max(1, self.summed)
        inner = self.patch - 2 * self.plan.recipe.loss_border * self.plan.scale
        last = f" ({self.last} holds the last good state)" if self.last.exists() else ""
        check_diverged(self.plan.recipe.loss, loss, inner, self.step, save, last)
        return loss

    def _update(self, net: nn.Module, feed: Feed) -> Tensor:
        plan, recipe, device = self.plan, self.plan.recipe, self.world.device
        lr, hr = map(self.world.images, feed.draw())
        rate = recipe.rate(self.step, plan.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        half = plan.precision != "fp32" and self.step < plan.steps * (1 - recipe.fp32_tail)
        with torch.autocast(device.type, torch.float16 if plan.precision == "fp16" else torch.bfloat16, enabled=half):
            sr = net(lr)
        if sr.shape != hr.shape:
            raise InputError(
                f"model: expected {plan.name} to make SR {list(hr.shape)} of LR {list(lr.shape)}, got {list(sr.shape)}"
            )
        b = recipe.loss_border * plan.scale
        inner = (..., slice(b, self.patch - b), slice(b, self.patch - b))
        loss = LOSSES[recipe.loss](sr.float()[inner], hr[inner])
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        # At a rate of 0, clip / rate is no limit.
        if recipe.clip and (rate or not recipe.clip_by_rate):
            self.scaler.unscale_(self.optimizer)
            limit = recipe.clip / rate if recipe.clip_by_rate else recipe.clip
            nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        if self.average:
            own, decay = self.model.state_dict(), min(recipe.ema, (1 + self.step) / (10 + self.step))
            floats = [k for k, v in own.items() if v.is_floating_point()]
            torch._foreach_lerp_([self.average[k] for k in floats], [own[k] for k in floats], 1 - decay)
            for k in own.keys() - floats:
                self.average[k].copy_(own[k])
        return loss.detach()

    def _score(self, evaluate: Evaluate) -> tuple[float, float]:
        """PSNR and SSIM of the averaged weights, in evaluation mode, which change nothing of the run."""
        rng, own = checkpoint.rng_state(), _copied(self.model)
        if self.average:
            self.model.load_state_dict(self.average)
        with torch.inference_mode():
            score = evaluate(self.model.eval())
        self.model.load_state_dict(own)
        self.model.train()
        checkpoint.restore_rng(rng)
        return score

    def _row(self, score: tuple[float, float] | None) -> dict[str, Any]:
        row: dict[str, Any] = {"step": self.step, "loss": f"{self.loss:.6g}"}
        row["lr"] = f"{self.plan.recipe.rate(self.step - 1, self.plan.steps):.4g}"
        if score:
            row |= {"psnr": f"{score[0]:.4f}", "ssim": f"{score[1]:.5f}"}
        return row | {"seconds": f"{self.spent[0]:.2f}", "data_seconds": f"{self.spent[1]:.2f}"}

    def _save(self) -> None:
        """Saves one file for all processes; the others send their generators' state to the first.

        The checkpoint confirms that the step is done. It is written after the log and the weights, and names the
        weights' checksum: a run that ends in between continues from the checkpoint before.
        """
        self._mean_loss(True)
        total = self.world.mean(self.total.clone())
        rngs = [checkpoint.rng_state()]
        if self.world.size > 1:
            gathered: list[Any] = [None] * self.world.size
            torch.distributed.all_gather_object(gathered, rngs[0])
            rngs = gathered
        if self.world.leads:
            state = {
                "settings": self.settings,
                "step": self.step,
                "loss": self.loss,
                "total": total,
                "summed": self.summed,
                "seconds": self.spent,
                "model": self.model.state_dict(),
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "rng": rngs,
                "weights": self._save_weights(),
            }
            checkpoint.save(self.last, state)
        self.world.wait()

    def _save_weights(self) -> str:
        plan = self.plan
        about = {"format": "pt", "model": plan.name, "options": json.dumps(dict(plan.options)), "scale": plan.scale}
        about |= {"steps": self.step, "seed": plan.seed, "data": self.data_name}
        return checkpoint.save_weights(self.out / checkpoint.MODEL, self.average or self.model.state_dict(), about)


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}
