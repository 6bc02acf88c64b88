"""Where an export grows: beside its place, renamed to it when it is whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srfast.errors import InputError, RunError

_ABOUT = ".srfast.json"
_ROWS = ".srfast-rows"
_GENERATOR = "srfast export"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass
class Workplace:
    folder: Path
    """To write to."""
    written: int
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
            settings. RunError: the disk is full.
    """
    final = Path(os.path.realpath(output))
    parts = final.with_name(final.name + ".parts")
    about = {"generator": _GENERATOR, **settings}
    if final.exists() and not (final.is_dir() and not any(final.iterdir())):
        if resume and _read(final) is not None:
            _check_same(output, _read(final), about)
            yield Workplace(final, 0, finished=True)
            return
        raise InputError(f"{output}: exists; choose another output")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        place = _open(output, parts, about, resume)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from None
    try:
        yield place
        if final.is_dir():
            final.rmdir()
        os.rename(parts, final)
        (final / _ROWS).unlink(missing_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            raise RunError(
                f"{output}: the disk is full ({error.strerror}); what is finished lies in {parts}: "
                "make room and continue with --resume"
            ) from error
        raise


def _open(output: Path, parts: Path, about: dict[str, Any], resume: bool) -> Workplace:
    if parts.exists():
        found = _read(parts)
        if found is None and (not parts.is_dir() or any(parts.iterdir())):
            raise InputError(f"{parts}: was not written by srfast; choose another output than {output}")
        if resume and found is not None:
            _check_same(output, found, about)
            try:
                return Workplace(parts, int((parts / _ROWS).read_text()))
            except (OSError, ValueError):
                return Workplace(parts, 0)
        shutil.rmtree(parts)
    parts.mkdir()
    (parts / _ABOUT).write_text(json.dumps(about, ensure_ascii=False) + "\n", encoding="utf-8")
    return Workplace(parts, 0)


def _read(folder: Path) -> dict[str, Any] | None:
    """What an export was made with; None for any other folder."""
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) and about.get("generator") == _GENERATOR else None


def _check_same(output: Path, found: dict[str, Any] | None, about: dict[str, Any]) -> None:
    for key, value in about.items():
        was = (found or {}).get(key)
        if was != value:
            raise InputError(
                f"{output}: cannot be resumed: {key} was {was!r} and is {value!r} now; "
                "use the old one or another output"
            )
