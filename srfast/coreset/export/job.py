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
from srfast.coreset.export.existing import TARGETS as SUBSETS
from srfast.coreset.export.existing import subset
from srfast.coreset.export.formats import FORMATS, Format
from srfast.coreset.export.listing import write_list
from srfast.coreset.export.plan import Plan, make_plan
from srfast.coreset.export.settings import TARGETS, Encoding, Target
from srfast.coreset.export.snippets import snippets
from srfast.coreset.export.stream import encoded
from srfast.coreset.export.workplace import Workplace, workplace
from srfast.coreset.export.writer import INDEX, shard_rows
from srfast.data.threads import default_threads
from srfast.errors import InputError
from srfast.scoring.settings import Scale
from srfast.scoring.table import write_parquet

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
    lr_root: str | Path | None = None,
    existing: str | Path | None = None,
    existing_lr: str | Path | None = None,
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
        lr_root: The folder of the LR images that were scored, if it has moved.
        existing: An LMDB (to "lmdb") or a folder (to "folder", "basicsr", "list") that holds the core-set's HR patches
            as files already, made by srfast or as BasicSR's sub-images, each of them an image of its own: nothing is
            encoded or copied, but hard-linked and listed in a filtered meta_info.txt.
        existing_lr: The same for the LR patches, which need not be those of ``CorePatches``.
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
    given = _existing(to, lr, existing, existing_lr)
    encoder(format)
    layout = "hf-embedded" if embed else to
    how = FORMATS.get(layout)
    shuffled = how is not None and how.shuffled
    plan = make_plan(coreset, scale, lr=lr, suffix=format, root=root, lr_root=lr_root, shuffled=shuffled)
    for column in () if how is None else how.columns:
        if column in plan.table.column_names:
            raise InputError(f"coreset: column {column!r}: {to} writes one of that name; rename it before the export")
    settings: dict[str, Any] = {"to": layout, "scale": plan.scale, "lr": lr, "format": format, "patches": plan.digest()}
    if shuffled:
        settings["shard"] = shard_rows(plan)
    if given:
        settings["existing"] = [str(path) for path in given]
    done = Exported(Path(output), to, len(plan), len(plan.images), plan.scale, lr)
    workers = workers or default_threads()
    with workplace(Path(output), settings, resume) as place:
        if how is None and not place.finished:
            write_list(place.folder, plan)
        if given:
            plan = subset(to, place.folder, plan, given[0], given[1] if lr else None)
            done.linked = 0 if to == "list" else len(plan) if to != "lmdb" else len(given)
        elif how is not None and not place.finished:
            done.linked = _write(how, plan, place, workers, progress)
        final = Path(os.path.realpath(output))
        done.snippets = snippets(layout, final, plan, given if to == "list" else None, tars=place.folder)
        if not place.finished:
            _describe(place.folder, plan, done.snippets, index=to in SUBSETS and how is not None)
        if check and how is not None:
            done.compared = check_export(place.folder, plan, how.read, workers, compare_lr=not given)
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


def _describe(folder: Path, plan: Plan, texts: dict[str, str], *, index: bool) -> None:
    """What lies beside the data: the trainers' configurations, and where each patch comes from."""
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    if index:
        named = plan.table.append_column("name", pa.array(plan.names))
        write_parquet(folder / INDEX, [named], named.schema, plan.patches.meta)


def _existing(to: str, lr: bool, hr: str | Path | None, low: str | Path | None) -> list[Path]:
    if hr is None:
        if low is not None:
            raise InputError("existing_lr: expected existing with it, got none")
        return []
    if to not in SUBSETS:
        raise InputError(f"existing: expected to = one of {', '.join(SUBSETS)} with it, got {to!r}")
    if lr and low is None:
        raise InputError("existing_lr: expected where the LR patches are, or lr = no")
    return [Path(os.path.abspath(path)) for path in (hr, low if lr else None) if path is not None]
