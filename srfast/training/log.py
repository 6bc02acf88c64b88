"""The output of a run: log.csv, TensorBoard if it is installed, and progress on stderr."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from srfast.data.atomic import write_all
from srfast.data.files import output_file
from srfast.errors import RunError
from srfast.runtime.progress import Bar

log = logging.getLogger(__name__)
NAME = "log.csv"
COLUMNS = ("step", "loss", "lr", "psnr", "ssim", "seconds", "data_seconds")


class Log:
    """The log of one run, written by its leading process: log.csv and, with TensorBoard installed, tensorboard/. Rows
    of later steps than ``first``, left by a run that was killed, are dropped, and so is a row that was cut short."""

    def __init__(self, out: Path, first: int, steps: int, quiet: bool = False) -> None:
        self._path = out / NAME
        rows = self._path.read_bytes().splitlines(keepends=True) if first and self._path.exists() else []
        steps_of = [(row.split(b",")[0], row) for row in rows if row.endswith(b"\n")]
        kept = [row for step, row in steps_of if step.isdigit() and int(step) <= first]
        with output_file(self._path, "training log") as temporary:
            temporary.write_bytes(b"".join([_row(COLUMNS), *kept]))
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
        with self._explained():
            write_all(self._file, _row(row.get(k, "") for k in COLUMNS))
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
        self._file.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"{self._path}: cannot be written ({error.strerror})") from None


def _row(values: Iterable[object]) -> bytes:
    return (",".join(map(str, values)) + "\r\n").encode()


class Board:
    """Writes the rows of a run's log as scalars, each at once and on the calling thread.

    (PyTorch's SummaryWriter leaves the writing to a thread, which on a full disk dies with a traceback.) An error with
    the file ends TensorBoard for this run, with one warning, and not the training. TensorBoard drops points of earlier
    calls from the step ``first`` on.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self._folder = folder
        self._file: Any = None
        self._used = find_spec("tensorboard") is not None
        if self._used:
            from tensorboard.compat.proto.event_pb2 import SessionLog

            self._add(file_version="brain.Event:2")
            self._add(step=first + 1, session_log=SessionLog(status=SessionLog.START))

    def write(self, row: dict[str, Any]) -> None:
        """Writes the columns of a row except its step."""
        if self._used:
            from tensorboard.compat.proto.summary_pb2 import Summary

            values = [Summary.Value(tag=k, simple_value=float(v)) for k, v in row.items() if k != "step"]
            self._add(step=row["step"], summary=Summary(value=values))

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _add(self, **about: Any) -> None:
        if not self._used:
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        now = time.time()
        try:
            if self._file is None:
                self._folder.mkdir(exist_ok=True)
                name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"
                self._file = open(self._folder / name, "xb", buffering=0)
            event = Event(wall_time=now, **about).SerializeToString()
            RecordWriter(SimpleNamespace(write=partial(write_all, self._file))).write(event)
        except OSError as error:
            self._used = False
            log.warning(
                "%s: TensorBoard's file cannot be written (%s); log.csv continues", self._folder, error.strerror
            )
