"""What every format does."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol

from srfast.exporting.plan import Plan
from srfast.exporting.stream import Pair

INDEX = "patches.parquet"
"""Beside folders and databases: the core-set's rows and metadata, and the name of each patch."""
SHARD_BYTES = 256 << 20
"""Of pixels in a shard: about 150 MB of files."""


class Writer(Protocol):
    """Writes a plan into a folder; made with the rows that an interrupted run has finished."""

    written: int
    """Rows, from the first on, that would outlive the end of the process."""

    def __init__(self, folder: Path, plan: Plan, written: int) -> None: ...

    def add(self, pairs: list[Pair]) -> None:
        """Takes the next rows."""

    def finish(self) -> None:
        """Completes the files."""

    def close(self) -> None:
        """Frees what is held; called after ``finish`` and after an error, without losing finished rows."""


class Reader(Protocol):
    """Reads an export back the way trainers do: (name, HR file, LR file) for everything it holds."""

    def __call__(self, folder: Path, plan: Plan) -> Generator[tuple[str, bytes, bytes | None], None, None]: ...


def shape_of(plan: Plan, row: int, *, lr: bool) -> str:
    """(H,W,C) as meta_info.txt has it."""
    side = int(plan.patches.size[row]) // (plan.scale if lr else 1)
    return f"({side},{side},3)"


def sides(plan: Plan) -> list[tuple[str, bool]]:
    """The folders of an export and whether each is the LR one."""
    return [("HR", False), (plan.lr_folder, True)] if plan.lr else [("HR", False)]


def is_one_line(name: str) -> bool:
    """Whether no reader of a text, Python's ``splitlines`` included, sees a line break in a name: LF, CR, NEL, ..."""
    return len(name.splitlines()) == 1 and name.splitlines()[0] == name


def write_lines(path: Path, lines: Iterator[str]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def shard_rows(plan: Plan) -> int:
    return max(1, SHARD_BYTES // plan.pair_bytes())


def shard_count(plan: Plan) -> int:
    return -(-len(plan) // shard_rows(plan))
