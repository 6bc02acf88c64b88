"""Output files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srfast.errors import InputError, RunError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def atomic_path(path: Path, aside: Path | None = None) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success flushes it to disk and renames it to ``path``.

    The temporary file has the suffix of ``path``, and is removed when the body raises. Where ``path`` is a
    symbolic link, its target is replaced.

    Args:
        path: the final file. Its directory must exist; an earlier regular file of that name is replaced.
        aside: the directory for the temporary file, on the same file system; None takes that of ``path``.

    Raises:
        InputError: the directory is missing or not writable, or ``path`` names something other than a file.
        RunError: the disk is full, or the body wrote no file.
    """
    path = Path(path)
    final = Path(os.path.realpath(path))
    folder = final.parent
    if not folder.is_dir():
        raise InputError(f"{path}: expected a file in an existing directory; {folder} does not exist or is a file")
    if final.exists() and not final.is_file():
        raise InputError(f"{path}: expected a file to write; a {'directory' if final.is_dir() else 'device'} is there")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in {folder}")
    # Short, as a long final name leaves no room for a suffix; random, as two runs may write at once.
    temporary = (aside or folder) / f".srfast-{secrets.token_hex(8)}{final.suffix[:16]}"
    try:
        try:
            yield temporary
            if not temporary.exists():
                raise RunError(f"{path}: nothing was written")
            _flush(temporary, os.O_RDWR)
            os.replace(temporary, final)
        except OSError as error:
            raise _explained(error, path, temporary, folder) from error
        with suppress(OSError):
            _flush(folder, os.O_RDONLY)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, path: Path, temporary: Path, folder: Path) -> Exception:
    """The error as the user should read it; one that is about another file is left as it is."""
    if error.filename is not None and os.fspath(error.filename) != os.fspath(temporary):
        return error
    if error.errno in _FULL:
        return RunError(f"{path}: the disk is full ({error.strerror})")
    if error.errno in _REFUSED:
        return InputError(f"{path}: no permission to write in {folder} ({error.strerror})")
    return error
