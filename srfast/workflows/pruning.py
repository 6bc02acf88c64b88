"""From images to a core-set and its report in one call, as the decision on the pool says (``recommendation``)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from srfast.coreset.rejects import REASONS, known_defects, marked
from srfast.coreset.selection import CoreSet, select
from srfast.coreset.settings import Selection
from srfast.data.atomic import checksum
from srfast.data.files import output_file, output_folder
from srfast.errors import InputError
from srfast.exporting.job import export
from srfast.exporting.snippets import CONFIGURATIONS, configurations
from srfast.report.verdict_page import audit_page
from srfast.report.writing import write_page, write_report
from srfast.scoring.metadata import read_meta
from srfast.scoring.notebook import html_of_rows
from srfast.scoring.pipeline import Images, Summary, write_scores
from srfast.scoring.rows import coded
from srfast.scoring.table import ScoreTable
from srfast.settings import documented, named
from srfast.workflows.recommendation import Recommendation, decide, statistics
from srfast.workflows.settings import PruneArguments
from srfast.workflows.verdicts import MARKED, Verdict, follow, judge, list_of, of_ours, reject_copies, write_lists

FILES = {"scores.parquet": "score table", "coreset.parquet": "core-set", "report.html": "report"}
DECIDED = {**FILES, "audit.html": "audit", "images.csv": "verdicts", MARKED: "rejects"}
"""The files that are written when srfast decides; ``rejects.csv``, which a person may edit, comes with them."""


@dataclass(frozen=True)
class Pruned:
    """The result of ``prune``."""

    folder: Path
    summary: Summary
    """Summary of the scores."""
    coreset: CoreSet
    decision: Recommendation | None = None
    """The decision and its reasons; None with ``preset`` paper."""
    changed: list[str] = field(default_factory=list)
    """The differences from the decision before, in sentences."""
    rejects: Path | None = None
    """The list of what is left out, which is followed; None if nothing is listed."""
    export: Path | None = None
    """Folder of the pairs, with ``trainer``."""
    configurations: list[Path] = field(default_factory=list)
    """The trainer's configurations, with ``trainer``: for the pairs, and for degradation on the fly."""

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def audit(self) -> Path:
        return self.folder / "audit.html"

    def _repr_html_(self) -> str:
        decided = self.decision.sentences if self.decision else []
        written = f"{self.report} shows the choice" + (f", {self.audit} what is left out" if self.decision else "")
        return html_of_rows(repr(self.coreset), self.coreset, [*decided, *self.changed, f"{written}."])


@documented(PruneArguments)
def prune(images: Images, output: str | os.PathLike[str], **options: Any) -> Pruned:
    """Decides what of a set of images is worth training on, and writes it, as ``srfast prune`` does.

    Images with defects, copies and, with ``against``, test images are left out; each image is taken at the sizes
    at which it is sharp; the hardest patches are kept that hold a fixed share of the error
    (``srfast.recommend``). Every argument that is given overrides its part of the decision.

    Args:
        images: Files and folders, as for ``srfast.score``.
        output: Folder for scores.parquet, coreset.parquet, report.html, audit.html, images.csv and rejects.csv. Each
            file appears whole or not at all. Existing scores of the same images and settings are used again, and an
            edited rejects.csv is followed.
        **options: settings

    Returns:
        The folder, the summary of the scores, the core-set, the decision and the path of the report.

    Raises:
        InputError: ``srfast.score`` or ``srfast.select`` would raise it, an argument is one of neither, or nothing is
            left of the images.
        RunError: the backend cannot be used, or the disk is full.
    """
    given = named(options, list(PruneArguments.__dataclass_fields__))
    settings = PruneArguments(**given)
    scoring = settings.scoring(given)
    folder = Path(output)
    inputs = [images] if isinstance(images, (str, os.PathLike)) else list(images)
    files = DECIDED if settings.decides else FILES
    configured = dict.fromkeys(CONFIGURATIONS.get(settings.trainer or "", ()), "configuration")
    with output_folder(folder, "prune", inputs, {**files, **configured}):
        before = _before(folder / "coreset.parquet")
        summary = write_scores(inputs, folder / "scores.parquet", scoring)
        if settings.scored:
            settings.scored(summary)
        table = ScoreTable.read(folder / "scores.parquet")
        mine = {n: v for n, v in given.items() if n in Selection.__dataclass_fields__ and n != "clean"}
        if settings.decides:
            done = _decided(table, folder, settings, mine, summary)
        else:
            done = Pruned(folder, summary, select(table, **{**mine, "clean": bool(settings.clean)}))
        done.coreset.write(folder / "coreset.parquet")
        write_report(table, done.coreset, folder / "report.html", source=[str(folder / "scores.parquet")])
    done = replace(done, changed=_changed(before, done.coreset.meta))
    return done if settings.trainer is None else _exported(done, settings.trainer)


