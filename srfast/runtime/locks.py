"""Locks that the operating system holds for a process, so that any end of the process frees them."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path

from srfast.errors import InputError, RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:
    msvcrt = None  # type: ignore[assignment]

LOCK = ".srfast-lock"
"""The file inside an output folder by which a run keeps others out."""
OPEN_STAYS = os.name == "nt"
"""Whether an open file, and the folder that it lies in, can be neither removed, renamed nor replaced."""

_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
"""What the system says of a lock that another process holds; EDEADLK is Windows'."""
_CONTENT = re.compile(rb"\d+( [^\s/]*)?")
"""The content of a lock file: process and host. It is empty if the disk was full."""
_FAR = 1 << 30
"""The byte that Windows locks. It lies far behind the content, since other processes cannot read a locked byte."""
_held: set[str] = set()
_guard = threading.Lock()


class Taken(RunError):
    """Another process, or thread, holds a lock."""


class Lock:
    """A file that one process at a time holds, and that names this process.

    It uses POSIX record locks (on Windows, the lock of a byte), which children that outlive a killed process do not
    inherit. Such locks count for a whole process, so a set of names keeps its own threads apart. On a file system
    without locks, nothing is held.
    """

    def __init__(self, path: Path, name: str, descriptor: int) -> None:
        self.path = path
        self._name = name
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, output: Path) -> Lock:
        """Takes the lock file ``path``, and makes its folder if it is missing.

        Raises:
            InputError: the folder cannot be written to, or the file at ``path`` is not a lock of srfast.
            Taken: another process (or thread) writes ``output`` now; the message names it.
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

    def moved(self, path: Path) -> None:
        """Records the new path of the file after its folder was renamed while the lock was held, or after its
        release."""
        if not self.held:
            return
        with _guard:
            _held.discard(self._name)
            self.path, self._name = path, os.path.realpath(path)
            _held.add(self._name)

    def change_places(self, other: Lock) -> None:
        """Records, for two locks, that their folders exchanged their names."""
        self.path, other.path = other.path, self.path
        self._name, other._name = other._name, self._name

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def release(self) -> None:
        """Removes the file and frees the lock. A second call does nothing."""
        if self._descriptor < 0:
            return
        own = False
        try:
            with suppress(OSError):
                # Never the lock of a run that has begun since, where the folder of this one was renamed.
                own = os.path.samestat(os.lstat(self.path), os.fstat(self._descriptor))
                if own and not OPEN_STAYS:
                    self.path.unlink()
        finally:
            os.close(self._descriptor)
            self._descriptor = -1
            with _guard:
                _held.discard(self._name)
        if own and OPEN_STAYS:
            with suppress(OSError):
                self.path.unlink()


def is_taken(path: Path) -> bool:
    """Whether another process, or thread, holds the lock file ``path``; nothing is written, and nobody is kept out."""
    name = os.path.realpath(path)
    with _guard:  # closing a descriptor of a lock that this process takes meanwhile would free it
        if name in _held:
            return True
        try:
            descriptor = _to_look_at(path)
        except OSError:
            return False
        try:
            if fcntl is None:
                _lock_byte(descriptor)
            else:
                os.lockf(descriptor, os.F_TEST, 0)
        except OSError as error:
            return error.errno in _HELD
        finally:
            os.close(descriptor)
    return False


def hold(descriptor: int) -> bool:
    """Marks an open file as in use until the descriptor is closed; False if it is in use or cannot be marked."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return _lock_byte(descriptor)
    except OSError:
        return False


def remove_held(path: Path, descriptor: int) -> None:
    """Removes and closes a file that is open here, in the order that the system allows."""
    try:
        if not OPEN_STAYS:
            path.unlink()
    finally:
        os.close(descriptor)
    if OPEN_STAYS:
        path.unlink()


def _lock_byte(descriptor: int) -> bool:
    """Locks a byte by Windows' own lock; False on other systems."""
    if msvcrt is None:
        return False
    os.lseek(descriptor, _FAR, os.SEEK_SET)
    msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    return True


def _content(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 301)


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
        if not _is_lock(descriptor):
            os.close(descriptor)
            raise InputError(
                f"{path}: is not a lock of srfast, which needs it to write {output}; choose another output"
            )
        try:
            if fcntl is not None:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                _lock_byte(descriptor)
        except OSError as error:
            if error.errno not in _UNSUPPORTED | _HELD:
                os.close(descriptor)
                raise RunError(f"{output}: cannot be locked ({error.strerror})") from None
            if error.errno in _HELD:
                holder = _content(descriptor).decode(errors="replace")
                os.close(descriptor)
                raise _taken(output, holder) from None
        # The run before may have removed the file between its opening and its locking here.
        try:
            same = os.path.samestat(os.lstat(path), os.fstat(descriptor))
        except FileNotFoundError:
            same = False
        if same:
            with suppress(OSError):  # a disk that is full; the name is for people
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, f"{os.getpid()} {socket.gethostname()}".encode())
            return descriptor
        os.close(descriptor)


def is_lock(path: Path) -> bool:
    """Whether a file is a lock of srfast, by its content. A link to a file with another name is not one."""
    with _guard:
        if os.path.realpath(path) in _held:  # closing any descriptor of it would free it
            return True
    try:
        descriptor = _to_look_at(path)
    except OSError:
        return False
    try:
        return _is_lock(descriptor)
    finally:
        os.close(descriptor)


def _to_look_at(path: Path) -> int:
    """A descriptor of a file that is only read; of a link or a pipe none, and nothing waits."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _is_lock(descriptor: int) -> bool:
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1 or about.st_size > 300:
        return False
    content = _content(descriptor)
    return not content or _CONTENT.fullmatch(content) is not None


def _taken(output: Path, holder: str) -> Taken:
    pid, _, host = holder.partition(" ")
    who = f"process {pid} on {host}" if pid.isdigit() else "another process"
    return Taken(f"{output}: {who} is writing it; wait for its end, or choose another output")
