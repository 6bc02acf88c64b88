"""Where an export grows: beside its place, renamed to it when it is whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srfast.data.files import LOCK, atomic_path, output_folder
from srfast.data.provenance import MARK, kind_of
from srfast.errors import InputError, RunError
from srfast.runtime.locks import Lock
from srfast.settings import differs

KIND = "export"
_SETTINGS = ".export.json"
_ROWS = ".export-rows"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_THERE = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


@dataclass
class Workplace:
    folder: Path
    """To write to."""
    written: int = 0
    """Rows that an interrupted run has finished."""
    finished: bool = False
    """Whether the export is there already."""

    def note(self, written: int) -> None:
        """Remembers the rows that are finished."""
        if written != self.written:
            self.written = written
            descriptor = os.open(self.folder / _ROWS, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.pwrite(descriptor, f"{written:020d}".encode(), 0)
            finally:
                os.close(descriptor)


@contextmanager
def workplace(output: Path, settings: dict[str, Any], resume: bool) -> Iterator[Workplace]:
    """Yields the folder OUTPUT.parts; on success it becomes OUTPUT, else it stays for ``resume``.

    Args:
        output: The folder of the export; must not exist, or be empty.
        settings: What makes the export what it is, JSON values.
        resume: Continue what an interrupted run with the same settings left; a finished export of them is yielded
            itself.

    Raises:
        InputError: there is something at OUTPUT or OUTPUT.parts that is not to be replaced, or was made with other
            settings. RunError: the disk is full, or another run writes there now.
    """
    final = Path(os.path.realpath(output))
    if _is_there(output, final, settings, resume):
        _tidy(output, final)
        yield Workplace(final, finished=True)
        return
    parts = final.with_name(final.name + ".parts")
    try:
        with output_folder(parts, KIND, becomes=final):
            # The run that held the folder until now may have made it the export.
            _is_there(output, final, settings, resume=False)
            yield _open(output, parts, settings, resume)
    except OSError as error:
        if error.errno in _FULL:
            raise RunError(
                f"{output}: the disk is full ({error.strerror}); what is finished lies in {parts}: "
                "make room and continue with --resume"
            ) from error
        if error.errno in _THERE:
            raise InputError(f"{output}: exists; choose another output") from None
        raise
    (final / _ROWS).unlink(missing_ok=True)


def _tidy(output: Path, final: Path) -> None:
    """Removes what a run that was killed behind the rename left in the export."""
    if (final / LOCK).exists():
        Lock.take(final / LOCK, output).release()
    with suppress(OSError):
        (final / _ROWS).unlink()


def _is_there(output: Path, final: Path, settings: dict[str, Any], resume: bool) -> bool:
    """Whether the export is finished; InputError where something else is in its place."""
    if not final.exists() or (final.is_dir() and not any(final.iterdir())):
        return False
    if not resume or kind_of(final) != KIND:
        raise InputError(f"{output}: exists; choose another output")
    found = _read(final)
    if found is None:
        raise InputError(f"{output}: cannot be resumed: {_SETTINGS} in it cannot be read; choose another output")
    _check_same(output, found, settings)
    return True


def _open(output: Path, parts: Path, settings: dict[str, Any], resume: bool) -> Workplace:
    found = _read(parts) if resume else None
    if found is not None:
        _check_same(output, found, settings)
        try:
            return Workplace(parts, int((parts / _ROWS).read_text()))
        except (OSError, ValueError):
            return Workplace(parts)
    # First what says that something is finished: a kill in the middle leaves nothing to resume.
    for name in (_ROWS, _SETTINGS):
        (parts / name).unlink(missing_ok=True)
    for entry in os.scandir(parts):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        elif entry.name not in (MARK, LOCK):
            os.unlink(entry.path)
    with atomic_path(parts / _SETTINGS) as temporary:
        temporary.write_text(json.dumps(settings, ensure_ascii=False) + "\n", encoding="utf-8")
    return Workplace(parts)


def _read(folder: Path) -> dict[str, Any] | None:
    """The settings that an export was begun with; None where there are none or a crash left half of them."""
    try:
        found = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _check_same(output: Path, found: dict[str, Any], settings: dict[str, Any]) -> None:
    if (other := differs(found, settings)) is not None:
        raise InputError(
            f"{output}: cannot be resumed: {other[0]} was {other[1]!r} and is {other[2]!r} now; "
            "use the old one or another output"
        )
