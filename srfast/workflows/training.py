"""Training a model on images or on a core-set, with evaluation on the way."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from srfast import models
from srfast.data.lowres import LowRes
from srfast.evaluation.evaluator import evaluate
from srfast.models.loading import initial_weights
from srfast.training import arguments, checkpoint, host, loop
from srfast.training.loop import TrainResult
from srfast.training.plan import steps_for_epochs
from srfast.training.reselect import Reselection
from srfast.training.sources import open_store, whole_dataset

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from srfast.training.arguments import Paths, TrainOptions


def train(
    model: str | None = None,
    data: Paths | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    quiet: bool = True,
    say: Callable[[str], None] = lambda line: None,
    **options: Unpack[TrainOptions],
) -> TrainResult:
    """Trains a model: what ``srfast train`` does.

    Args:
        model: A name of ``srfast.models.names()``; with ``resume``, None takes the run's.
        data: Images and folders of them, or one coreset.parquet; with ``resume``, None takes the run's.
        output: Folder of the run: last.pt, model.safetensors, log.csv, run.json (these arguments).
        resume: Continue the run in ``output``, if there is one, with its own arguments. ``steps`` may be more than
            before, and the schedule then stretches over all of them; ``data`` may lie elsewhere; device, threads,
            cache_mb and what concerns evaluation, log and checkpoints may be others.
        quiet: No progress on stderr.
        say: Called with lines for a person.
        scale: 2, 3 or 4; None takes that of a core-set, or 2.
        steps: Optimiser updates.
        epochs: Passes over the data's patches, a crop each, instead of ``steps``; images count as the patches of a
            crop's size on their grid.
        match_steps: With ``epochs``: as many updates as so many passes over the dataset that the core-set is from.
        seed: Of the weights, the crops and all else that is random.
        init: Weights to start from; tensors that do not fit keep fresh values.
        model_options: Sizes of the model other than the paper's.
        rescale: Factors between 0 and 1 of smaller copies to train on as well; images only.
        grow: HR pixels by which crops may leave the patches of a core-set.
        root: The folder of a core-set's images, if they have moved since scoring.
        lr_images: Folder of LR images that exist already, each with the path of its HR image below the folder of the
            data; None takes those a core-set was scored with, or makes them. (``lr`` is the learning rate.)
        lr_template: What becomes of an HR image's name without suffix, such as "{}x4".
        recipe: "default", or "paper" for the paper's own optimiser (srcnn, fsrcnn, drrn, idn).
        reselect_every: Score the patches anew with the model in training every so many steps, and train on a part.
        reselect_keep: Of what ``reselect_every`` keeps: the fraction of the patches, 0.5.
        reselect_drop: Of what it drops first: the hardest fraction, 0.05.
        precision: "fp32" (the default), "bf16" or "fp16" (autocast).
        device: "auto" (the default), "cpu" or "cuda".
        threads: CPU threads; 0 takes those that find an idle core.
        cache_mb: Decoded images kept in memory, 2048.
        eval_data: HR images to evaluate on.
        eval_protocol: "classic" or "rgb"; None follows the model.
        eval_ssim: Window of SSIM: "wang" (the default) or "skimage".
        eval_every: Steps between evaluations; 0 evaluates at the end only.
        log_every: Steps between rows of log.csv, 100.
        save_every: Steps between checkpoints, 1000.
        batch, lr_patch, loss, optimizer, lr, schedule, ema, ...: Fields of the model's recipe to change
            (``srfast.training.recipes.Recipe``); None leaves a field as it is.

    Returns:
        Where the run ended.

    Raises:
        InputError: a wrong or unknown argument, one other than the resumed run's, no images, or a run that is not to
            be resumed. RunError: the loss is no longer
            finite, or a dependency is missing.
    """
    a = arguments.gather(model, data, output, resume, options)
    threads = _take_threads(a["threads"], say)
    how, paths, scale = a.recipe(), a["data"], a["scale"]
    reselect = None
    if a["reselect_every"] is not None:
        reselect = Reselection(a["reselect_every"], a["reselect_keep"], a["reselect_drop"])
    plan = dataclasses.replace(a.plan(a["steps"] or 1), reselect=reselect)
    plan.check()
    store, left_out = open_store(
        paths,
        scale,
        color=models.describe(plan.model).color,
        patch=how.lr_patch * scale,
        quantise=how.quantise,
        factors=(1.0, *a["rescale"]),
        grow=a["grow"],
        cache_bytes=a["cache_mb"] << 20,
        root=a["root"],
        lr=LowRes.open(a["lr_images"], a["lr_template"], "lr-images") if a["lr_images"] else None,
    )
    if left_out:
        say(f"{left_out} images are smaller than {how.lr_patch * scale} px and were left out")
    epochs = a["epochs"]
    if epochs is not None:
        samples = whole_dataset(paths) if a["match_steps"] else store.patches
        plan = dataclasses.replace(plan, steps=steps_for_epochs(epochs, samples, how.batch))
        say(f"epochs: {epochs:g} x {samples} patches, a crop each, in batches of {how.batch}: {plan.steps} steps")
        arguments.check_growth(a.planned, plan.steps, a.output)
    if a.planned is not None and plan.steps > a.planned:
        say(f"steps: {plan.steps} instead of {a.planned}; the schedule of the learning rate stretches over all of them")

    def measure(net: torch.nn.Module) -> tuple[float, float]:
        result = evaluate(net, a["eval_data"], scale, a["eval_protocol"], window=a["eval_ssim"])
        return result.psnr, result.ssim

    initial = None
    if a["init"] and not (resume and (a.output / checkpoint.LAST).exists()):
        initial = initial_weights(a["init"], plan.model, scale, a["model_options"])
    return loop.train(
        plan,
        store,
        a.output,
        resume=resume,
        initial=initial,
        evaluate=measure if a["eval_data"] else None,
        eval_every=a["eval_every"],
        log_every=a["log_every"],
        save_every=a["save_every"],
        device=a["device"],
        threads=threads,
        quiet=quiet,
        inputs=[Path(p) for p in [*paths, *([a["init"]] if a["init"] else [])]],
        data_name=", ".join(os.path.basename(p) for p in paths),
        settings={**a.values, "steps": plan.steps},
    )


def _take_threads(asked: int, say: Callable[[str], None]) -> int:
    """Sets PyTorch's threads: those asked for, or where that is 0 those that find an idle core."""
    most = torch.get_num_threads()
    threads = asked or host.idle_threads()
    if threads < most and not asked:
        say(f"threads: {threads} of {most}, other processes are busy; --threads N takes N")
    torch.set_num_threads(threads)
    return threads
