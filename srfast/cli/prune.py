"""``srfast prune``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from srfast.cli import score as score_command
from srfast.cli import select as select_command
from srfast.cli.options import Grouped, emit, json_option, output_option, quiet, result, say, settings
from srfast.coreset.settings import listed
from srfast.workflows.settings import PruneArguments

GROUPS = {
    "What is written": ("output", "trainer", "preset", "as_json"),
    "What is left out": ("clean", "reject", "against"),
    "Patches": ("scale", "patch", "shrink", "quick", "lr_images"),
    "How much is kept": ("keep_loss", "keep", "max_per_image"),
    "The run": ("threads", "skip_bad"),
}


@click.command(cls=Grouped, groups=GROUPS, methods=listed)
@click.argument("images", nargs=-1, required=True, type=click.Path())
@settings(PruneArguments, "shard")
@output_option("Folder to write into.", folder=True)
@json_option()
@click.pass_context
def command(ctx: click.Context, /, images: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Decide which patches of IMAGES (files and folders) are worth training on, and say why.

    Degraded images and copies are left out, each image is taken at the sizes where it is sharp, and the hardest
    patches are kept that hold a fixed share of the error. Every option overrides its part of the decision.

    The command writes OUTPUT/scores.parquet, coreset.parquet and report.html, and audit.html, images.csv and
    rejects.csv to look at what is left out. When it is run again, it uses the scores that are already there.
    """
    given = {n: v for n, v in options.items() if ctx.get_parameter_source(n) is not ParameterSource.DEFAULT}
    run(images, Path(output), as_json, **given)


def run(images: tuple[str, ...], folder: Path, as_json: bool = False, **options: Any) -> Path:
    """Decides, writes and says what was decided, and returns the path of the report."""
    PruneArguments(**options)  # before anything heavy is imported
    from srfast.report.report import known
    from srfast.scoring.metadata import reduced
    from srfast.workflows.pruning import prune

    scores = str(folder / "scores.parquet")
    done = prune(
        images,
        folder,
        progress=not quiet(),
        scored=None if as_json else lambda s: score_command.report(s, scores, as_json=False),
        **options,
    )
    coreset = folder / "coreset.parquet"
    selection = done.coreset.meta["selection"]
    if as_json:
        emit(
            {
                "output": str(folder), "scores": scores, "coreset": str(coreset),
                "report": str(done.report), "patches": done.summary.patches, "kept": len(done.coreset),
                "skipped": done.summary.meta["skipped"], "small": done.summary.meta["small"],
                "passed_over": done.summary.meta.get("passed_over", {}), "reduced": reduced(done.summary.meta),
                "decision": done.decision and done.decision.as_dict(), "changed": done.changed,
                "configurations": list(map(str, done.configurations)),
            }
        )  # fmt: skip
        return done.report
    if done.decision is None:
        select_command.report(done.coreset, str(coreset), as_json=False)
    else:
        for sentence in done.decision.sentences[:2]:
            result(sentence)
        followed = selection["kept"] == done.decision.ratio.figures["kept"]
        result(done.decision.ratio.sentence if followed else _kept_in_words(selection))
        if selection["short"]:
            say(f"srfast: {selection['short']}")
        for sentence in done.changed:
            result(f"Since the last run: {sentence}")
        if followed:
            result(known(done.decision.as_dict()))
    if done.decision is not None and done.decision.left_out.figures["left_out"]:
        result(f"what was left out -> {done.audit}")
    if done.configurations:
        result(f"pairs -> {done.export}")
        result(f"configuration -> {done.configurations[0]} (degraded on the fly: {done.configurations[1]})")
        result("The choice is made on bicubic LR. In our study it gained nothing on average on degraded LR.")
    result(f"report -> {done.report}")
    if done.decision is not None and not done.configurations:
        pairs = shlex.quote(str(folder / "pairs"))
        result(f"next: srfast export {shlex.quote(str(coreset))} --to basicsr -o {pairs}")
    return done.report


def _kept_in_words(selection: dict[str, Any]) -> str:
    """What is kept if the options decide it."""
    held = selection["shares"]["loss"]
    error = "" if held is None else f", which hold {100 * held:.3g} % of the error"
    return f"As the options say, {selection['kept']:,} of {selection['passing']:,} patches are kept{error}."
