"""The export itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from srfast.coreset.export.check import check_export
from srfast.coreset.export.encode import encoder
from srfast.coreset.export.formats import FORMATS, Format
from srfast.coreset.export.listing import write_list
from srfast.coreset.export.plan import Plan, make_plan
from srfast.coreset.export.settings import TARGETS, Encoding, Target
from srfast.coreset.export.snippets import snippets
from srfast.coreset.export.stream import encoded
from srfast.coreset.export.workplace import Workplace, workplace
from srfast.coreset.export.writer import shard_rows
from srfast.data.threads import default_threads
from srfast.errors import InputError
from srfast.scoring.settings import Scale

if TYPE_CHECKING:
    from srfast.coreset.selection import CoreSet
    from srfast.scoring.table import ScoreTable

Progress = Callable[[int, int, int], None]
"""Called with (images done, images in all, patches written by this run)."""


@dataclass
class Exported:
    """What an export holds."""

    path: Path
    to: str
    patches: int
    images: int
    scale: int
    lr: bool
    linked: int = 0
    """HR files that are hard links to files of the dataset."""
    compared: int = 0
    """Pairs that ``check`` compared with their source."""
    snippets: dict[str, str] = field(default_factory=dict)
    """Configurations of trainers: file name in ``path`` -> text."""


def export(
    coreset: CoreSet | ScoreTable | pa.Table | str | Path,
    output: str | os.PathLike[str],
    to: Target = "folder",
    scale: Scale | None = None,
    *,
    lr: bool = True,
    format: Encoding = "png",
    embed: bool = False,
    root: str | Path | None = None,
    workers: int | None = None,
    check: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Writes a core-set as files that a trainer reads; the pairs are those of ``CorePatches``.

    While it runs, what is finished lies in ``<output>.parts``, which becomes ``output`` when it is whole. Nothing of
    the dataset is moved or changed.

    Args:
        coreset: What ``srfast.select`` returns, an Arrow table, or the path of coreset.parquet.
        output: The folder to make; it must not exist, or be empty.
        to: "folder" (HR/ and LRx2/ with the same names: KAIR, traiNNer-redux, neosr, BasicSR), "basicsr" (the same and
            meta_info.txt), "lmdb" (HR.lmdb/ and LRx2.lmdb/: BasicSR, neosr), "hf" (an imagefolder with
            metadata.parquet: Hugging Face datasets), "webdataset" (numbered .tar shards) or "list" (coreset.txt, no
            images).
        scale: 2, 3 or 4, a divisor of the patches' grid; None takes that of the scores.
        lr: Whether LR patches are written, or HR ones only.
        format: "png" or "webp" (lossless).
        embed: With "hf": the images inside parquet files.
        root: The image folder, if it has moved since scoring.
        workers: Threads; None takes one a core.
        check: Read everything back the way the trainer does, and compare a sample with its source, before the export
            appears.
        resume: Continue an interrupted export with the same settings.
        progress: Called after every few patches.

    Returns:
        What was written, and the configuration for each trainer that reads it (also written into the folder).

    Raises:
        InputError: a wrong argument, an image that is missing or has changed since it was scored, an output that
            exists, or something to resume that was made with other settings. RunError: the disk is full, a package is
            missing, or the check failed.
    """
    if to not in TARGETS:
        raise InputError(f"to: expected one of {', '.join(TARGETS)}, got {to!r}")
    if embed and to != "hf":
        raise InputError(f"embed: expected to = 'hf' with it, got {to!r}")
    if not isinstance(lr, bool):
        raise InputError(f"lr: expected True or False, got {lr!r}")
    if workers is not None and workers < 1:
        raise InputError(f"workers: expected at least 1, got {workers}")
    encoder(format)
    layout = "hf-embedded" if embed else to
    how = FORMATS.get(layout)
    plan = make_plan(coreset, scale, lr=lr, suffix=format, root=root, shuffled=how is not None and how.shuffled)
    settings = {"to": layout, "scale": plan.scale, "lr": lr, "format": format, "patches": plan.digest()}
    if how is not None and how.shuffled:
        settings["shard"] = shard_rows(plan)
    done = Exported(Path(output), to, len(plan), len(plan.images), plan.scale, lr)
    workers = workers or default_threads()
    with workplace(Path(output), settings, resume) as place:
        if how is None:
            write_list(place.folder, plan)
        elif not place.finished:
            done.linked = _write(how, plan, place, workers, progress)
        done.snippets = _describe(layout, Path(os.path.realpath(output)), place, plan)
        if check and how is not None:
            done.compared = check_export(place.folder, plan, how.read, workers)
    return done


def _write(how: Format, plan: Plan, place: Workplace, workers: int, progress: Progress | None) -> int:
    total, before = len(plan.images), place.written
    images = sum(last <= before for _, last in plan.images)
    writer = how.write(place.folder, plan, before)
    with closing(writer), closing(encoded(plan, before, workers)) as batches:
        for pairs in batches:
            writer.add(pairs)
            place.note(writer.written)
            while images < total and plan.images[images][1] <= pairs[-1].row + 1:
                images += 1
            if progress:
                progress(images, total, pairs[-1].row + 1 - before)
        writer.finish()
    return int(getattr(writer, "linked", 0))


def _describe(layout: str, final: Path, place: Workplace, plan: Plan) -> dict[str, Any]:
    """The trainers' configurations, written beside the data."""
    texts = snippets(layout, final, plan)
    for name, text in texts.items():
        (place.folder / name).write_text(text, encoding="utf-8")
    return texts
