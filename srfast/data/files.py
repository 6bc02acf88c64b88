"""The only way to write outputs: it decides what may be written where, and makes files appear whole or not at all.

* ``output_file`` writes a file that the user named,
* ``output_folder`` opens a folder that the user named; ``atomic_path`` then writes the files inside it,
* ``check_output`` runs before long work, so that an output that would be refused at the end is refused at once.

An output is refused if srfast did not write it, if it is of another kind (``srfast.data.provenance.kind_of``), if it is
an input of the same run, a named pipe, a device or a socket, and if its name is not valid UTF-8.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from srfast.data.provenance import MARK, generator, kind_of
from srfast.data.renaming import rename_new
from srfast.data.scratch import TEMPORARY, sweep
from srfast.data.wording import a_kind, no_folder, thing
from srfast.errors import InputError, RunError
from srfast.runtime.locks import OPEN_STAYS, Lock, hold

LOCK = ".srfast-lock"
"""The file inside an output folder by which a run keeps others out."""
PARTS = ".parts"
"""The end of the name under which an output grows."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


_TABLES = ("score table", "core-set")
_NOT_TABLES = {".csv", ".tsv", ".txt", ".json", ".xlsx", ".html", ".onnx", ".safetensors", ".png", ".jpg", ".jpeg"}


def check_output(path: str | os.PathLike[str], kind: str, inputs: Iterable[str | os.PathLike[str]] = ()) -> Path:
    """Refuses an output file that must not be written; call it before the work begins.

    Args:
        path: The file; if it is a symbolic link, its target is meant.
        kind: The kind of the output, in the words of ``kind_of``; only an earlier file of that kind is replaced.
        inputs: Files and folders that the run reads.

    Returns:
        ``path`` without symbolic links.

    Raises:
        InputError: the folder is missing or not writable, the name is not UTF-8, or ``path`` is not a file, was not
            written by srfast, is of another kind or is one of ``inputs``.
    """
    final = _resolved(path)
    folder = final.parent
    if kind in _TABLES and not final.exists() and final.suffix.lower() in _NOT_TABLES:
        raise InputError(f"{path}: {a_kind(kind)} is a parquet file; expected a name ending in .parquet")
    if not folder.is_dir():
        raise InputError(f"{path}: expected a file in an existing folder; {no_folder(folder)}")
    if final.exists():
        if not final.is_file():
            raise InputError(f"{path}: expected a file to write; a {thing(final)} is there")
        found = kind_of(final)
        if found is None:
            raise InputError(f"{path}: exists and was not written by srfast; choose another output")
        _check_not_input(path, final, inputs)
        if found != kind:
            raise InputError(f"{path}: expected {a_kind(kind)} to replace, got {a_kind(found)}; choose another output")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in {folder}")
    return final


@contextmanager
def output_file(
    path: str | os.PathLike[str],
    kind: str,
    inputs: Iterable[str | os.PathLike[str]] = (),
    aside: Path | None = None,
) -> Iterator[Path]:
    """Yields a temporary path to write to; on success it becomes ``path``, whole.

    ``check_output`` runs before the body and again before the rename, since a file may have appeared meanwhile. A file
    that appears after that is not replaced either (``srfast.data.renaming``). The permissions of a replaced file are
    kept. ``kind_of`` must recognise the written file as ``kind``, or the next run is refused.

    Args:
        path: The file, as for ``check_output``.
        kind: The kind of the output, as for ``check_output``.
        inputs: Files and folders that the run reads.
        aside: Folder for the temporary file, on the same file system; None takes that of ``path``.

    Raises:
        InputError: ``check_output`` refuses the file.
        RunError: the disk is full, or the body wrote nothing.
    """
    inputs = list(inputs)
    final = check_output(path, kind, inputs)

    def judge() -> None:
        if (now := check_output(path, kind, inputs)) != final:
            raise InputError(f"{path}: has become a link to {now}; choose another output")

    with atomic_path(Path(path), aside, judge=judge) as temporary:
        yield temporary


