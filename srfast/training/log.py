"""The output of a run: log.csv, TensorBoard if it is installed, and progress on stderr."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from srfast.data.atomic import write_all
from srfast.data.files import output_file
from srfast.errors import RunError
from srfast.runtime.progress import Bar
from srfast.training.board import Board

NAME = "log.csv"
COLUMNS = ("step", "loss", "lr", "psnr", "ssim", "seconds", "data_seconds")


class Log:
    """The log of one run, written by its leading process.

    Args:
        out: Folder of the run, for log.csv and, with TensorBoard installed, tensorboard/.
        first: First step of the run; rows of later steps, left by a run that was killed, are dropped.
        steps: Last step of the run.
        quiet: Whether to show no progress on stderr.
    """

    def __init__(self, out: Path, first: int, steps: int, quiet: bool = False) -> None:
        self._path = out / NAME
        kept = self._rows_until(first)
        with (
            output_file(self._path, "training log") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)
        # A row is one write: where it fails nothing is left in a buffer, for its end to fail again.
        self._file = open(self._path, "ab", buffering=0)
        self._board = Board(out / "tensorboard", first)
        self._bar = None if quiet else Bar("training", "updates")
        self._steps, self._text = steps, ""
        self.advance(first)

    def advance(self, step: int) -> None:
        if self._bar:
            self._bar.update(step, self._steps, self._text)

    def write(self, row: dict[str, Any]) -> None:
        """Writes one row; its keys are ``COLUMNS``, with psnr and ssim only after an evaluation."""
        line = io.StringIO()
        csv.DictWriter(line, COLUMNS).writerow(row)
        with self._explained():
            write_all(self._file, line.getvalue().encode())
        self._text = " ".join(f"{k} {row[k]}" for k in COLUMNS[1:5] if k in row)
        self.advance(row["step"])
        if self._bar and not self._bar.drawn and "psnr" in row:
            print(f"step {row['step']} {self._text}", file=sys.stderr, flush=True)
        self._board.write(row)

    def flush(self) -> None:
        """Flushes the rows to disk."""
        with self._explained():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._bar:
            self._bar.close()
        self._board.close()
        with self._explained():
            self._file.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"{self._path}: cannot be written ({error.strerror})") from None

    def _rows_until(self, step: int) -> list[dict[str, str]]:
        if step == 0 or not self._path.exists():
            return []
        # What follows the last end of a line is part of a row, and its step part of a number.
        whole = self._path.read_bytes().rpartition(b"\n")[0].decode(errors="replace")
        rows = [{k: r.get(k) or "" for k in COLUMNS} for r in csv.DictReader(whole.splitlines())]
        return [r for r in rows if r["step"].isdigit() and int(r["step"]) <= step]
