"""Training a model on images or on a core-set, with evaluation on the way."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from srfast import models
from srfast.errors import InputError
from srfast.evaluation.evaluator import evaluate
from srfast.evaluation.metrics import Protocol, Window
from srfast.models.loading import initial_weights
from srfast.training import host, loop, recipes
from srfast.training.loop import TrainResult
from srfast.training.plan import Plan, steps_for_epochs
from srfast.training.reselect import Reselection
from srfast.training.sources import open_store, whole_dataset

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def train(
    model: str,
    data: Paths,
    output: str | os.PathLike[str],
    *,
    scale: int = 2,
    steps: int | None = None,
    epochs: float | None = None,
    match_steps: bool = False,
    seed: int = 0,
    init: str | os.PathLike[str] | None = None,
    model_options: Mapping[str, Any] | None = None,
    rescale: Sequence[float] = (),
    grow: int = 0,
    recipe: str = "default",
    reselect_every: int | None = None,
    reselect_keep: float = 0.5,
    reselect_drop: float = 0.05,
    precision: str = "fp32",
    device: str = "auto",
    threads: int = 0,
    cache_mb: int = 2048,
    eval_data: Paths | None = None,
    eval_protocol: Protocol | None = None,
    eval_ssim: Window = "wang",
    eval_every: int = 0,
    log_every: int = 100,
    save_every: int = 1000,
    resume: bool = False,
    quiet: bool = True,
    say: Callable[[str], None] = lambda line: None,
    **changes: Any,
) -> TrainResult:
    """Trains a model: what ``srfast train`` does.

    Args:
        model: A name of ``srfast.models.names()``.
        data: Images and folders of them, or one coreset.parquet.
        output: Folder of the run: last.pt, model.safetensors, log.csv.
        scale: 2, 3 or 4.
        steps: Optimiser updates.
        epochs: Passes over the data's patches, a crop each, instead of ``steps``; images count as the patches of a
            crop's size on their grid.
        match_steps: With ``epochs``: as many updates as so many passes over the dataset that the core-set is from.
        seed: Of the weights, the crops and all else that is random.
        init: Weights to start from; tensors that do not fit keep fresh values.
        model_options: Sizes of the model other than the paper's.
        rescale: Factors between 0 and 1 of smaller copies to train on as well; images only.
        grow: HR pixels by which crops may leave the patches of a core-set.
        recipe: "default", or "paper" for the paper's own optimiser (srcnn, fsrcnn, drrn, idn).
        reselect_every: Score the patches anew with the model in training every so many steps, and train on a part.
        reselect_keep: Of what ``reselect_every`` keeps: the fraction of the patches.
        reselect_drop: Of what it drops first: the hardest fraction.
        precision: "fp32", "bf16" or "fp16" (autocast).
        device: "auto", "cpu" or "cuda".
        threads: CPU threads; 0 takes those that find an idle core.
        cache_mb: Decoded images kept in memory.
        eval_data: HR images to evaluate on.
        eval_protocol: "classic" or "rgb"; None follows the model.
        eval_ssim: Window of SSIM: "wang" or "skimage".
        eval_every: Steps between evaluations; 0 evaluates at the end only.
        log_every: Steps between rows of log.csv.
        save_every: Steps between checkpoints.
        resume: Continue the run in ``output``, if there is one.
        quiet: No progress on stderr.
        say: Called with lines for a person.
        **changes: Fields of the model's recipe to change (``srfast.training.recipes.Recipe``): batch, lr_patch, loss,
            optimizer, lr, schedule, ema, ...; None leaves a field as it is.

    Returns:
        Where the run ended.

    Raises:
        InputError: a wrong argument, no images, or a run that is not to be resumed. RunError: the loss is no longer
            finite, or a dependency is missing.
    """
    description = models.describe(model)
    model, color = description.name, description.color
    paths = [data] if isinstance(data, (str, os.PathLike)) else list(data)
    most = torch.get_num_threads()
    given, threads = threads, threads or host.idle_threads()
    if threads < most and not given:
        say(f"threads: {threads} of {most}, other processes are busy; --threads N takes N")
    torch.set_num_threads(threads)
    wanted = {k: v for k, v in changes.items() if v is not None}
    if wanted.get("clip") is not None:
        wanted.setdefault("clip_by_rate", False)
    base = recipes.recipe(model, scale, recipe)
    unknown = [k for k in wanted if k not in {f.name for f in dataclasses.fields(base)}]
    if unknown:
        fields = ", ".join(f.name for f in dataclasses.fields(base))
        raise InputError(f"{unknown[0]}: expected a field of a recipe ({fields})")
    how = dataclasses.replace(base, **wanted)
    if (steps is None) == (epochs is None):
        raise InputError("steps: expected either steps or epochs")
    if match_steps and epochs is None:
        raise InputError("match-steps: expected epochs with it")
    reselect = None
    if reselect_every is not None:
        if not all(str(p).endswith(".parquet") for p in paths):
            raise InputError(
                "reselect-every: expected data to be scores.parquet or a core-set, whose patches it scores"
            )
        reselect = Reselection(reselect_every, reselect_keep, reselect_drop)
    plan = Plan(model, scale, steps or 1, how, seed, precision, dict(model_options or {}), reselect=reselect)
    plan.check()
    store, left_out = open_store(
        [str(p) for p in paths],
        scale,
        color=color,
        patch=how.lr_patch * scale,
        quantise=how.quantise,
        factors=(1.0, *rescale),
        grow=grow,
        cache_bytes=cache_mb << 20,
    )
    if left_out:
        say(f"{left_out} images are smaller than {how.lr_patch * scale} px and were left out")
    if epochs is not None:
        samples = whole_dataset([str(p) for p in paths]) if match_steps else store.patches
        plan = dataclasses.replace(plan, steps=steps_for_epochs(epochs, samples, how.batch))
        say(f"epochs: {epochs:g} x {samples} patches, a crop each, in batches of {how.batch}: {plan.steps} steps")

    def measure(net: torch.nn.Module) -> tuple[float, float]:
        result = evaluate(net, eval_data, scale, eval_protocol, window=eval_ssim)  # type: ignore[arg-type]
        return result.psnr, result.ssim

    return loop.train(
        plan,
        store,
        Path(output),
        resume=resume,
        initial=initial_weights(Path(init), model, scale, model_options) if init else None,
        evaluate=measure if eval_data else None,
        eval_every=eval_every,
        log_every=log_every,
        save_every=save_every,
        device=device,
        threads=threads,
        quiet=quiet,
        inputs=[Path(p) for p in [*paths, *([init] if init else [])]],
        data_name=", ".join(os.path.basename(os.path.normpath(p)) for p in paths),
    )
