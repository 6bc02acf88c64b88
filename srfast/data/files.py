"""The only way to write outputs: it decides what may be written where, and makes files appear whole or not at all.

* ``output_file`` writes a file that the user named,
* ``output_folder`` opens a folder that the user named; ``atomic_path`` then writes the files inside it,
* ``check_output`` runs before long work, so that an output that would be refused at the end is refused at once.

An output is refused if srfast did not write it, if it is of another kind (``srfast.data.provenance.kind_of``), if it is
an input of the same run, a named pipe, a device or a socket, and if its name is not valid UTF-8.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from srfast.data.atomic import TEMPORARY, atomic_path, check_place, kind_in_words, resolved, sweep, with_article
from srfast.data.provenance import MARK, generator, kind_of
from srfast.errors import InputError
from srfast.runtime.locks import LOCK, Lock

_ESCAPED = re.compile(rb"\\([0-7]{3})")
PARTS = ".parts"
"""The end of the name under which an output grows."""


_TABLES = ("score table", "core-set")
_NOT_TABLES = {".csv", ".tsv", ".txt", ".json", ".xlsx", ".html", ".onnx", ".safetensors", ".png", ".jpg", ".jpeg"}


def table_files(path: str | os.PathLike[str]) -> list[Path]:
    """The files of a table, if a path is one: a Parquet file, or the parts in a folder, sorted. Otherwise none."""
    if str(path).endswith(".parquet") and not os.path.isdir(path):
        return [Path(path)]
    return sorted(Path(path).glob("part-*.parquet")) if os.path.isdir(path) else []


def check_output(path: str | os.PathLike[str], kind: str, inputs: Iterable[str | os.PathLike[str]] = ()) -> Path:
    """Refuses an output file that must not be written; call it before the work begins. Returns it without symbolic
    links.

    Only an earlier file of the same ``kind``, in the words of ``kind_of``, is replaced. Raises InputError if the folder
    is missing or not writable, the name is not UTF-8, or ``path`` is not a file, was not written by srfast, is of
    another kind or is one of ``inputs``, the files and folders that the run reads.
    """
    check_replaceable(path, final := resolved(path))
    if kind in _TABLES and not final.exists() and final.suffix.lower() in _NOT_TABLES:
        raise InputError(f"{path}: {with_article(kind)} is a parquet file; expected a name ending in .parquet")
    check_place(path, final)
    if final.exists():
        if (existing := kind_of(final)) is None:
            raise InputError(f"{path}: exists and was not written by srfast", hint="choose another output")
        _check_not_input(path, final, inputs)
        _check_kind(path, existing, kind)
    return final


@contextmanager
def output_file(
    path: str | os.PathLike[str], kind: str, inputs: Iterable[str | os.PathLike[str]] = (), aside: Path | None = None
) -> Iterator[Path]:
    """Yields a temporary path to write to, in the folder ``aside`` on the same file system or beside ``path``, which it
    becomes on success, whole.

    ``check_output`` runs before the body and again before the rename, since a file may have appeared meanwhile. The
    permissions of a replaced file are kept. ``kind_of`` must recognise the written file as ``kind``, or the next run is
    refused. Raises InputError if ``check_output`` does, and RunError if the disk is full, or the body wrote nothing.
    """
    inputs = list(inputs)
    final = check_output(path, kind, inputs)

    def judge() -> None:
        if (now := check_output(path, kind, inputs)) != final:
            raise InputError(f"{path}: has become a link to {now}", hint="choose another output")

    with atomic_path(Path(path), aside, judge=judge) as temporary:
        yield temporary


@contextmanager
def output_folder(
    path: str | os.PathLike[str],
    kind: str,
    inputs: Iterable[str | os.PathLike[str]] = (),
    files: Mapping[str, str] | None = None,
    shared: bool = False,
) -> Iterator[Path]:
    """Yields the output folder, made if it is missing (and removed if nothing was written in it), and locked against
    other runs while the body runs, unless several runs are ``shared`` in it.

    With None for ``files`` the whole folder is srfast's own: it must be new, empty, or marked by an earlier run of the
    same ``kind`` ("export", "study"), and is marked with the file ``MARK``; ``atomic_path`` may then write everything
    inside. Otherwise they are the names and kinds of the files that will be written: the folder may hold anything else,
    and ``check_output`` runs on these files. Raises InputError if the path is not a folder, cannot be made or written
    to, is one of ``inputs``, or holds files of others, and RunError if another run writes there now; the message names
    its process.
    """
    inputs = list(inputs)
    folder = resolved(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{path}: expected a folder to write to; a {kind_in_words(folder)} is there")
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
            for parent, _, _ in os.walk(folder):
                sweep(Path(parent))
            with atomic_path(folder / MARK) as temporary:
                temporary.write_text(json.dumps({"generator": generator(kind)}) + "\n", encoding="utf-8")
        for name, what in (files or {}).items():
            check_output(Path(path) / name, what, inputs)
        yield Path(path)
    finally:
        if lock:
            lock.release()
        if made and folder.is_dir():
            if os.listdir(folder) == [MARK]:
                (folder / MARK).unlink()
            with suppress(OSError):
                folder.rmdir()


def check_replaceable(path: str | os.PathLike[str], final: Path) -> None:
    """Refuses, before the work, what no rename replaces at its end: InputError if it is a mount point, or a folder
    that may not be written to. ``final`` is ``path``, as the user named it, without symbolic links."""
    if not final.exists():
        return
    folder = final.is_dir()
    if _is_mounted(final):
        way = f"a folder in it, such as {os.path.join(path, 'out')}" if folder else "a file in a folder that is mounted"
        raise InputError(f"{path}: is a mount point, which cannot be replaced", hint=f"choose {way}")
    if folder and not os.access(final, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in it")


def _is_mounted(path: Path) -> bool:
    """Whether something is mounted at a path without symbolic links: a folder, or a single file, as containers do."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            points = {_ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), line.split()[4]) for line in file}
    except (OSError, IndexError):  # no Linux
        return os.path.ismount(path)
    return os.fsencode(path) in points


