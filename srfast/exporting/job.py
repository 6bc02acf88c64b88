"""The export itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, cast

import pyarrow as pa

from srfast.errors import InputError
from srfast.exporting.check import check_export
from srfast.exporting.encode import encoder
from srfast.exporting.formats import format_of
from srfast.exporting.plan import Plan, make_plan
from srfast.exporting.settings import ExportArguments
from srfast.exporting.snippets import snippets
from srfast.exporting.workplace import workplace
from srfast.exporting.writer import INDEX, shard_rows
from srfast.runtime.progress import shown
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
    layout, how = format_of(s)
    plan = make_plan(coreset, s.scale, lr=s.lr, suffix=s.format, root=s.root, lr_root=s.lr_root, shuffled=how.shuffled)
    for column in how.columns:
        if column in plan.table.column_names:
            raise InputError(f"coreset: column {column!r}: {s.to} writes one of that name; rename it before the export")
    same: dict[str, Any] = {
        "to": layout, "scale": plan.scale, "lr": s.lr, "format": s.format, "patches": plan.digest()
    }  # fmt: skip
    if how.shuffled:
        same["shard"] = shard_rows(plan)
    if how.sources:
        same["existing"] = [str(path) for path in how.sources]
    done = Exported(Path(output), s.to, len(plan), len(set(plan.patches.image)), plan.scale, s.lr)
    threads = s.threads or default_threads()
    names = plan.names if how.files else ()
    with workplace(Path(output), same, s.resume, names) as place, shown(s.progress, "exporting", "patches") as progress:
        plan, done.linked = how.write(place, plan, threads, progress)
        final = Path(os.path.realpath(output))
        listed = how.sources if s.to == "list" else []
        done.snippets = snippets(layout, final, plan, listed or None, tars=place.folder)
        if not place.finished:
            _describe(place.folder, plan, done.snippets, index=how.index)
        if s.check and how.read is not None:
            done.compared = check_export(place.folder, plan, how.read, threads, compare_lr=not how.sources)
    return done


def _describe(folder: Path, plan: Plan, texts: dict[str, str], *, index: bool) -> None:
    """What lies beside the data: the trainers' configurations, and where each patch comes from."""
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    if index:
        named = plan.table.append_column("name", pa.array(plan.names))
        write_parquet(folder / INDEX, [named], named.schema, plan.patches.meta)
