"""The content of a folder of parts: files that no run of srfast wrote are not read, replaced or removed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from srfast.data import provenance
from srfast.data.files import check_folder_name, check_replaceable
from srfast.data.scratch import TEMPORARY
from srfast.data.wording import no_folder
from srfast.errors import InputError, RunError
from srfast.runtime.locks import LOCK, is_lock

KIND = "scoring parts"
"""Kind of a folder of parts until it becomes a table."""
_PART = re.compile(r"part-\d{8,}(-[0-9a-f]{8})?\.parquet")
_OLD_LOCK = "lock"
"""The lock file of version 0.1.0."""
REPLACED = ".srfast-replaced"
"""Marks a folder that another table has replaced, or is about to replace; it is no longer needed."""


def check_table_folder(folder: Path, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Checks that a score table may be written as this folder: a new or empty one, or an earlier table.

    Raises:
        InputError: it may not.
    """
    check_folder_name(folder)
    name, folder = folder, Path(os.path.realpath(folder))
    check_replaceable(name, folder)
    if not folder.parent.is_dir():
        raise InputError(f"{folder}: expected a folder in an existing folder; {no_folder(folder.parent)}")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of parts to write; a file is there")
    if any(folder in Path(item).parents for item in inputs):
        raise InputError(f"{folder}: is an input of this run; choose another output")
    if any(folder.iterdir()) and provenance.kind_of(folder) != "score table":
        raise InputError(f"{folder}: holds files and is not a score table of srfast; choose a new or an empty folder")
    check_folder(folder)


def check_folder(folder: Path) -> None:
    """Checks, by content, that a folder of parts holds only files that runs of srfast wrote.

    Raises:
        InputError: it holds another file.
    """
    if (foreign := _foreign_in(folder)) is not None:
        raise InputError(f"{folder}: holds {foreign}, which srfast did not write; choose another output")


def check_grown(folder: Path) -> None:
    """Checks that nothing else has come into a folder of parts that is about to become a table.

    Raises:
        RunError: something has.
    """
    if (foreign := _foreign_in(folder)) is not None:
        raise RunError(
            f"{folder}: holds {foreign}, which srfast did not write; move it away and continue with --resume"
        )


def _foreign_in(folder: Path) -> str | None:
    """The first name in a folder of parts that no run of srfast wrote; None if there is none."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return next((n for n in names if not _is_ours(folder / n)), None)


def _is_ours(path: Path) -> bool:
    if path.name in (LOCK, _OLD_LOCK):
        return is_lock(path)
    if path.name in (provenance.MARK, REPLACED) or TEMPORARY.fullmatch(path.name):
        return path.is_file() and not path.is_symlink()
    found = _PART.fullmatch(path.name)
    if found is None or not path.is_file():
        return False
    try:
        with pq.ParquetFile(path, **provenance.LIMITS) as file:
            metadata = file.schema_arrow.metadata or {}
        if provenance.KEY not in metadata:
            return False
        meta = json.loads(metadata[provenance.KEY])
        # A table that is whole, whatever its name is, lists its images another way.
        return provenance.kind_of_table(meta) == "score table" and "records" in meta
    # Of a part that a crash or a disk damaged, the reader raises almost anything. It cannot be recognised, but for the
    # folder it lies in and the run in its name.
    except Exception:
        return bool(found[1]) and provenance.kind_of(path.parent) in (KIND, "score table")


def clear(folder: Path) -> None:
    """Removes a folder's files except its lock and what srfast did not write; the files by which it is recognised are
    removed last."""
    last = [provenance.MARK, REPLACED]
    for name in sorted(os.listdir(folder), key=lambda n: last.index(n) if n in last else -1):
        if name != LOCK and _is_ours(folder / name):
            (folder / name).unlink()


def clear_temporary(folder: Path) -> None:
    """Removes unfinished files of runs that were killed."""
    for name in os.listdir(folder):
        if TEMPORARY.fullmatch(name):
            (folder / name).unlink()
