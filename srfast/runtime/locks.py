"""Locks that the operating system holds for a process, so that any end of the process frees them."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from srfast.errors import InputError, RunError

try:
    import fcntl
except ImportError:  # Windows, where nothing is held
    fcntl = None  # type: ignore[assignment]

LOCK = ".srfast-lock"
"""The file inside an output folder by which a run keeps others out."""
_HELD = {errno.EACCES, errno.EAGAIN}
_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_CONTENT = re.compile(rb"\d+( [^\s/]*)?")
"""The content of a lock file: process and host. It is empty if the disk was full."""
_LOOK = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class Taken(RunError):
    """Another process, or thread, holds a lock."""


class Lock:
    """A file that one process, and one thread of it, holds at a time, and that names this process.

    On a file system without locks, nothing is held. The file goes with the lock, which is why it is no ``FileLock`` of
    the package filelock: that leaves it in the user's folder.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        """The path of the file; code that renames its folder sets it anew."""
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, output: Path) -> Lock:
        """Takes the lock file ``path``, and makes its folder if it is missing. Raises InputError if the folder cannot
        be written to, or the file at ``path`` is not a lock of srfast, and Taken if another process (or thread) writes
        ``output`` now; the message names it."""
        patient = True
        while True:
            try:
                if (descriptor := _open(path, output)) is not None:
                    return cls(path, descriptor)
            except Taken:
                if not patient:
                    raise
                patient = False  # ``is_taken`` may have held it for a moment
                time.sleep(0.005)

    @classmethod
    def wait(cls, path: Path, output: Path) -> Lock:
        """Takes the lock like ``take``, but waits until nobody else holds it."""
        while True:
            try:
                return cls.take(path, output)
            except Taken:
                time.sleep(0.05)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def release(self) -> None:
        """Removes the file and frees the lock. A second call does nothing."""
        if self.held:
            try:
                with suppress(OSError):
                    if _same(self.path, self._descriptor):
                        self.path.unlink()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1


def is_taken(path: Path) -> bool:
    """Whether another process, or thread, holds the lock file ``path``; nothing is written."""
    try:
        descriptor = os.open(path, _LOOK)
    except OSError:
        return False
    try:
        return _flock(descriptor, "LOCK_SH") in _HELD
    finally:
        os.close(descriptor)


def hold(descriptor: int) -> bool:
    """Marks an open file as in use until the descriptor is closed; False if it is in use or cannot be marked."""
    return fcntl is not None and _flock(descriptor, "LOCK_EX") == 0


def _flock(descriptor: int, how: str) -> int | None:
    """Locks an open file without waiting, and returns the number of the error if that fails, otherwise 0."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, getattr(fcntl, how) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno
    return 0


def _is_lock(descriptor: int) -> bool:
    """Whether an open file is a lock of srfast, by its content."""
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1 or about.st_size > 300:
        return False
    content = os.read(descriptor, 301)
    return not content or _CONTENT.fullmatch(content) is not None


def _same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _open(path: Path, output: Path) -> int | None:
    """The descriptor that holds the lock; None if a run that ends removed the file or its folder just now."""
    try:
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except FileNotFoundError:
        if not path.parent.parent.is_dir():
            raise InputError(f"{output}: expected an existing folder, got {path.parent.parent}") from None
        return None
    except OSError as error:
        raise InputError(f"{output}: cannot write beside it ({error.strerror})") from None
    with ExitStack() as stack:
        stack.callback(os.close, descriptor)
        if not _is_lock(descriptor):
            raise InputError(
                f"{path}: is not a lock of srfast, which needs it to write {output}", hint="choose another output"
            )
        failed = _flock(descriptor, "LOCK_EX")
        if failed in _HELD:
            pid, _, host = os.pread(descriptor, 301, 0).decode(errors="replace").partition(" ")
            who = f"process {pid} on {host}" if pid.isdigit() else "another process"
            raise Taken(f"{output}: {who} is writing it", hint="wait for its end, or choose another output")
        if failed and failed not in _UNSUPPORTED:
            raise RunError(f"{output}: cannot be locked ({os.strerror(failed)})")
        if not _same(path, descriptor):
            return None
        with suppress(OSError):  # a disk that is full; the name is for people
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}".encode(), 0)
        stack.pop_all()
        return descriptor
