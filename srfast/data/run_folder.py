"""The folder in which an output grows: it survives a crash, says what it is made of, and becomes the output whole."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from srfast.data.atomic import FULL, TEMPORARY, atomic_path, flush_folder, keep_mode, resolved, sweep
from srfast.data.files import PARTS, check_replaceable
from srfast.data.provenance import MARK, generator, kind_of
from srfast.errors import InputError, RunError
from srfast.runtime.locks import LOCK, Lock
from srfast.settings import first_difference

ROWS = ".srfast-rows"
"""File with the number of rows of the output that are finished, where these are counted."""
NAMES = ".srfast-names"
"""File with the names, without suffix, of the files that a run may write into a folder of the folder."""
_THERE = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
_OLD = ".old"
"""End of the name under which an older output lies for a moment, and from which a killed run's is fetched back."""


class RunFolder:
    """A folder beside an output, which one run at a time holds.

    The file ``MARK`` in it has the kind of the output and the settings of the run. It is written first and removed
    last, so that a run that is killed leaves a folder that another one continues or clears.
    """

    def __init__(self, path: Path, kind: str, lock: Lock, ours: Callable[[str], bool]) -> None:
        self.path = path
        self.kind = kind
        self._lock = lock
        self._ours = ours

    @classmethod
    def take(cls, path: Path, kind: str, output: Path, ours: Callable[[str], bool]) -> RunFolder:
        """Takes the folder, made if it is missing. ``kind`` is that of the unfinished output, and ``ours`` says of a
        path in the folder, relative and with /, whether a run of this kind writes it. Raises InputError if the folder
        cannot be made, or holds files of others, and RunError if another run writes the output now; the message names
        its process."""
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{output}: {path} cannot be created ({error.strerror})") from None
        run = cls(path, kind, Lock.take(path / LOCK, output), ours)
        try:
            check_folder(path, ours)
            for folder, _, _ in os.walk(path):
                sweep(Path(folder))
            run._restore_old(Path(os.path.realpath(output)))
        except BaseException:
            run.close()
            raise
        return run

    def mark(self, settings: Mapping[str, Any], kind: str | None = None, **more: Any) -> None:
        """Writes what the folder is made of."""
        about = {"generator": generator(kind or self.kind), "settings": dict(settings), **more}
        with atomic_path(self.path / MARK) as temporary:
            temporary.write_text(json.dumps(about, ensure_ascii=False) + "\n", encoding="utf-8")

    @property
    def rows(self) -> int:
        """Number of finished rows."""
        try:
            return int((self.path / ROWS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0

    @rows.setter
    def rows(self, count: int) -> None:
        (self.path / ROWS).touch()
        with open(self.path / ROWS, "r+b", buffering=0) as file:  # not emptied first
            file.write(f"{count:020d}".encode())

    def clear(self) -> None:
        """Removes everything but the lock. The files that mark something as finished are removed first, and the mark
        last."""
        (self.path / ROWS).unlink(missing_ok=True)
        _clear(self.path, self._ours)

    def publish(self, target: Path, *, replaces: bool = False) -> None:
        """Makes the folder the output, by a rename. With ``replaces``, an older output lies aside for that moment, and
        is then removed; otherwise the name must be free, or that of an empty folder.

        The names of the folder's files are on the disk before, since each was written by ``atomic_path``.
        """
        keep_mode(self.path, target)
        older = replaces and target.is_dir() and any(target.iterdir())
        aside = self.path.with_name(self.path.name + _OLD)
        lock = Lock.take(target / LOCK, target) if older else None
        try:
            if lock:
                if aside.exists():
                    raise InputError(f"{aside}: is in the way of {target}, which srfast replaces", hint="move it away")
                os.rename(target, aside)
                lock.path = aside / LOCK
            try:
                os.rename(self.path, target)
            except OSError:
                if lock:
                    os.rename(aside, target)
                    lock.path = target / LOCK
                raise
            self.path, self._lock.path = target, target / LOCK
            flush_folder(target.parent)
            tidy(target)
            self._lock.release()
            if lock:
                _clear(aside, self._ours)
        finally:
            if lock:
                lock.release()
                _remove_empty(aside)

    def _restore_old(self, output: Path) -> None:
        """Puts back an older output that a killed run had put aside, or removes it if the newer one exists."""
        aside = self.path.with_name(self.path.name + _OLD)
        if not aside.is_dir():
            return
        if kind_of(aside) is not None and not output.exists():
            os.rename(aside, output)
        elif kind_of(aside) is not None or all(map(_is_hidden, _names(aside))):
            with Lock.take(aside / LOCK, output):
                _clear(aside, self._ours)
            _remove_empty(aside)

    def close(self, *, keep: bool = False) -> None:
        """Releases the folder, and removes it if it holds nothing but its mark; ``keep`` leaves that too."""
        try:
            if self._lock.held and not keep and set(os.listdir(self.path)) <= {MARK, LOCK}:
                (self.path / MARK).unlink(missing_ok=True)
        finally:
            self._lock.release()
        _remove_empty(self.path)


def check_folder_name(path: str | os.PathLike[str]) -> Path:
    """The path of an output folder without symbolic links. Raises InputError if its name is that of the unfinished work
    for another output, which takes it, or nothing can replace what is there."""
    if (final := resolved(path)).name.endswith(PARTS):
        words = f"a name that ends in {PARTS} is that of unfinished work"
        raise InputError(f"{path}: {words}", hint="choose another output")
    check_replaceable(path, final)
    return final


def check_free(path: str | os.PathLike[str]) -> Path:
    """The same for a folder that must be new or empty."""
    final = check_folder_name(path)
    if final.exists() and not (final.is_dir() and not any(final.iterdir())):
        raise InputError(f"{path}: exists", hint="choose another output")
    return final


@contextmanager
def growing(output: str | os.PathLike[str], kind: str, ours: Callable[[str], bool]) -> Iterator[RunFolder]:
    """The folder ``<output>.parts``, which becomes ``output``, new or empty, at the end; otherwise it stays for another
    run. Raises InputError if ``output`` exists, or as ``RunFolder.take`` does, and RunError if the disk is full, or
    another run writes there now."""
    final = check_free(output)
    run = RunFolder.take(final.with_name(final.name + PARTS), kind, Path(output), ours)
    try:
        check_free(output)  # the run that held the folder until now may have finished
        yield run
        run.publish(final)
    except OSError as error:
        if error.errno in FULL:
            raise RunError(
                f"{output}: the disk is full ({error.strerror}); finished files are in {run.path}",
                hint="make room and continue with `resume`",
            ) from error
        if error.errno in _THERE:
            raise InputError(f"{output}: exists", hint="choose another output") from None
        raise
    finally:
        run.close()


def tidy(folder: Path) -> None:
    """Removes from an output what it needed only while it grew."""
    for name in (ROWS, NAMES):
        with suppress(OSError):
            (folder / name).unlink()


def check_folder(folder: Path, ours: Callable[[str], bool]) -> None:
    """Refuses a folder in which a file lies that no run writes, or that no run has marked and that is not empty. Raises
    InputError if there is one."""
    marked = kind_of(folder) is not None or (folder / NAMES).is_file()
    if foreign := [name for name in _names(folder) if not _is_hidden(name) and not (marked and ours(name))]:
        raise InputError(
            f"{folder}: holds {foreign[0]}, which srfast did not write", hint="move it away, or choose another output"
        )


def made_of(folder: Path) -> dict[str, Any] | None:
    """The settings in the mark of a folder; None if there are none that can be read."""
    try:
        known = json.loads((folder / MARK).read_bytes())["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if isinstance(known, dict) else None


class OtherSettings(InputError):
    """Raised for what was begun with other settings."""


def check_same(
    where: str | os.PathLike[str], saved: Mapping[str, Any], settings: Mapping[str, Any],
    names: Iterable[str] | None = None, *, done: str = "made", way: str = "", sums: Mapping[str, str] = {},
) -> None:  # fmt: skip
    """Refuses to continue what was ``done`` with other settings. OtherSettings then names the first that differs, with
    both of its values, in place of which ``sums`` has words if they say nothing; ``way`` says what to do."""
    if (other := first_difference(saved, settings, names)) is not None:
        name, was, now = other
        values = sums.get(name, f"{was!r}, got {now!r}")
        raise OtherSettings(f"{name}: {where} was {done} with {values}", hint=way)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _is_hidden(name: str) -> bool:
    last = name.rpartition("/")[2]
    return name in (MARK, LOCK, ROWS, NAMES) or re.fullmatch(TEMPORARY, last) is not None


def _names(folder: Path) -> list[str]:
    """The paths in a folder, relative and with /, those in a folder before it."""

    def unreadable(error: OSError) -> None:
        raise error

    names = []
    for parent, folders, files in os.walk(folder, topdown=False, onerror=unreadable):
        names += [(Path(parent) / name).relative_to(folder).as_posix() for name in sorted(files) + sorted(folders)]
    return names


def _clear(folder: Path, ours: Callable[[str], bool]) -> None:
    for name in _names(folder):
        if name in (MARK, LOCK) or not (_is_hidden(name) or ours(name)):
            continue
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    (folder / MARK).unlink(missing_ok=True)
