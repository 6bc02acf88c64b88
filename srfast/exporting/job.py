"""The export of a core-set."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from srfast.coreset.pairs import read_pair
from srfast.data.run_folder import RunFolder
from srfast.degradation import rows
from srfast.degradation.plan import Degradation, Draws
from srfast.errors import InputError
from srfast.exporting.arrangement import Arrangement, make_plan
from srfast.exporting.check import check_export
from srfast.exporting.existing import subset
from srfast.exporting.folder import write_list
from srfast.exporting.formats import Format, find
from srfast.exporting.settings import ExportArguments
from srfast.exporting.snippets import snippets
from srfast.exporting.stream import encoded
from srfast.exporting.workplace import workplace
from srfast.exporting.writer import INDEX, Writer, shard_rows
from srfast.runtime.progress import Progress, shown
from srfast.runtime.threads import default_threads
from srfast.scoring.table import write_parquet
from srfast.settings import check_same_size, documented, positional

if TYPE_CHECKING:
    from srfast.coreset.selection import CoreSet
    from srfast.scoring.table import ScoreTable


@dataclass
class Exported:
    """The result of an export."""

    path: Path
    to: str
    patches: int
    images: int
    scale: int
    lr: bool
    linked: int = 0
    """Number of HR files that are hard links to files of the dataset or of ``existing``; of ``existing`` databases,
    the number of databases."""
    compared: int = 0
    """Number of pairs that ``check`` compared with their source; with ``existing``, whose LR patches may be of any
    degradation, the number of HR patches."""
    snippets: dict[str, str] = field(default_factory=dict)
    """Configurations of trainers by the name of their file in ``path``."""


Coreset: TypeAlias = "CoreSet | ScoreTable | pa.Table | str | Path"


@documented(ExportArguments)
def export(coreset: Coreset, output: str | os.PathLike[str], *given: Any, **options: Any) -> Exported:
    """Writes a core-set as files that a trainer reads; the pairs are those of ``CorePatches``.

    During the export, finished files lie in ``<output>.parts``, which becomes ``output`` when it is complete. The files
    of the dataset are not moved or changed.

    Args:
        coreset: The result of ``srfast.select``, an Arrow table, or the path of coreset.parquet.
        output: The folder to make; it must not exist, or must be empty.
        **options: settings

    Returns:
        The numbers of patches and images, and the configuration for each trainer that reads the format, which is also
        written into the folder.

    Raises:
        InputError: an argument is wrong, an image is missing or has changed since it was scored, the output exists, or
            the export to resume was made with other settings, of images in another state or of other columns.
        RunError: the disk is full, a package is missing, or the check failed.
    """
    s = ExportArguments.of(positional(given, ("to", "scale"), options))
    layout = "hf-embedded" if s.embed else s.to
    how = find(layout)
    sources = [Path(path) for path in (s.existing, s.existing_lr if s.lr else None) if path]
    read = how.part("reader")
    shuffled = how.shuffled and not sources
    degradation = None if s.degradation is None else Draws(Degradation.read(s.degradation), s.seed)
    plan = make_plan(
        coreset, s.scale, lr=s.lr, suffix=s.format, root=s.root, lr_root=s.lr_root, shuffled=shuffled,
        degradation=degradation, draws=s.draws, depth=s.depth, channels=s.channels,
    )  # fmt: skip
    some = not s.lr or degradation is not None or s.existing_lr is not None or plan.patches.lr is not None
    check_same_size(plan.scale, some, "scores of `lr_images`, or `degradation`,")
    for column in how.columns:
        if column in plan.table.column_names:
            raise InputError(
                f"coreset: column {column!r}: {s.to} writes one of that name", hint="rename it before the export"
            )
    same: dict[str, Any] = {
        "to": layout, "scale": plan.scale, "lr": s.lr, "format": s.format, "patches": plan.digest(),
        "existing": [str(path) for path in sources] or None,
    }  # fmt: skip
    same |= {name: value for name, value in (("depth", s.depth), ("channels", s.channels)) if value not in (8, 3)}
    if degradation is not None:
        same["degradation"] = {**degradation.settings(), "draws": s.draws}
    if read is not None:
        meta = plan.patches.meta
        same["lr_images"] = [meta.get("lr"), meta.get("lr_template") or "{}"] if plan.patches.lr else None
        same["images"], same["columns"] = plan.images_digest(), plan.columns_digest()
    if shuffled:
        same["shard"] = shard_rows(plan)
    done = Exported(Path(output), s.to, len(plan), len(set(plan.patches.image)), plan.scale, s.lr)
    threads = s.threads or default_threads()
    names = plan.names if how.files else ()
    with (
        workplace(Path(output), same, s.resume, names, how.paths) as (folder, run),
        shown(s.progress, "exporting", "patches") as progress,
    ):
        if sources:
            plan, done.linked = _subset(s.to, folder, run is None, plan, sources)
        elif run is not None:
            done.linked = _write(how, run, plan, threads, progress)
        final = Path(os.path.realpath(output))
        listed = sources if s.to == "list" else []
        done.snippets = snippets(how, final, plan, listed or None, tars=folder)
        if run is not None:
            for name, text in done.snippets.items():
                (folder / name).write_text(text, encoding="utf-8")
            if degradation is not None:
                hidden = "." if s.to == "hf" else ""
                _write_draws(folder / f"{hidden}{rows.NAME}", plan, degradation, s.draws)
            if how.index:
                named = plan.table.append_column("name", pa.array(plan.names))
                write_parquet(folder / INDEX, [named], named.schema, plan.patches.meta)
        if s.check and read is not None:
            done.compared = check_export(folder, plan, read, threads, compare_lr=not sources)
    return done


def _write(how: Format, run: RunFolder, plan: Arrangement, threads: int, progress: Progress) -> int:
    """Writes what is not finished yet, and returns the number of links."""
    total = len(plan.images)
    writer: Writer = how.part("writer")(run.path, plan, run.rows)
    with closing(writer):
        before = writer.written
        images = sum(last <= before for _, last in plan.images)
        if how.pixels:
            with closing(encoded(plan, before, threads)) as batches:
                for pairs in batches:
                    writer.add(pairs)
                    run.rows = writer.written
                    while images < total and plan.images[images][1] <= pairs[-1].row + 1:
                        images += 1
                    progress(images, total, pairs[-1].row + 1 - before)
        writer.finish()
    return int(getattr(writer, "linked", 0))


def _subset(to: str, folder: Path, finished: bool, plan: Arrangement, sources: list[Path]) -> tuple[Arrangement, int]:
    """Links and lists existing patches; returns the plan with their names, and the number of links."""
    hr, *lr = sources
    if to == "list" and not finished:
        write_list(folder, plan)
    plan = subset(to, folder, plan, hr, lr[0] if lr else None)
    return plan, {"list": 0, "lmdb": len(sources)}.get(to, len(plan))


def _write_draws(path: Path, plan: Arrangement, degradation: Draws, draws: int) -> None:
    """Writes degradation.parquet; images that an interrupted run has finished are read again. (Hugging Face's loader
    would take it for patches, and skips hidden files.)"""
    p = plan.patches
    for first, _ in plan.images:
        if first not in plan.drawn:
            pair = p.source(p.image[first], float(p.factor[first]))
            read_pair(pair, plan.scale, draw=p.draw_of(first), note=plan.noting(first))
    table = rows.table([row for first, _ in plan.images for row in plan.drawn[first]])
    write_parquet(path, [table], rows.SCHEMA, {**rows.metadata(degradation, plan.scale), "draws": draws})
