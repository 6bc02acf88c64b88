"""The content of a folder of parts: files that no run of srfast wrote are not read, replaced or removed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from srfast.data import provenance
from srfast.data.files import LOCK
from srfast.data.wording import no_folder
from srfast.errors import InputError
from srfast.runtime.locks import is_lock

KIND = "scoring parts"
"""Kind of a folder of parts until it becomes a table."""
_PART = re.compile(r"part-\d{8,}(-[0-9a-f]{8})?\.parquet")
_TEMPORARY = re.compile(r"\.srfast-[0-9a-f-]{16,}.*")
_OLD_LOCK = "lock"
"""The lock file of version 0.1.0."""
REPLACED = ".srfast-replaced"
"""Marks a folder that another table has replaced, or is about to replace; it is no longer needed."""


def check_table_folder(folder: Path, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Checks that a score table may be written as this folder: a new or empty one, or an earlier table.

    Raises:
        InputError: it may not.
    """
    folder = Path(os.path.realpath(folder))
    if not folder.parent.is_dir():
        raise InputError(f"{folder}: expected a folder in an existing directory; {no_folder(folder.parent)}")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of parts to write; a file is there")
    if any(folder in Path(item).parents for item in inputs):
        raise InputError(f"{folder}: is an input of this run; choose another output")
    if any(folder.iterdir()) and provenance.kind_of(folder) != "score table":
        raise InputError(f"{folder}: holds files and is no score table of srfast; choose a new or an empty folder")
    check_folder(folder)


def check_folder(folder: Path) -> None:
    """Checks, by content, that a folder of parts holds only files that runs of srfast wrote.

    Raises:
        InputError: it holds another file.
    """
    if folder.is_dir():
        foreign = next((n for n in sorted(os.listdir(folder)) if not _is_ours(folder / n)), None)
        if foreign is not None:
            raise InputError(f"{folder}: holds {foreign}, which srfast did not write; choose another output")


def _is_ours(path: Path) -> bool:
    if path.name in (LOCK, _OLD_LOCK):
        return is_lock(path)
    if path.name in (provenance.MARK, REPLACED) or _TEMPORARY.fullmatch(path.name):
        return path.is_file() and not path.is_symlink()
    found = _PART.fullmatch(path.name)
    if found is None:
        return False
    kind = provenance.kind_of(path)
    if kind is not None:
        return kind == "score table"
    # A part that a crash or a disk damaged cannot be recognised, but for the folder it lies in and the run in its name.
    return bool(found[1]) and provenance.kind_of(path.parent) in (KIND, "score table") and not _is_anothers(path)


def _is_anothers(path: Path) -> bool:
    """Whether a file is readable parquet without metadata of srfast; then it is not a damaged part."""
    try:
        with pq.ParquetFile(path, **provenance.LIMITS) as file:
            return provenance.KEY not in (file.schema_arrow.metadata or {})
    except Exception:
        return False


def clear(folder: Path) -> None:
    """Removes a folder's files except its lock; the files by which it is recognised are removed last."""
    last = [provenance.MARK, REPLACED]
    for name in sorted(os.listdir(folder), key=lambda n: last.index(n) if n in last else -1):
        if name != LOCK:
            (folder / name).unlink()


def clear_temporary(folder: Path) -> None:
    """Removes unfinished files of runs that were killed."""
    for name in os.listdir(folder):
        if _TEMPORARY.fullmatch(name):
            (folder / name).unlink()