@contextmanager
def output_folder(
    path: str | os.PathLike[str],
    kind: str,
    inputs: Iterable[str | os.PathLike[str]] = (),
    files: Mapping[str, str] | None = None,
    shared: bool = False,
    becomes: Path | None = None,
) -> Iterator[Path]:
    """Yields the output folder, made if it is missing (and removed if nothing was written in it), and locked against
    other runs while the body runs.

    Args:
        path: The folder; its parents are made too.
        kind: The kind of the output in lower-case words, such as "export" or "study".
        inputs: Files and folders that the run reads; the folder itself must not be among them.
        files: None makes the whole folder srfast's own: it must be new, empty, or marked by an earlier run of the same
            kind, and is marked with the file ``MARK``; ``atomic_path`` may then write everything inside. Otherwise the
            names and kinds of the files that will be written: the folder may hold anything else, and ``check_output``
            runs on these files.
        shared: True leaves it to the caller to keep several runs in one folder apart.
        becomes: Path to which the folder is renamed when the body ends, still locked: a new name, or an empty folder.

    Raises:
        InputError: the path is not a folder, cannot be made or written to, is an input, or holds files of others.
        RunError: another run writes there now; the message names its process.
    """
    inputs = list(inputs)
    folder = _resolved(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{path}: expected a folder to write to; a {thing(folder)} is there")
    if folder.is_dir() and files is None:
        _check_not_input(path, folder, inputs)
        _check_own(path, folder, kind)
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be created ({error.strerror})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in it")
    lock = None if shared else Lock.take(folder / LOCK, Path(path))
    try:
        if files is None:
            _check_own(path, folder, kind)
            for parent, _, _ in os.walk(folder):
                sweep(Path(parent))
            with atomic_path(folder / MARK) as temporary:
                temporary.write_text(json.dumps({"generator": generator(kind)}) + "\n", encoding="utf-8")
        for name, what in (files or {}).items():
            check_output(Path(path) / name, what, inputs)
        yield Path(path)
        if becomes and lock:
            if OPEN_STAYS:  # nor is a folder renamed onto another
                lock.release()
                if becomes.is_dir():
                    becomes.rmdir()
            keep_mode(folder, becomes)
            os.rename(folder, becomes)
            lock.moved(becomes / LOCK)
            flush_folder(becomes.parent)
    finally:
        if lock:
            lock.release()
        if made and folder.is_dir():
            _remove_empty(folder)


@contextmanager
def atomic_path(
    path: Path, aside: Path | None = None, durable: bool = True, judge: Callable[[], object] | None = None
) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success flushes it to disk and renames it to ``path``.

    It is meant for files inside a folder that ``output_folder`` has opened: an earlier regular file is replaced
    whatever it is. The temporary file has the suffix of ``path``, and is removed when the body raises an error;
    temporary files that killed runs left for the same ``path`` are removed as well. If ``path`` is a symbolic link, its
    target is replaced.

    Args:
        path: The final file. Its directory must exist.
        aside: Directory for the temporary file, on the same file system; None takes that of ``path``.
        durable: False does not flush the file to disk and leaves temporary files to ``output_folder``: for the many
            small files of a folder that is of no use before it is complete.
        judge: Function that is called before the rename and raises an error if the file that lies at ``path`` must
            stay. Without it, everything but a regular file stays.

    Raises:
        InputError: the directory is missing or not writable, or ``path`` is not a file.
        RunError: the disk is full, or the body wrote nothing.
    """
    path = Path(path)
    final = Path(os.path.realpath(path))
    folder = final.parent
    if not folder.is_dir():
        raise InputError(f"{path}: expected a file in an existing folder; {no_folder(folder)}")
    if final.exists() and not final.is_file():
        raise InputError(f"{path}: expected a file to write; a {thing(final)} is there")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in {folder}")
    # Short, as a long final name leaves no room for a suffix; random, as two runs may write at once.
    prefix = f".srfast-{hashlib.sha256(os.fsencode(final.name)).hexdigest()[:8]}-"
    temporary = (aside or folder) / f"{prefix}{secrets.token_hex(8)}{final.suffix[:16]}"
    if durable:
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
            if durable:
                _flush(temporary, os.O_RDWR)
            if mode is not None:
                _set_mode(temporary, mode)
            if OPEN_STAYS:
                os.close(held)
                held = -1
            _rename(temporary, final, judge)
        except OSError as error:
            raise _explained(error, path, temporary, folder) from error
        if durable:
            flush_folder(folder)
    finally:
        if held >= 0:
            with suppress(OSError):  # it is closed all the same, and what was written was flushed
                os.close(held)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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
    if (mode := _mode(replaced)) is not None:
        with suppress(OSError):
            os.chmod(folder, mode)


def flush_folder(folder: Path) -> None:
    """Flushes the names in a folder to disk, if its file system can."""
    with suppress(OSError):
        _flush(folder, os.O_RDONLY)


def check_folder_name(path: str | os.PathLike[str]) -> None:
    """Raises InputError for a folder whose name is that of the unfinished work for another output, which takes it."""
    if Path(os.path.realpath(path)).name.endswith(PARTS):
        raise InputError(f"{path}: a name that ends in {PARTS} is that of unfinished work; choose another output")


def check_input(path: str | os.PathLike[str], what: str) -> Path:
    """Checks that ``path`` is a regular file; opening a named pipe would wait without end.

    Args:
        path: The file to be read.
        what: What it should be, for the message, such as "a score table".

    Raises:
        InputError: it is not a regular file.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        raise InputError(f"{path}: {'no such file' if missing else error.strerror}") from None
    except ValueError:
        raise InputError(f"{str(path)!r}: not a file name") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: expected {what}, got a {'folder' if stat.S_ISDIR(mode) else thing(Path(path))}")
    return Path(path)


def _resolved(path: str | os.PathLike[str]) -> Path:
    text = os.fspath(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text!r}: the name is not valid UTF-8; choose another output") from None
    if "\0" in text:
        raise InputError(f"{text!r}: not a file name")
    return Path(os.path.realpath(text))


def _check_not_input(path: str | os.PathLike[str], final: Path, inputs: Iterable[str | os.PathLike[str]]) -> None:
    for item in inputs:
        try:
            same = os.path.samefile(item, final)
        except (OSError, ValueError):  # a name such as "srcnn", or a file that reading will report
            continue
        if same:
            raise InputError(f"{path}: is an input of this run; choose another output")


def _check_own(path: str | os.PathLike[str], folder: Path, kind: str) -> None:
    """Refuses a folder that is not empty, unless a run of this kind marked it."""
    found = kind_of(folder)
    if found is not None and found != kind:
        raise InputError(f"{path}: expected {a_kind(kind)} to replace, got {a_kind(found)}; choose another folder")
    if found is None:
        foreign = next(
            (n for n in sorted(os.listdir(folder)) if n not in (MARK, LOCK) and not TEMPORARY.fullmatch(n)), None
        )
        if foreign is not None:
            raise InputError(f"{path}: holds {foreign}, which srfast did not write; choose a new or an empty folder")


def _remove_empty(folder: Path) -> None:
    if os.listdir(folder) == [MARK]:
        (folder / MARK).unlink()
    with suppress(OSError):
        folder.rmdir()


def _mode(final: Path) -> int | None:
    """The permissions of the file that will be replaced; None if there is none."""
    try:
        return stat.S_IMODE(os.stat(final).st_mode)
    except OSError:
        return None


def _set_mode(path: Path, mode: int) -> None:
    if _mode(path) != mode:
        os.chmod(path, mode)


def _rename(temporary: Path, final: Path, judge: Callable[[], object] | None) -> None:
    while judge:
        there = final.exists()
        judge()
        if there:
            break
        try:
            rename_new(temporary, final)
        except FileExistsError:  # it came just now
            continue
        return
    for patience in (0.05, 0.2, 0.5, 0):
        try:
            return os.replace(temporary, final)
        except PermissionError as error:
            if not OPEN_STAYS or not final.is_file():
                raise
            if not patience:
                raise InputError(f"{final}: cannot be replaced ({error.strerror}): is it open elsewhere?") from None
        time.sleep(patience)  # a search for viruses, say


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
    if error.errno in _FULL:
        return RunError(f"{path}: the disk is full ({error.strerror})")
    if error.errno in _REFUSED:
        return InputError(f"{path}: no permission to write in {folder} ({error.strerror})")
    if error.filename is None and error.errno is not None:
        return RunError(f"{path}: cannot be written ({error.strerror})")
    return error
