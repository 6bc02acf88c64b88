"""Files that appear whole or not at all, written aside, flushed and renamed; and folders for temporary work."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import shlex
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srfast.errors import InputError, RunError
from srfast.runtime.locks import hold

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk."""
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def atomic_path(path: Path, aside: Path | None = None, *, judge: Callable[[], object] | None = None) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success flushes it to disk and renames it to ``path``.

    It is meant for files inside a folder that ``output_folder`` has opened: an earlier regular file is replaced
    whatever it is. The temporary file has the suffix of ``path``, and is removed when the body raises an error;
    temporary files that killed runs left for the same ``path`` are removed as well. If ``path`` is a symbolic link, its
    target is replaced. ``aside`` is another directory for it, on the same file system. ``judge`` is called before the
    rename and raises an error if the file at ``path`` must stay; without it, everything but a regular file stays.
    Raises InputError if the directory is missing or not writable, or ``path`` is not a file, and RunError if the disk
    is full, or the body wrote nothing.
    """
    final = resolved(path)
    folder = final.parent
    check_place(path, final)
    # Short, as a long final name leaves no room for a suffix; random, as two runs may write at once.
    prefix = f".srfast-{hashlib.sha256(os.fsencode(final.name)).hexdigest()[:8]}-"
    temporary = (aside or folder) / f"{prefix}{secrets.token_hex(8)}{final.suffix[:16]}"
    sweep(temporary.parent, prefix)
    held, mode = -1, _mode(final)
    try:
        try:
            held = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            if mode is not None:  # before anything is in it
                _set_mode(temporary, mode | stat.S_IRUSR | stat.S_IWUSR)
            hold(held)
            yield temporary
            if not temporary.exists() or not temporary.stat().st_size:
                raise RunError(f"{path}: nothing was written")
            _flush(temporary, os.O_RDWR)
            if mode is not None:
                _set_mode(temporary, mode)
            if judge:
                judge()
            os.replace(temporary, final)
        except OSError as error:
            raise _explained(error, path, temporary, folder) from error
        flush_folder(folder)
    finally:
        if held >= 0:
            with suppress(OSError):  # it is closed all the same, and what was written was flushed
                os.close(held)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def resolved(path: str | os.PathLike[str]) -> Path:
    """A path that the user named, without symbolic links. Raises InputError if its name is not UTF-8, or it is a link
    that leads to itself."""
    text = os.fspath(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text!r}: the name is not valid UTF-8", hint="choose another output") from None
    if "\0" in text:
        raise InputError(f"{text!r}: not a file name")
    final = Path(os.path.realpath(text))
    if final.is_symlink():
        raise InputError(f"{path}: is a symbolic link that leads to itself", hint="choose another output")
    return final


def check_place(path: str | os.PathLike[str], final: Path) -> None:
    """Refuses a path at which no file can be written; ``final`` is ``path`` without symbolic links."""
    folder = final.parent
    if not folder.is_dir():
        raise InputError(f"{path}: expected a file in an existing folder; {no_folder(folder)}")
    if final.exists() and not final.is_file():
        raise InputError(f"{path}: expected a file to write; a {kind_in_words(final)} is there")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in {folder}")


def write_all(file: io.RawIOBase, data: bytes) -> None:
    """Writes all bytes to an unbuffered file."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def checksum(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()


def keep_mode(folder: Path, replaced: Path) -> None:
    """Gives a folder the permissions of the folder that it replaces, if there are any."""
    with suppress(OSError):
        os.chmod(folder, stat.S_IMODE(os.stat(replaced).st_mode))


def flush_folder(folder: Path) -> None:
    """Flushes the names in a folder to disk, if its file system can."""
    with suppress(OSError):
        _flush(folder, os.O_RDONLY)


def _mode(final: Path) -> int | None:
    """The permissions of the file that will be replaced; None if there is none."""
    try:
        return stat.S_IMODE(os.stat(final).st_mode)
    except OSError:
        return None


def _set_mode(path: Path, mode: int) -> None:
    if _mode(path) != mode:
        os.chmod(path, mode)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, path: Path, temporary: Path, folder: Path) -> Exception:
    """The error in words for the user; an error about another file is returned unchanged."""
    if error.filename is not None and os.fspath(error.filename) != os.fspath(temporary):
        return error
    if error.errno in FULL:
        return RunError(f"{path}: the disk is full ({error.strerror})")
    if error.errno in _REFUSED:
        return InputError(f"{path}: no permission to write in {folder} ({error.strerror})")
    if error.filename is None and error.errno is not None:
        return RunError(f"{path}: cannot be written ({error.strerror})")
    return error


def no_folder(folder: Path) -> str:
    """Why a folder cannot be written to, and the command that makes it."""
    if any(p.is_file() for p in (folder, *folder.parents)):
        return f"{folder} does not exist or is a file"
    return f"{folder} does not exist; make it: mkdir -p {shlex.quote(str(folder))}"


def with_article(kind: str) -> str:
    """A kind of file with its article."""
    return f"{'an' if kind[0].lower() in 'aeio' else 'a'} {kind}"


def kind_in_words(path: Path) -> str:
    """The kind of thing at a path, in words: a directory, a file, a device, ..."""
    kinds = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(os.stat(path).st_mode), "device")


TEMPORARY = re.compile(r"\.srfast-[0-9a-f]{8}-[0-9a-f]{16}(\..*)?")
"""A name of ``atomic_path``'s, until it becomes the file's."""


def sweep(folder: Path, prefix: str = "") -> None:
    """Removes temporary files of runs that no longer live."""
    for name in os.listdir(folder):
        if name.startswith(prefix) and TEMPORARY.fullmatch(name):
            _unless_held(folder / name, os.O_RDWR, Path.unlink)


@contextmanager
def scratch_folder(beside: Path | None, purpose: str) -> Iterator[Path]:
    """Yields a hidden folder in ``beside``, or the system's for temporary files, and removes folders of the same
    purpose, a word of letters, that no living run holds."""
    beside = beside or Path(tempfile.gettempdir())
    for left in beside.glob(f".srfast-{purpose}-{'[0-9a-f]' * 16}"):
        _unless_held(left, os.O_RDONLY, shutil.rmtree)
    # It has another name until it is held: another run would take it for one that nobody holds.
    folder = Path(tempfile.mkdtemp(prefix=f".srfast-new-{purpose}-", dir=beside))
    held = -1 if os.name == "nt" else os.open(folder, os.O_RDONLY)
    try:
        hold(held)
        folder = folder.rename(beside / f".srfast-{purpose}-{secrets.token_hex(8)}")
        yield folder
    finally:
        if held >= 0:
            os.close(held)
        shutil.rmtree(folder, ignore_errors=True)


def _unless_held(path: Path, flags: int, remove: Callable[[Path], object]) -> None:
    """Removes what no living run holds, if it can."""
    with suppress(OSError):
        descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))
        try:
            if hold(descriptor):
                remove(path)
        finally:
            os.close(descriptor)
