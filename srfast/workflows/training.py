"""Training a model on images or on a core-set, with evaluations during the training."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch

from srfast.data.lowres import LowRes
from srfast.degradation.plan import Degradation, Draws
from srfast.evaluation.evaluator import evaluate
from srfast.models.loading import initial_weights
from srfast.models.registry import Buildable
from srfast.settings import documented
from srfast.training import arguments, checkpoint, host, loop
from srfast.training.loop import TrainResult
from srfast.training.plan import steps_for_epochs
from srfast.training.settings import Data, TrainArguments
from srfast.training.sources import open_store, whole_dataset


@documented(TrainArguments)
def train(
    model: Buildable | os.PathLike[str] | None = None,
    data: Data | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    quiet: bool = True,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> TrainResult:
    """Trains a model, as ``srfast train`` does.

    Args:
        model: A name of ``srfast.models.names()``, FILE.py:NAME, or a class or function that takes the scale and
            returns a module. Or a module, which is trained in place: it starts with its weights and ends with those of
            model.safetensors. Or a file of weights or the folder of a training, with whose weights a training of the
            same network starts. With ``resume``, None takes the run's; what is only in memory is passed again.
        data: Images and folders of them, or one core-set or score table: its path, a folder of its parts, or itself.
            With ``resume``, None takes the run's.
        output: Folder of the run, for last.pt, model.safetensors, log.csv and run.json, which holds these arguments.
        **options: settings

    Returns:
        The last step, its loss, the weights' path, and PSNR and SSIM if the model was evaluated.

    Raises:
        InputError: an argument is wrong, unknown or different from the resumed run's, there are no images, or the
            folder holds a run and ``resume`` is False.
        RunError: the loss is no longer finite, or a dependency is missing.
    """
    a = arguments.gather(model, data, output, resume, options)
    s, report = a.settings, say or (lambda line: None)
    threads = _take_threads(s.threads, report)
    plan = a.plan(s.steps or 1)
    recipe = plan.recipe
    store, left_out = open_store(
        a.data,
        s.scale,
        color=plan.color,
        patch=recipe.lr_patch * s.scale,
        quantise=recipe.quantise,
        factors=(1.0, *s.rescale),
        grow=s.grow,
        cache_bytes=s.cache_mb << 20,
        root=None if s.root is None else str(s.root),
        lr=LowRes.open(s.lr_images, s.lr_template) if s.lr_images else None,
        draws=Draws(Degradation.read(s.degradation), s.seed) if s.degradation else None,
        depth=s.depth,
    )
    if left_out:
        report(f"left out, since smaller than {recipe.lr_patch * s.scale} px: {left_out} image{'s' * (left_out != 1)}")
    if s.epochs is not None:
        samples = whole_dataset(a.data) if s.match_steps else store.patches
        plan = dataclasses.replace(plan, steps=steps_for_epochs(s.epochs, samples, recipe.batch))
        report(
            f"epochs: {s.epochs:g} x {samples} patches, a crop each, in batches of {recipe.batch}: {plan.steps} steps"
        )
        arguments.check_growth(a.planned, plan.steps, a.output)
    if a.planned is not None and plan.steps > a.planned:
        report(
            f"steps: {plan.steps} instead of {a.planned}; the schedule of the learning rate stretches over all of them"
        )

    def measure(net: torch.nn.Module) -> tuple[float, float]:
        data = cast(tuple[str, ...], s.eval_data)
        how: dict[str, Any] = {"degradation": s.degradation, "seed": s.seed} if s.degradation else {}
        if s.eval_lr_images:
            how = {"lr_images": s.eval_lr_images}
        protocol = s.eval_protocol or ("rgb" if s.depth == 16 else None)
        result = evaluate(net, data, scale=s.scale, protocol=protocol, window=s.eval_ssim, depth=s.depth, **how)
        return result.psnr, result.ssim

    initial = None
    if s.init and not (resume and (a.output / checkpoint.LAST).exists()):
        initial = initial_weights(str(s.init), plan.name, s.scale, dict(s.model_options))
    return loop.train(
        plan,
        store,
        a.output,
        resume=resume,
        initial=initial,
        evaluate=measure if s.eval_data else None,
        eval_every=s.eval_every,
        log_every=s.log_every,
        save_every=s.save_every,
        device=s.device,
        threads=threads,
        quiet=quiet,
        inputs=[Path(p) for p in [*(d for d in a.data if isinstance(d, str)), *([s.init] if s.init else [])]],
        data_name=", ".join(os.path.basename(d) if isinstance(d, str) else type(d).__name__ for d in a.data),
        settings=a.recorded(plan.steps),
    )


def _take_threads(requested: int | None, say: Callable[[str], None]) -> int:
    """Sets PyTorch's number of threads to the given one, or for None to the number of idle cores."""
    most = torch.get_num_threads()
    threads = requested or host.idle_threads()
    if threads < most and not requested:
        say(f"threads: {threads} of {most}, since other processes are busy; `threads` N takes N")
    torch.set_num_threads(threads)
    return threads
