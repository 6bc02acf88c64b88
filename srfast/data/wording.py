"""Wording for files and folders that cannot be written to."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path


def no_folder(folder: Path) -> str:
    """Why a folder cannot be written to, and the command that makes it."""
    if any(p.is_file() for p in (folder, *folder.parents)):
        return f"{folder} does not exist or is a file"
    return f"{folder} does not exist; make it: mkdir -p {shlex.quote(str(folder))}"


def a_kind(kind: str) -> str:
    """A kind of file with its article."""
    return f"{'an' if kind[0].lower() in 'aeio' else 'a'} {kind}"


def thing(path: Path) -> str:
    """What lies at a path, in words: a directory, a file, a device, ..."""
    kinds = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(os.stat(path).st_mode), "device")
