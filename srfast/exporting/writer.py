"""The interface of formats."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from srfast.exporting.arrangement import Arrangement
from srfast.exporting.stream import EncodedPair

INDEX = "patches.parquet"
"""File beside folders and databases with the core-set's rows and metadata, and the name of each patch."""
SHARD_BYTES = 256 << 20
"""Bytes of the pixels in a shard, about 150 MB of files."""


class Writer(Protocol):
    """Writes a plan into a folder; it is made with the number of rows that an interrupted run has finished.

    It counts only those of them whose files exist: a file may have been removed, or left empty by a power cut.
    """

    written: int
    """Number of rows, from the first on, that would survive the end of the process."""

    def __init__(self, folder: Path, plan: Arrangement, written: int) -> None: ...

    def add(self, pairs: list[EncodedPair]) -> None:
        """Writes the next rows."""

    def finish(self) -> None:
        """Completes the files."""

    def close(self) -> None:
        """Frees resources; it is called after ``finish`` and after an error, and loses no finished rows."""


class Reader(Protocol):
    """Reads an export back as trainers do: (name, HR file, LR file) for every pair."""

    def __call__(self, folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]: ...


def shape_of(plan: Arrangement, row: int, *, lr: bool) -> str:
    """(H,W,C) as written in meta_info.txt."""
    side = int(plan.patches.size[row]) // (plan.scale if lr else 1)
    return f"({side},{side},{plan.channels})"


def sides(plan: Arrangement) -> list[tuple[str, bool]]:
    """The folders of an export, each with whether it is the LR one."""
    return [("HR", False), (plan.lr_folder, True)] if plan.lr else [("HR", False)]


def is_one_line(name: str) -> bool:
    """Whether no reader of a text, including Python's ``splitlines``, sees a line break in a name: LF, CR, NEL, ..."""
    return len(name.splitlines()) == 1 and name.splitlines()[0] == name


def write_lines(path: Path, lines: Iterator[str]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_meta_info(folder: Path, plan: Arrangement, files: Sequence[str] | None = None) -> None:
    """Writes BasicSR's list of HR files, those of the plan's names or others."""
    files = files or [f"{name}.{plan.suffix}" for name in plan.names]
    lines = (f"{file} {shape_of(plan, row, lr=False)}" for row, file in enumerate(files))
    write_lines(folder / "meta_info.txt", lines)


def count_complete(folder: Path, names: Sequence[str]) -> int:
    """The number of these files, from the first on, that exist in a folder and are not empty."""
    with os.scandir(folder) as entries:
        known = {entry.name for entry in entries if entry.is_file() and entry.stat().st_size}
    return next((i for i, name in enumerate(names) if name not in known), len(names))


def shard_rows(plan: Arrangement) -> int:
    return max(1, SHARD_BYTES // plan.pair_bytes())


def shard_count(plan: Arrangement) -> int:
    return -(-len(plan) // shard_rows(plan))
