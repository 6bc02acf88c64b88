"""The temporary folder of an export, beside its output, which it becomes when it is complete."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srfast.data.atomic import atomic_path
from srfast.data.files import PARTS, check_folder_name, check_replaceable, output_folder
from srfast.data.provenance import MARK, kind_of
from srfast.errors import InputError, RunError
from srfast.runtime.locks import LOCK, Lock
from srfast.settings import differs

KIND = "export"
_SETTINGS = ".export.json"
_ROWS = ".export-rows"
_NAMES = ".export-names"
"""File with the names of the pairs, one per line, during the export; any other file in their folders is not its own."""
_NOTED_SINCE = ("lr_images", "images", "columns")
"""Settings that earlier versions did not note."""
_CHECKSUMS = ("patches", "images", "columns")
"""Settings whose values say nothing to a reader."""
_HIDDEN = re.compile(r"\.export(\.json|-rows|-names)|\.srfast(\.json|-lock|-[0-9a-f-]{16,}.*)")
_PAIRS = re.compile(r"HR|LRx[234]")
_DATABASE = re.compile(r"(HR|LRx[234])\.lmdb(/((data|lock)\.mdb|meta_info\.txt))?")
_FILE = re.compile(
    r"(meta_info|coreset)\.txt|\.?degradation\.parquet|(patches|metadata|train-\d+-of-\d+)\.parquet|\d+\.tar"
    r"|(basicsr|redux)\.yml|neosr\.toml|kair\.json|load\.py"
)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_THERE = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


@dataclass
class Workplace:
    folder: Path
    """Folder to write to."""
    written: int = 0
    """Number of rows that an interrupted run has finished."""
    finished: bool = False
    """Whether the export is complete already."""

    def note(self, written: int) -> None:
        """Records the number of finished rows."""
        if written != self.written:
            self.written = written
            descriptor = os.open(self.folder / _ROWS, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.write(descriptor, f"{written:020d}".encode())
            finally:
                os.close(descriptor)


@contextmanager
def workplace(output: Path, settings: dict[str, Any], resume: bool, names: Iterable[str] = ()) -> Iterator[Workplace]:
    """Yields the folder OUTPUT.parts; on success it becomes OUTPUT, otherwise it stays for ``resume``.

    Args:
        output: Folder of the export; it must not exist, or must be empty.
        settings: Settings of the export, as JSON values.
        resume: Whether to continue an interrupted run with the same settings; a finished export with them is yielded
            itself.
        names: Names of the files in HR and LRx2, without suffix.

    Raises:
        InputError: OUTPUT or OUTPUT.parts holds something that must not be replaced, or was made with other settings.
        RunError: the disk is full, or another run writes there now.
    """
    check_folder_name(output)
    final = Path(os.path.realpath(output))
    if _is_there(output, final, settings, resume):
        _tidy(output, final)
        yield Workplace(final, finished=True)
        return
    parts = final.with_name(final.name + PARTS)
    try:
        with output_folder(parts, KIND, becomes=final):
            # The run that held the folder until now may have made it the export.
            _is_there(output, final, settings, resume=False)
            yield _open(output, parts, settings, resume, names)
    except OSError as error:
        if error.errno in _FULL:
            raise RunError(
                f"{output}: the disk is full ({error.strerror}); finished files are in {parts}: "
                "make room and continue with `resume`"
            ) from error
        if error.errno in _THERE:
            raise InputError(f"{output}: exists; choose another output") from None
        raise
    for name in (_ROWS, _NAMES):
        (final / name).unlink(missing_ok=True)


def _tidy(output: Path, final: Path) -> None:
    """Removes what a run that was killed after the rename left in the export."""
    if (final / LOCK).exists():
        Lock.take(final / LOCK, output).release()
    for name in (_ROWS, _NAMES):
        with suppress(OSError):
            (final / name).unlink()


def _is_there(output: Path, final: Path, settings: dict[str, Any], resume: bool) -> bool:
    """Whether the export is finished; raises InputError if something else is in its place."""
    check_replaceable(output, final)
    if not final.exists() or (final.is_dir() and not any(final.iterdir())):
        return False
    if not resume or kind_of(final) != KIND:
        raise InputError(f"{output}: exists; choose another output")
    found = _read(final)
    if found is None:
        raise InputError(f"{output}: cannot be resumed: {_SETTINGS} in it cannot be read; choose another output")
    _check_same(output, found, settings)
    return True


def _open(output: Path, parts: Path, settings: dict[str, Any], resume: bool, names: Iterable[str]) -> Workplace:
    ours = list(_ours(parts))
    found = _read(parts) if resume else None
    if found is not None:
        _check_same(output, found, settings)
        try:
            return Workplace(parts, int((parts / _ROWS).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return Workplace(parts)
    # First what says that something is finished: a kill in the middle leaves nothing to resume. Last the names.
    for name in (_ROWS, _SETTINGS):
        (parts / name).unlink(missing_ok=True)
    for path in sorted(ours, reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        elif path.name not in (MARK, LOCK, _NAMES):
            path.unlink(missing_ok=True)
    for file, text in (
        (_NAMES, "".join(f"{name}\n" for name in names)),
        (_SETTINGS, json.dumps(settings, ensure_ascii=False)),
    ):
        with atomic_path(parts / file) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
    return Workplace(parts)


def _ours(parts: Path) -> Iterator[Path]:
    """All files of a folder of parts; raises InputError if an export did not write one of them."""
    try:
        names = set((parts / _NAMES).read_text(encoding="utf-8").split())
    except (FileNotFoundError, UnicodeDecodeError):
        names = None

    def unreadable(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(parts, onerror=unreadable):
        inside = Path(folder).relative_to(parts)
        pairs = inside != Path() and _PAIRS.fullmatch(str(inside))
        for name in folders + files:
            path = (inside / name).as_posix()
            if pairs:
                known = name in files and (names is None or name.rpartition(".")[0] in names)
            elif name in folders:
                known = bool(_PAIRS.fullmatch(path) or _DATABASE.fullmatch(path))
            else:
                known = bool(_HIDDEN.fullmatch(path) or _FILE.fullmatch(path) or _DATABASE.fullmatch(path))
            if not known:
                raise InputError(
                    f"{parts}: holds {path}, which this export did not write; move it away, or choose another output"
                )
            yield parts / path


def _read(folder: Path) -> dict[str, Any] | None:
    """The settings with which an export was begun; None if there are none, or only half of them after a crash."""
    try:
        found = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _check_same(output: Path, found: dict[str, Any], settings: dict[str, Any]) -> None:
    if (other := differs(found, settings)) is not None:
        if other[0] in _NOTED_SINCE and other[0] not in found:
            raise InputError(
                f"{output}: cannot be resumed: an earlier version of srfast began it, which did not note {other[0]}; "
                "choose another output"
            )
        if other[0] in _CHECKSUMS:
            raise InputError(
                f"{output}: cannot be resumed: the core-set's {other[0]} are not those with which it was begun; "
                "choose another output"
            )
        raise InputError(
            f"{output}: cannot be resumed: {other[0]} was {other[1]!r} and is {other[2]!r} now; "
            "use the old value, or choose another output"
        )
