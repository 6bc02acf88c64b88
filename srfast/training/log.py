"""The output of a run: log.csv, TensorBoard if it is installed, and progress on stderr."""

from __future__ import annotations

import csv
import io
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from srfast.data.atomic import write_all
from srfast.data.files import output_file
from srfast.errors import RunError
from srfast.runtime.progress import Bar

NAME = "log.csv"
COLUMNS = ("step", "loss", "lr", "psnr", "ssim", "seconds", "data_seconds")


class Log:
    """The log of one run, written by its leading process: log.csv and, with TensorBoard installed, tensorboard/. Rows
    of later steps than ``first``, left by a run that was killed, are dropped."""

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
        # The text after the last end of a line is part of a row, and its step part of a number.
        whole = self._path.read_bytes().rpartition(b"\n")[0].decode(errors="replace")
        rows = [{k: r.get(k) or "" for k in COLUMNS} for r in csv.DictReader(whole.splitlines())]
        return [r for r in rows if r["step"].isdigit() and int(r["step"]) <= step]


log = logging.getLogger(__name__)


class Board:
    """Writes the rows of a run's log as scalars, each at once and on the calling thread.

    (PyTorch's SummaryWriter leaves the writing to a thread, which on a full disk dies with a traceback.) An error with
    the file ends TensorBoard for this run, with one warning, and not the training. TensorBoard drops points of earlier
    calls from the step ``first`` on.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self._folder = folder
        self._file: Any = None
        if not find_spec("tensorboard"):
            return
        with self._or_none():
            from tensorboard.compat.proto.event_pb2 import SessionLog

            folder.mkdir(exist_ok=True)
            name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"
            self._file = open(folder / name, "xb", buffering=0)
            self._add(file_version="brain.Event:2")
            self._add(step=first + 1, session_log=SessionLog(status=SessionLog.START))

    def write(self, row: dict[str, Any]) -> None:
        """Writes the columns of a row except its step."""
        with self._or_none():
            if self._file:
                from tensorboard.compat.proto.summary_pb2 import Summary

                values = [Summary.Value(tag=k, simple_value=float(v)) for k, v in row.items() if k != "step"]
                self._add(step=row["step"], summary=Summary(value=values))

    def close(self) -> None:
        with self._or_none():
            if self._file:
                self._file.close()

    def _add(self, **about: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        event = Event(wall_time=time.time(), **about)
        RecordWriter(SimpleNamespace(write=partial(write_all, self._file))).write(event.SerializeToString())

    @contextmanager
    def _or_none(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            file, self._file = self._file, None
            if file:
                with suppress(OSError):
                    file.close()
            log.warning(
                "%s: TensorBoard's file cannot be written (%s); log.csv continues", self._folder, error.strerror
            )
