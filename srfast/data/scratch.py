"""Temporary files, and temporary working folders; those of killed runs are removed by the next run."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srfast.runtime.locks import OPEN_STAYS, hold, remove_held

TEMPORARY = re.compile(r"\.srfast-[0-9a-f]{8}-[0-9a-f]{16}(\..*)?")
"""A name of ``atomic_path``'s, until it becomes the file's."""


def sweep(folder: Path, prefix: str = "") -> None:
    """Removes temporary files of runs that no longer live."""
    for name in os.listdir(folder):
        if not name.startswith(prefix) or not TEMPORARY.fullmatch(name):
            continue
        with suppress(OSError):
            descriptor = os.open(folder / name, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            if hold(descriptor):
                remove_held(folder / name, descriptor)
            else:
                os.close(descriptor)


@contextmanager
def scratch_folder(beside: Path | None, purpose: str) -> Iterator[Path]:
    """Yields a hidden folder in ``beside``, and removes folders of the same purpose that no living run holds.

    Args:
        beside: An existing folder; None takes the system's for temporary files.
        purpose: A word of letters.
    """
    beside = beside or Path(tempfile.gettempdir())
    ours = re.compile(rf"\.srfast-{purpose}-[0-9a-f]{{16}}(\.held)?")
    for name in os.listdir(beside):
        if ours.fullmatch(name):
            with suppress(OSError):
                _remove(beside / name.removesuffix(".held"))
    folder, held = _new(beside, purpose)
    try:
        yield folder
    finally:
        if held >= 0:
            os.close(held)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            _beside(folder).unlink(missing_ok=True)


def _beside(folder: Path) -> Path:
    """The file that is open while a folder is in use, on systems that cannot open folders; it prevents a removal."""
    return folder.with_name(folder.name + ".held")


def _new(beside: Path, purpose: str) -> tuple[Path, int]:
    """Makes a folder, and returns it with the descriptor that holds it; -1 if it cannot be held."""
    for _ in range(3):
        folder = beside / f".srfast-{purpose}-{secrets.token_hex(8)}"
        if OPEN_STAYS:
            held = os.open(_beside(folder), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            folder.mkdir(0o700)
            return folder, held
        folder.mkdir(0o700)
        try:
            held = os.open(folder, os.O_RDONLY)
        except OSError:
            break
        # Another run may have taken it for one that nobody holds.
        if hold(held) and folder.exists():
            return folder, held
        os.close(held)
    folder.mkdir(0o700, exist_ok=True)
    return folder, -1


def _remove(folder: Path) -> None:
    if OPEN_STAYS:
        _beside(folder).unlink(missing_ok=True)
        shutil.rmtree(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0))
    try:
        if hold(descriptor):
            shutil.rmtree(folder)
    finally:
        os.close(descriptor)
