"""``srfast train``."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from srfast.cli.options import Aliased, emit, quiet, say
from srfast.errors import InputError


class LearningRate(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs of click 8.2 and later
    """A number; ``--lr`` of the other commands is a folder."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return float(value)
        except ValueError:
            raise InputError(
                f"--lr: expected a learning rate, got {value!r}; a folder of LR images is --lr-images"
            ) from None


class TrainCommand(click.Command):
    """Help that ends in the list of models, which is made when somebody asks for it."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from srfast.models.registry import describe, names
        from srfast.training.recipes import PAPER, recipe

        rows = []
        for name in names():
            r = recipe(name)
            about = f"{r.loss}, {r.optimizer} {r.lr:g} {r.schedule}, {r.batch} crops of {r.lr_patch} x {r.lr_patch}"
            about += f", ema {r.ema:g}" if r.ema else ""
            about += "; --recipe paper" if name in PAPER else ""
            rows.append((name, f"{describe(name).paper}: {about}"))
        with formatter.section("Models and their recipes at x2 (LR pixels)"):
            formatter.write_dl(rows)


@click.command("train", cls=TrainCommand, short_help="Train a super-resolution model on images or a core-set.")
@click.argument("model", required=False)
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    help="Images, folders of them, or one coreset.parquet; repeatable.",
)
@click.option("--root", metavar="DIR", help="The folder of a core-set's images, where they have moved since scoring.")
@click.option(
    "--lr-images",
    metavar="DIR",
    help="Folder of the LR images, where they exist already; else those of the core-set, or they are made.",
)
@click.option(
    "--lr-template", default="{}", show_default=True, help="Name of an LR image after its HR image's, such as {}x4."
)
@click.option("--scale", type=int, help="2, 3 or 4.  [default: that of a core-set, else 2]")
@click.option("--steps", type=int, help="Optimiser updates.")
@click.option(
    "--epochs",
    type=float,
    help="Passes over the data's patches, a crop each, instead of --steps: a smaller core-set gets fewer updates. "
    "Images count as the patches of a crop's size on their grid.",
)
@click.option(
    "--match-steps",
    is_flag=True,
    help="With --epochs: as many updates as so many passes over the dataset the core-set is from.",
)
@click.option("--batch", type=int, help="Crops in a step, over all processes [default: the model's recipe].")
@click.option("--lr-patch", type=int, help="Side of an LR crop in pixels [default: the model's recipe].")
@click.option(
    "-o",
    "--output",
    cls=Aliased,
    alias="--out",
    required=True,
    metavar="RUN",
    help="Folder of the run: last.pt, model.safetensors, log.csv, run.json.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in RUN, if there is one, with its own settings: MODEL, --data and the rest need not be "
    "given again, and --steps may grow.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--init",
    metavar="CKPT",
    help="Weights to start from, ours or the authors'; those of another scale as far as they fit.",
)
@click.option(
    "--option",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="A size of the model other than the paper's, such as blocks=8; repeatable.",
)
@click.option(
    "--rescale",
    metavar="F,F,...",
    help="Also train on copies of the images smaller by these factors, such as 0.9,0.8,0.7,0.6.",
)
@click.option(
    "--reselect-every",
    type=int,
    metavar="K",
    help="Score the patches of --data (scores.parquet or a core-set) again every K updates by the model in training.",
)
@click.option(
    "--reselect-keep", type=float, default=0.5, show_default=True, help="The fraction then trained on, the hardest."
)
@click.option(
    "--reselect-drop", type=float, default=0.05, show_default=True, help="The fraction left out first, the hardest."
)
@click.option(
    "--grow",
    type=int,
    default=0,
    metavar="N",
    help="HR pixels by which crops may leave the patches of a core-set; 0 keeps a crop of a patch's size in place.",
)
@click.option(
    "--recipe",
    type=click.Choice(["default", "paper"]),
    default="default",
    show_default=True,
    help="paper: the paper's own optimiser for srcnn, fsrcnn, drrn and idn.",
)
@click.option("--loss", type=click.Choice(["l1", "mse", "euclidean"]), help="[default: the model's recipe]")
@click.option("--loss-border", type=int, help="LR pixels at each side of a crop that the loss leaves out "
              "[default: the model's recipe].")  # fmt: skip
@click.option("--optimizer", type=click.Choice(["adam", "soap", "sgd"]), help="[default: the model's recipe]")
@click.option("--momentum", type=float, help="Of sgd [default: the model's recipe].")
@click.option("--weight-decay", type=float, help="Of adam and sgd [default: the model's recipe].")
@click.option("--clip", type=float, help="Largest norm of the gradient, 0 for none [default: the model's recipe].")
@click.option(
    "--lr-factor",
    "lr_factors",
    multiple=True,
    metavar="NAME=F",
    help="Learning-rate factor of the parameters whose name starts so, or fits (*.bias); 0 freezes them; repeatable.",
)
@click.option("--lr", type=LearningRate(), help="Learning rate at its highest [default: the model's recipe].")
@click.option("--schedule", type=click.Choice(["halving", "cosine"]), help="[default: the model's recipe]")
@click.option("--ema", type=float, help="Decay of the averaged weights, 0 for none [default: the model's recipe].")
@click.option(
    "--fp32-tail",
    type=float,
    help="Fraction of the steps, at the end, without autocast [default: the model's recipe].",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Autocast; weights stay fp32.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--threads",
    type=int,
    default=0,
    help="CPU threads of the model and of reading [default: one for each core that is idle].",
)
@click.option(
    "--cache-mb",
    type=int,
    default=2048,
    show_default=True,
    help="Decoded images kept in memory; beyond it they are read when drawn.",
)
@click.option("--eval-data", metavar="DIR", help="HR images to evaluate on.")
@click.option(
    "--eval-protocol", type=click.Choice(["classic", "rgb"]), help="[default: the model's, as in srfast eval]"
)
@click.option("--eval-ssim", type=click.Choice(["wang", "skimage"]), default="wang", show_default=True,
              help="Window of SSIM, as --ssim in srfast eval.")  # fmt: skip
@click.option("--eval-every", type=int, default=0, help="Steps between evaluations [default: at the end only].")
@click.option("--log-every", type=int, default=100, show_default=True)
@click.option("--save-every", type=int, default=1000, show_default=True, help="Steps between checkpoints.")
@click.option("-q", "--quiet", "silent", is_flag=True, help="Nothing on stderr but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print where the run ended as one JSON object on stdout.")
@click.pass_context
def command(
    ctx: click.Context, /, model: str | None, output: str, resume: bool, silent: bool, as_json: bool, **options: Any
) -> None:
    """Train MODEL on images or on a core-set.

    Steps are the unit: every schedule is a fraction of them. Ctrl-C leaves a checkpoint; `srfast train --resume -o RUN`
    continues it. Several GPUs or processes: torchrun --nproc-per-node N -m srfast train MODEL ...
    """
    import os

    from srfast.training import arguments

    given = {k: v for k, v in options.items() if ctx.get_parameter_source(k) is not ParameterSource.DEFAULT}
    for name, as_name, convert in (
        ("pairs", "model_options", _model_options), ("lr_factors", "lr_factors", _lr_factors),
        ("rescale", "rescale", _factors),
    ):  # fmt: skip
        if name in given:
            given[as_name] = convert(given.pop(name))
    data = given.pop("data", None)
    arguments.gather(model, data, output, resume, given)  # before anything heavy is loaded
    from srfast.workflows.training import train

    result = train(
        model,
        data,
        output,
        resume=resume,
        quiet=silent or quiet(),
        say=lambda line: None if silent else say(line),
        **given,
    )
    if int(os.environ.get("RANK", "0")):
        return
    if as_json:
        emit(
            {
                "output": output, "weights": str(result.weights), "step": result.step, "loss": result.loss,
                "psnr": result.psnr, "ssim": result.ssim, "seconds": result.seconds,
                "data_seconds": result.data_seconds,
            }
        )  # fmt: skip
        return
    if silent:
        return
    scores = f", PSNR {result.psnr:.2f} dB, SSIM {result.ssim:.4f}" if result.psnr is not None else ""
    waited = 100 * result.data_seconds / max(result.seconds, 1e-9)
    say(f"{result.step} steps, {result.seconds:.1f} s, {waited:.1f} % of it for data, loss {result.loss:.6g}{scores}")
    say(f"{result.weights}")


def _lr_factors(pairs: tuple[str, ...]) -> dict[str, float]:
    factors = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            factors[name] = float(value)
        except ValueError:
            name = ""
        if not name:
            raise InputError(f"lr-factor: expected NAME=NUMBER, such as deconv=0.1, got {pair!r}")
    return factors


def _model_options(pairs: tuple[str, ...]) -> dict[str, int | str]:
    values: dict[str, int | str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name.isidentifier() or not value:
            raise InputError(f"option: expected NAME=VALUE, such as blocks=8, got {pair!r}")
        values[name] = int(value) if value.isdigit() else value
    return values


def _factors(text: str | None) -> tuple[float, ...]:
    """Of the copies."""
    if not text:
        return ()
    try:
        factors = tuple(float(f) for f in text.split(","))
    except ValueError:
        raise InputError(f"rescale: expected numbers with commas between, such as 0.9,0.8, got {text!r}") from None
    if not all(0 < f < 1 for f in factors):
        raise InputError(f"rescale: expected factors between 0 and 1, got {text!r}")
    return factors
