"""Atomic renames: to a name that must be free, and of two folders for each other; and what no rename replaces."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
from pathlib import Path

_AT_FDCWD, _NOREPLACE, _EXCHANGE = -100, 1, 2  # linux/fs.h
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_LACKING = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def is_mounted(path: Path) -> bool:
    """Whether something is mounted at a path without symbolic links: a folder, or a single file, as containers do."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            points = {_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), line.split()[4]) for line in file}
    except (OSError, IndexError):  # no Linux
        return os.path.ismount(path)
    return os.fsencode(path) in points


def rename_new(old: Path, new: Path) -> None:
    """Renames a file to a name that must be free; raises FileExistsError if it is not.

    It uses renameat2 (Linux), or else a hard link, which is as strict. Only on a file system that has neither can
    another file appear between the check and the rename.
    """
    if _renameat2(old, new, _NOREPLACE):
        return
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(new)) from None
        os.rename(old, new)
    else:
        os.unlink(old)


def exchange(one: Path, other: Path) -> None:
    """Exchanges the names of two folders.

    It uses renameat2 (Linux), or else three renames, between which one of the names is free.
    """
    if _renameat2(one, other, _EXCHANGE):
        return
    aside = other.with_name(f".srfast-{secrets.token_hex(8)}")
    os.rename(other, aside)
    os.rename(one, other)
    os.rename(aside, one)


def _renameat2(old: Path, new: Path, flags: int) -> bool:
    """Renames by the system call; False if the system or the file system does not have it."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    if call(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _LACKING:
        return False
    raise OSError(number, os.strerror(number), os.fspath(old), None, os.fspath(new))
