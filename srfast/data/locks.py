"""Locks that the operating system holds for a process, so that its end, however it comes, frees them."""

from __future__ import annotations

import errno
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

from srfast.errors import InputError, RunError

try:
    import fcntl
except ImportError:  # Windows: runs are not kept apart there
    fcntl = None  # type: ignore[assignment]

_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_held: set[str] = set()
_guard = threading.Lock()


class Lock:
    """A file that one process at a time holds; it says which.

    POSIX record locks: children that outlive a killed process do not inherit them. Those count for a whole process,
    so its own threads are kept apart by a set of names. Where the file system has no locks, nothing is held.
    """

    def __init__(self, path: Path, name: str, descriptor: int) -> None:
        self.path = path
        self._name = name
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, output: Path) -> Lock:
        """Takes the lock file ``path``, whose folder is made where it is missing.

        Raises:
            InputError: the folder cannot be written.
            RunError: another process (or thread) writes ``output`` now; names it.
        """
        name = os.path.realpath(path)
        with _guard:
            if name in _held:
                raise _taken(output, f"{os.getpid()} {socket.gethostname()}")
            _held.add(name)
        try:
            return cls(path, name, _open(path, output))
        except BaseException:
            with _guard:
                _held.discard(name)
            raise

    def release(self) -> None:
        """Removes the file and frees the lock; a second call does nothing."""
        if self._descriptor < 0:
            return
        with suppress(OSError):
            self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1
        with _guard:
            _held.discard(self._name)


def hold(descriptor: int) -> bool:
    """Marks an open file as in use until the descriptor is closed; False where it is in use or cannot be marked."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _open(path: Path, output: Path) -> int:
    while True:
        try:
            path.parent.mkdir(exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except FileNotFoundError:  # the run before this one removed the folder just now
            if not path.parent.parent.is_dir():
                raise InputError(f"{output}: expected an existing folder, got {path.parent.parent}") from None
            continue
        except OSError as error:
            raise InputError(f"{output}: cannot write beside it ({error.strerror})") from None
        try:
            if fcntl is not None:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                holder = os.pread(descriptor, 300, 0).decode(errors="replace")
                os.close(descriptor)
                raise _taken(output, holder) from None
        # The run before may have removed the file between its opening and its locking here.
        try:
            same = os.path.samestat(os.stat(path), os.fstat(descriptor))
        except FileNotFoundError:
            same = False
        if same:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}".encode(), 0)
            return descriptor
        os.close(descriptor)


def _taken(output: Path, holder: str) -> RunError:
    pid, _, host = holder.partition(" ")
    who = f"process {pid} on {host}" if pid.isdigit() else "another process"
    return RunError(f"{output}: {who} is writing it; wait for its end, or choose another output")