def _decided(
    table: ScoreTable, folder: Path, settings: PruneArguments, mine: Mapping[str, Any], summary: Summary
) -> Pruned:
    """Judges the images, decides, and selects; the audit's page and lists are written on the way."""
    judged = known_defects(table.columns) and settings.clean is not False
    verdicts = judge(table)
    if not judged:
        _follow(verdicts, ())
    reject_copies(verdicts, Path(table.meta["root"]), settings.against, copies=settings.clean is not False)
    listed = mine.get("reject") or _edited(folder)
    if listed is None:
        reasons = {**(marked(table, True, None) if judged else {}), **_copies(table, verdicts)}
        pool = statistics(table, reasons, judged)
        if pool.overruled:
            _follow(verdicts, tuple(REASONS))
        rejects = write_lists(folder, verdicts, table)
    else:
        rejects = Path(listed)
        pool = statistics(table, _listed(table, rejects), True)
        follow(verdicts, rejects)
        write_lists(folder, verdicts, table)
    write_page(audit_page(verdicts, table, Path(table.meta["root"]), list_of(verdicts, table)), folder / "audit.html")
    # The list is named as it lies beside the core-set.
    name = rejects.name if rejects.parent == folder else str(rejects)
    decision = decide(pool, {"reject": name})
    chosen = select(table, **{**_merged_settings(decision, mine), "reject": rejects})
    chosen.meta["selection"]["reject"] = name
    chosen.meta["decision"] = decision.as_dict()
    return Pruned(folder, summary, chosen, decision, rejects=rejects)


def _merged_settings(decision: Recommendation, mine: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the selection: the decision's, of which those that are given override their part."""
    advised = dict(decision.selection)
    if any(mine.get(name) is not None for name in ("keep", "keep_loss", "window")):
        advised = {n: v for n, v in advised.items() if n not in ("keep", "keep_loss")}
    elif mine.get("flat_floor") or mine.get("method", "loss") in ("stratified", "hdc", "diverse"):
        # Methods that depend on the number of patches take the share that the decision comes to.
        advised = {n: v for n, v in advised.items() if n != "keep_loss"} | {"keep": decision.ratio.figures["share"]}
    if mine.get("one_size"):
        advised.pop("sizes", None)
    return {**advised, **mine}


def _follow(verdicts: Mapping[str, Verdict], limits: tuple[str, ...]) -> None:
    """Takes back every verdict of a limit, except for these reasons."""
    for verdict in verdicts.values():
        verdict.out, verdict.patches = {}, {}
        if verdict.verdict == "reject" and "small" not in verdict.reasons and not set(limits) & set(verdict.reasons):
            verdict.verdict, verdict.reasons = "keep", []


def _copies(table: ScoreTable, verdicts: Mapping[str, Verdict]) -> dict[str, np.ndarray]:
    """By reason that is no limit, the rows of the images that are left out for it."""
    names, image = coded(table.table.column("image"))
    return {reason: np.array([reason in verdicts[name].reasons for name in names])[image] for reason in REASONS}


def _listed(table: ScoreTable, path: Path) -> dict[str, np.ndarray]:
    """By the first reason of an entry, the rows that a list leaves out."""
    by_reason: dict[str, np.ndarray] = {}
    for reason, rows in marked(table, False, path).items():
        first = reason.partition(";")[0]
        by_reason[first] = by_reason.get(first, False) | rows
    return by_reason


def _edited(folder: Path) -> Path | None:
    """The list in the folder, if somebody has edited it since it was written."""
    path = folder / "rejects.csv"
    return path if path.exists() and checksum(path) not in of_ours(folder) else None


def _before(path: Path) -> dict[str, Any]:
    """The metadata of the existing core-set; empty if there is none."""
    try:
        return read_meta(path) if path.is_file() else {}
    except InputError:
        return {}


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The differences from an earlier decision on this folder, in sentences."""
    was, is_now = before.get("decision"), now.get("decision")
    if not was or not is_now:
        return []
    new, gone = (len(set(a["images"]) - set(b["images"])) for a, b in ((now, before), (before, now)))
    sentences = [f"{new:,} images are new and {gone:,} are gone; other scores were used again."] if new or gone else []
    for part, name, what in (
        ("left_out", "left_out", "images were left out"), ("sizes", "taken_smaller", "images were taken smaller"),
        ("ratio", "kept", "patches were kept"),
    ):  # fmt: skip
        a, b = (decision[part]["figures"][name] for decision in (was, is_now))
        sentences += [f"{a:,} {what}, {b:,} are now."] * (a != b)
    return sentences


def _exported(done: Pruned, trainer: str) -> Pruned:
    """Writes the pairs and the whole configurations of a trainer."""
    made = export(done.coreset, done.folder / "pairs", to="folder", resume=True)
    size = int(done.coreset.column("size").min())
    texts = configurations(trainer, made.path.resolve(), made.scale, size, made.patches)
    for name, text in texts.items():
        with output_file(done.folder / name, "configuration") as temporary:
            temporary.write_text(text, encoding="utf-8")
    return replace(done, export=made.path, configurations=[done.folder / name for name in texts])
