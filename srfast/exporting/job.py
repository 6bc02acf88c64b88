"""The export itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, cast

import pyarrow as pa

from srfast.errors import InputError
from srfast.exporting.check import check_export
from srfast.exporting.encode import encoder
from srfast.exporting.existing import subset
from srfast.exporting.formats import FORMATS, Format
from srfast.exporting.listing import write_list
from srfast.exporting.plan import Plan, make_plan
from srfast.exporting.settings import SUBSETS, ExportArguments
from srfast.exporting.snippets import snippets
from srfast.exporting.stream import encoded
from srfast.exporting.workplace import Workplace, workplace
from srfast.exporting.writer import INDEX, shard_rows
from srfast.runtime.progress import Progress, shown
from srfast.runtime.threads import default_threads
from srfast.scoring.table import write_parquet
from srfast.settings import documented, positional

if TYPE_CHECKING:
    from srfast.coreset.selection import CoreSet
    from srfast.scoring.table import ScoreTable


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


Coreset: TypeAlias = "CoreSet | ScoreTable | pa.Table | str | Path"
P = ParamSpec("P")


class _Export(Protocol[P]):
    """``export`` as type checkers see it."""

    def __call__(
        self, coreset: Coreset, output: str | os.PathLike[str], *args: P.args, **kwargs: P.kwargs
    ) -> Exported: ...


def _typed(settings: Callable[P, ExportArguments]) -> Callable[[Callable[..., Exported]], _Export[P]]:
    return cast(Any, documented(cast(Any, settings)))


@_typed(ExportArguments)
def export(coreset: Coreset, output: str | os.PathLike[str], *given: Any, **options: Any) -> Exported:
    """Writes a core-set as files that a trainer reads; the pairs are those of ``CorePatches``.

    While it runs, what is finished lies in ``<output>.parts``, which becomes ``output`` when it is whole. Nothing of
    the dataset is moved or changed.

    Args:
        coreset: What ``srfast.select`` returns, an Arrow table, or the path of coreset.parquet.
        output: The folder to make; it must not exist, or be empty.
        **options: settings

    Returns:
        What was written, and the configuration for each trainer that reads it (also written into the folder).

    Raises:
        InputError: a wrong argument, an image that is missing or has changed since it was scored, an output that
            exists, or something to resume that was made with other settings.
        RunError: the disk is full, a package is missing, or the check failed.
    """
    s = ExportArguments.of(positional(given, ("to", "scale"), options))
    encoder(s.format)
    layout = "hf-embedded" if s.embed else s.to
    how = FORMATS.get(layout)
    shuffled = how is not None and how.shuffled
    plan = make_plan(coreset, s.scale, lr=s.lr, suffix=s.format, root=s.root, lr_root=s.lr_root, shuffled=shuffled)
    for column in () if how is None else how.columns:
        if column in plan.table.column_names:
            raise InputError(f"coreset: column {column!r}: {s.to} writes one of that name; rename it before the export")
    same: dict[str, Any] = {
        "to": layout, "scale": plan.scale, "lr": s.lr, "format": s.format, "patches": plan.digest()
    }  # fmt: skip
    if shuffled:
        same["shard"] = shard_rows(plan)
    existing = [Path(path) for path in (s.existing, s.existing_lr if s.lr else None) if path is not None]
    if existing:
        same["existing"] = [str(path) for path in existing]
    done = Exported(Path(output), s.to, len(plan), len(set(plan.patches.image)), plan.scale, s.lr)
    threads = s.threads or default_threads()
    names = plan.names if layout in ("folder", "basicsr", "hf") else ()
    with workplace(Path(output), same, s.resume, names) as place, shown(s.progress, "exporting", "patches") as progress:
        if how is None and not place.finished:
            write_list(place.folder, plan)
        if existing:
            plan = subset(s.to, place.folder, plan, existing[0], existing[1] if s.lr else None)
            done.linked = 0 if s.to == "list" else len(plan) if s.to != "lmdb" else len(existing)
        elif how is not None and not place.finished:
            done.linked = _write(how, plan, place, threads, progress)
        final = Path(os.path.realpath(output))
        done.snippets = snippets(layout, final, plan, existing if s.to == "list" else None, tars=place.folder)
        if not place.finished:
            _describe(place.folder, plan, done.snippets, index=s.to in SUBSETS and how is not None)
        if s.check and how is not None:
            done.compared = check_export(place.folder, plan, how.read, threads, compare_lr=not existing)
    return done


def _write(how: Format, plan: Plan, place: Workplace, threads: int, progress: Progress) -> int:
    total, before = len(plan.images), place.written
    images = sum(last <= before for _, last in plan.images)
    writer = how.write(place.folder, plan, before)
    with closing(writer), closing(encoded(plan, before, threads)) as batches:
        for pairs in batches:
            writer.add(pairs)
            place.note(writer.written)
            while images < total and plan.images[images][1] <= pairs[-1].row + 1:
                images += 1
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
