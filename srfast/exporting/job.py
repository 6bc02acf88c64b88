"""The export of a core-set: planned, written into a folder beside the output, read back, and published."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from srfast.data.atomic import atomic_path
from srfast.data.files import PARTS
from srfast.data.provenance import MARK, kind_of
from srfast.data.run_folder import NAMES, RunFolder, check_folder_name, check_same, growing, made_of, tidy
from srfast.errors import InputError
from srfast.exporting.arrangement import Coreset, make_plan
from srfast.exporting.check import check_export
from srfast.exporting.encode import write
from srfast.exporting.existing import INDEX
from srfast.exporting.formats import FORMATS, find
from srfast.exporting.settings import ExportArguments
from srfast.exporting.snippets import snippets
from srfast.runtime.locks import LOCK, Lock
from srfast.runtime.progress import shown
from srfast.runtime.threads import default_threads
from srfast.scoring.table import write_parquet
from srfast.settings import documented, positional

KIND = "export"
_CHECKSUMS = {name: f"other {name}" for name in ("patches", "images", "columns")}
"""Settings whose values say nothing to a reader."""
_OURS = "|".join([
    *(known.paths for known in FORMATS.values()), r"\.?degradation\.parquet|patches\.parquet",
    *(re.escape(name) for known in FORMATS.values() for name in (*known.snippets, *known.hr_snippets)),
])  # fmt: skip
"""Paths that exports write."""
_PAIRS = re.compile(r"(HR|LRx[1-4])/([^/]+)\.[a-z]+")


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
    how = find(s.layout)
    plan = make_plan(coreset, s, how)
    done = Exported(Path(output), s.to, len(plan), len(set(plan.patches.image)), plan.scale, s.lr)
    threads = s.threads or default_threads()
    names = plan.names if how.files else ()
    with (
        workplace(Path(output), plan.settings, s.resume, names, how.paths) as (folder, run),
        shown(s.progress, "exporting", "patches") as progress,
    ):
        if s.sources:
            plan, done.linked = how.part("existing")(how, folder, plan, s.sources, finished=run is None)
        elif run is not None:
            done.linked = write(how, run, plan, threads, progress)
        done.snippets = snippets(how, Path(os.path.realpath(output)), plan, s.sources, tars=folder)
        if run is not None:
            for name, text in done.snippets.items():
                (folder / name).write_text(text, encoding="utf-8")
            if how.index:
                named = plan.table.append_column("name", pa.array(plan.names))
                write_parquet(folder / INDEX, [named], named.schema, plan.patches.meta)
        if s.check and how.reader is not None:
            done.compared = check_export(folder, plan, how.part("reader"), threads, compare_lr=not s.sources)
    return done


@contextmanager
def workplace(
    output: Path, settings: dict[str, Any], resume: bool, names: Iterable[str] = (), paths: str = ""
) -> Iterator[tuple[Path, RunFolder | None]]:
    """Yields the folder OUTPUT.parts, with its run; on success it becomes OUTPUT, new or empty, otherwise it stays for
    ``resume``.

    A finished export with the same settings (JSON values) is yielded itself, without a run. ``names`` are those of the
    files in HR and LRx2, without suffix, and ``paths`` is a regular expression of those that a format of an installed
    package writes.
    Raises InputError if OUTPUT or OUTPUT.parts holds something that must not be replaced, or was made with other
    settings, and RunError if the disk is full, or another run writes there now.
    """
    final = check_folder_name(output)
    if resume and kind_of(final) == KIND:
        if (existing := made_of(final)) is None:
            raise InputError(f"{output}: cannot be resumed: {MARK} in it cannot be read", hint="choose another output")
        _check_same(output, existing, settings)
        # Files that a run left in the export when it was killed after the rename.
        if (final / LOCK).exists():
            Lock.take(final / LOCK, output).release()
        tidy(final)
        yield final, None
        return
    with growing(output, KIND, _ours_in(final.with_name(final.name + PARTS), paths)) as run:
        known = made_of(run.path) if resume else None
        if known is None:
            run.clear()
            with atomic_path(run.path / NAMES) as temporary:
                temporary.write_text("".join(f"{name}\n" for name in names) + "\n", encoding="utf-8")
            run.mark(settings)
        else:
            _check_same(output, known, settings)
        yield run.path, run


def _ours_in(parts: Path, paths: str) -> Callable[[str], bool]:
    """Says of a path in the folder whether an export writes it."""
    try:
        names = set((parts / NAMES).read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        names = None

    def ours(name: str) -> bool:
        pair = _PAIRS.fullmatch(name)
        return bool(re.fullmatch(f"{_OURS}|{paths}", name)) or bool(pair and (names is None or pair[2] in names))

    return ours


def _check_same(output: Path, existing: dict[str, Any], settings: dict[str, Any]) -> None:
    way = "use the old value, or choose another output"
    check_same(output, existing, settings, done="begun", way=way, sums=_CHECKSUMS)
