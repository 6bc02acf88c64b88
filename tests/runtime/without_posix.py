"""Run with ``python FILE ARGUMENTS``: srfast's command line, and under it a system with Windows' manners.

What Windows' Python lacks is taken away before srfast is imported. Files that this process has open can be neither
removed nor renamed nor replaced, nor can folders that hold one; a folder cannot be opened, and a rename replaces
nothing. What a real Windows does beyond that was not at hand.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

LACKING = (
    *("fork", "forkpty", "getuid", "geteuid", "getgid", "killpg", "setsid", "statvfs", "sched_getaffinity", "pread"),
    *("pwrite", "sendfile", "fchmod", "fchown", "mkfifo", "posix_fallocate", "getpgid", "nice"),
    *("O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC", "O_SYNC"),
)


def _open_here(path: str) -> bool:
    """Whether this process has the file open, or one in the folder."""
    real = os.path.realpath(path)
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if target == real or (os.path.isdir(real) and target.startswith(real + "/")):
            return True
    return False


def _refuse(path: Any) -> None:
    if _open_here(os.fspath(path)):
        raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used", str(path))


def _guard(name: str, check: Callable[..., None]) -> None:
    original = getattr(os, name)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        check(*args)
        return original(*args, **kwargs)

    setattr(os, name, guarded)


def _rename(old: Any, new: Any) -> None:
    _refuse(old)
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, "File exists", str(new))


def _replace(old: Any, new: Any) -> None:
    _refuse(old)
    _refuse(new)


def _open(path: Any, *_: Any) -> None:
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))


def become_windows() -> None:
    """Takes away what Windows lacks, for the rest of this process."""
    for name in ("fcntl", "resource", "pwd", "grp", "termios"):
        sys.modules[name] = None  # type: ignore[assignment]
    for name in LACKING:
        if hasattr(os, name):
            delattr(os, name)
    for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGCHLD", "SIGPIPE", "pthread_kill", "pthread_sigmask"):
        if hasattr(signal, name):
            delattr(signal, name)
    _guard("unlink", _refuse)
    _guard("remove", _refuse)
    _guard("rmdir", _refuse)
    _guard("rename", _rename)
    _guard("replace", _replace)
    _guard("open", _open)
    from srfast.data import renaming
    from srfast.runtime import locks

    locks.OPEN_STAYS = True
    renaming.ctypes.CDLL = lambda *_args, **_kwargs: object()  # type: ignore[attr-defined, misc, assignment]
    assert locks.fcntl is None
    assert Path("/proc/self/fd").is_dir()


if __name__ == "__main__":
    become_windows()
    from srfast.__main__ import run

    run()