def check_input(path: str | os.PathLike[str], what: str) -> Path:
    """Checks that ``path`` is a regular file, which should be ``what``, such as "a score table"; opening a named pipe
    would wait without end. Raises InputError if it is not."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        raise InputError(f"{path}: {'no such file' if missing else error.strerror}") from None
    except ValueError:
        raise InputError(f"{str(path)!r}: not a file name") from None
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{path}: expected {what}, got a {'folder' if stat.S_ISDIR(mode) else kind_in_words(Path(path))}"
        )
    return Path(path)


def _check_not_input(path: str | os.PathLike[str], final: Path, inputs: Iterable[str | os.PathLike[str]]) -> None:
    for item in inputs:
        try:
            same = os.path.samefile(item, final)
        except (OSError, ValueError):  # a name such as "srcnn", or a file that reading will report
            continue
        if same:
            raise InputError(f"{path}: is an input of this run", hint="choose another output")


def _check_own(path: str | os.PathLike[str], folder: Path, kind: str) -> None:
    """Refuses a folder that is not empty, unless a run of this kind marked it."""
    if existing := kind_of(folder):
        _check_kind(path, existing, kind)
        return
    ours = {name for name in os.listdir(folder) if name in (MARK, LOCK) or TEMPORARY.fullmatch(name)}
    if foreign := sorted({*os.listdir(folder)} - ours):
        raise InputError(
            f"{path}: holds {foreign[0]}, which srfast did not write", hint="choose a new or an empty folder"
        )


def _check_kind(path: str | os.PathLike[str], existing: str, kind: str) -> None:
    if existing != kind:
        raise InputError(
            f"{path}: expected {with_article(kind)} to replace, got {with_article(existing)}",
            hint="choose another output",
        )
