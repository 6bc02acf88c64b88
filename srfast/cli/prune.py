"""``srfast prune``, and the steps that it takes: ``score`` and ``select``."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from srfast.cli.options import Grouped, answer, emit, json_option, output_option, quiet, result, say, settings
from srfast.coreset.settings import SelectArguments, listed
from srfast.report.content import count
from srfast.scoring.settings import ScoreArguments
from srfast.workflows.settings import PruneArguments

log = logging.getLogger(__name__)
PRUNE = {
    "What is written": ("output", "trainer", "preset", "as_json"),
    "What is left out": ("clean", "reject", "against"),
    "Patches": ("scale", "patch", "shrink", "quick", "lr_images"),
    "How much is kept": ("keep_loss", "keep", "max_per_image"),
    "The run": ("threads", "skip_bad"),
}
SCORE = {
    "Patches": ("scale", "patch", "stride", "mode", "shrink", "lr_images"),
    "Scores": ("scorer", "defects", "precision"),
    "The run": ("output", "resume", "skip_bad", "threads", "device", "shard", "as_json"),
}
SELECT = {
    "How much is kept": ("keep", "keep_loss", "max_per_image", "nms"),
    "Which patches": ("method", "order", "drop_hardest", "target", "sizes", "one_size"),
    "What is left out": ("clean", "reject", "where"),
    "The run": ("output", "seed", "as_json"),
}


@click.command(cls=Grouped, groups=PRUNE, methods=listed)
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
        scored=None if as_json else lambda s: report_scores(s, scores, as_json=False),
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
        loss = done.coreset.column("loss")
        report_selection(selection, float(loss.min()), float(loss.max()), str(coreset), as_json=False)
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


@click.command(cls=Grouped, groups=SCORE)
@click.argument("images", nargs=-1, required=True, type=click.Path())
@settings(ScoreArguments, output={"short": ["-o"], "required": True, "metavar": "OUTPUT"})
@json_option()
def score(images: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Score every patch of IMAGES (files and folders) and write one table.

    During the run, finished parts lie in OUTPUT.parts; after a crash, --resume continues from them.
    """
    settings = ScoreArguments(**options, progress=not quiet())
    from srfast.scoring.pipeline import write_scores

    report_scores(write_scores(images, output, settings), output, as_json)


def report_scores(summary: Any, output: str, as_json: bool) -> None:
    """Prints what was scored, for a person or for a program."""
    meta, n = summary.meta, summary.patches
    skipped, small = meta["skipped"], meta["small"]
    for entry in skipped:
        say(f"srfast: skipped {entry['reason']}")
    for entry in small[:5]:
        size = f"{entry['width']} x {entry['height']}" + (f" at {entry['shrink']}" if "shrink" in entry else "")
        say(f"srfast: {entry['image']} is {size}, smaller than the patch of {meta['patch']} pixels")
    several = any("shrink" in entry for entry in small)
    if len(small) > 5:
        say(f"srfast: {len(small) - 5} more {'sizes of images' if several else 'images'} are smaller than the patch")
    from srfast.scoring.metadata import reduced

    known = ("scale", "patch", "stride", "mode", "scorer", "backend", "precision")
    lowest, mean, highest = (summary.lowest, summary.total / n, summary.highest) if n else (None, None, None)
    data = {
        "output": output, "patches": n, "images": len(meta["images"]), "skipped": skipped, "small": small,
        "passed_over": meta.get("passed_over", {}), "reduced": reduced(meta), **{name: meta[name] for name in known},
        "shrink": meta.get("shrink", ["1"]), "loss": {"min": lowest, "mean": mean, "max": highest},
    }  # fmt: skip
    answer(as_json, data, f"{count(n, 'patch')} of {count(len(meta['images']), 'image')} -> {output}")


@click.command(cls=Grouped, groups=SELECT, methods=listed)
@click.argument("scores", nargs=-1, required=True, type=click.Path())
@output_option("Core-set to write, such as coreset.parquet.")
@settings(SelectArguments)
@json_option()
def select(scores: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Select a core-set from SCORES: one score table (a file or a folder of parts), or all shards of one."""
    settings = SelectArguments(**options, progress=not quiet())  # before anything heavy is imported
    from srfast.coreset.selection import write_selection

    report_selection(*write_selection(scores, output, settings), output, as_json)


def report_selection(selection: dict[str, Any], lowest: float, highest: float, output: str, as_json: bool) -> None:
    """Prints what was selected, for a person or for a program."""
    if "rejected" in selection:
        counts = ", ".join(f"{reason} {n:,}" for reason, n in selection["rejected"].items()) or "nothing"
        say(f"srfast: left out: {counts} (patches; one may have several reasons)")
    if "cleaned" in selection:
        log.info('--clean is --where "%s"', selection["cleaned"])
    if selection["short"]:
        say(f"srfast: {selection['short']}")
    if "larger" in selection:
        larger = selection["larger"]
        say(f"srfast: {larger['larger']:,} of {larger['images']:,} images were larger than their detail")
    held = selection["shares"]["loss"]
    span = f"loss {lowest:.4g} to {highest:.4g}" + ("" if held is None else f", {100 * held:.3g} % of the error")
    answer(
        as_json,
        {"output": output, **selection, "loss": {"min": lowest, "max": highest}},
        f"{selection['kept']:,} of {selection['patches']:,} patches kept, {span} -> {output}",
    )
