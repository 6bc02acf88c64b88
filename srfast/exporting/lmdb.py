"""HR.lmdb/ and LRx2.lmdb/, which BasicSR and neosr read."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import lmdb

from srfast.data.atomic import FULL
from srfast.errors import RunError
from srfast.exporting.arrangement import Arrangement
from srfast.exporting.encode import EncodedPair
from srfast.exporting.folder import write_lines

_COMMIT_BYTES = 32 << 20
"""Bytes of encoded files in a transaction, which an interrupted run may lose and LMDB holds in memory."""

_LEVEL = 1
"""The third word of a line of meta_info.txt, which no reader uses."""


class Lmdb:
    """Two databases from NAME to the bytes of its file, each with a meta_info.txt of lines NAME.png (H,W,3) LEVEL."""

    def __init__(self, folder: Path, plan: Arrangement, written: int) -> None:
        self.folder, self.plan, self.written = folder, plan, written
        self._held = 0
        self._environments: dict[bool, Any] = {}
        self._transactions: dict[bool, Any] = {}
        try:
            with self._explained():
                for name, lr in plan.sides:
                    path = folder / f"{name}.lmdb"
                    path.mkdir(exist_ok=True)
                    for file in () if written else ("data.mdb", "lock.mdb"):
                        (path / file).unlink(missing_ok=True)  # of a run that ended in its first pages
                    # Flushed to disk once, in finish.
                    self._environments[lr] = lmdb.open(str(path), map_size=_room(plan, lr), sync=False, metasync=False)
                if any(e.stat()["entries"] < written for e in self._environments.values()):
                    self.written = 0
                self._commit()
        except BaseException:
            self.close()
            raise

    def add(self, pairs: list[EncodedPair]) -> None:
        with self._explained():
            for pair in pairs:
                key = self.plan.names[pair.row].encode("ascii")
                for lr, value in ((False, pair.hr), (True, pair.lr)):
                    if value is not None:
                        # Appended where the key comes after all others, which fills pages; else wherever it belongs.
                        if not self._transactions[lr].put(key, value, append=True):
                            self._transactions[lr].put(key, value)
                        self._held += len(value)
            if self._held >= _COMMIT_BYTES:
                self._commit()
                self.written = pairs[-1].row + 1

    def finish(self) -> None:
        with self._explained():
            self._commit()
            for environment in self._environments.values():
                environment.sync(True)
        for name, lr in self.plan.sides:
            lines = (
                f"{key}.{self.plan.suffix} {self.plan.shape(row, lr=lr)} {_LEVEL}"
                for row, key in enumerate(self.plan.names)
            )
            write_lines(self.folder / f"{name}.lmdb" / "meta_info.txt", lines)

    def close(self) -> None:
        for transaction in self._transactions.values():
            transaction.abort()
        for environment in self._environments.values():
            environment.close()

    def _commit(self) -> None:
        """Commits the transactions, and begins others."""
        for transaction in self._transactions.values():
            transaction.commit()
        self._transactions = {lr: e.begin(write=True) for lr, e in self._environments.items()}
        self._held = 0

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """LMDB's errors as one line; for a full disk the system's error, since LMDB reports a truncated write
        as EIO."""
        try:
            yield
        except lmdb.Error as error:
            number = next((n for n in FULL if os.strerror(n) in str(error)), None)
            if number is not None:
                raise OSError(number, os.strerror(number)) from None
            for name, _ in self.plan.sides:
                _check_room(self.folder / f"{name}.lmdb" / "data.mdb", self._held)
            raise RunError(f"{self.folder}: LMDB cannot write ({error})") from error


def _check_room(path: Path, size: int) -> None:
    """Raises the system's error if a file cannot grow, since LMDB reports a write that a full disk truncates as EIO."""
    if not path.exists():
        return
    before = path.stat().st_size
    try:
        with open(path, "ab") as file:
            file.write(bytes(size))
    finally:
        os.truncate(path, before)


def _room(plan: Arrangement, lr: bool) -> int:
    """More bytes than the database can take; the file has only the size of what is written.

    A file takes at most its pixels and 4 KiB more, in whole pages of 4 KiB; a key of 120 to 160 bytes has its own leaf.
    """
    side = plan.patches.size // (plan.scale if lr else 1)
    return int((plan.channels * plan.patches.depth // 8 * side**2 * 1.01 + 4 * 4096).sum()) + (16 << 20)


def read_lmdb(folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]:
    """Reads pairs by meta_info.txt, whose keys end at the first dot and must be the same on both sides."""
    lists = {name: (folder / f"{name}.lmdb" / "meta_info.txt").read_text("utf-8") for name, _ in plan.sides}
    keys = {name: [line.split(".")[0] for line in text.splitlines()] for name, text in lists.items()}
    if plan.lr and set(keys["HR"]) != set(keys[plan.lr_folder]):
        raise RunError(f"{folder}: the keys of HR.lmdb and {plan.lr_folder}.lmdb are not the same")
    options = {"readonly": True, "lock": False, "readahead": False, "meminit": False}
    with ExitStack() as stack:
        transactions = []
        for name, _ in plan.sides:
            environment = stack.enter_context(closing(lmdb.open(str(folder / f"{name}.lmdb"), **options)))
            _check_complete(folder / f"{name}.lmdb" / "data.mdb", environment)
            transactions.append(environment.begin())
        for key in keys["HR"]:
            values: list[Any] = [t.get(key.encode("ascii")) for t in transactions]
            yield key, values[0], values[1] if plan.lr else None


def _check_complete(path: Path, environment: Any) -> None:
    """Refuses a truncated database, since reading a page behind the end of a mapped file ends the process."""
    expected = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if path.stat().st_size < expected:
        raise RunError(f"{path}: expected {expected} bytes, got {path.stat().st_size}; it has been cut short")
