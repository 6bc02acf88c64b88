"""TensorBoard, if it is installed: a second view of log.csv."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from srfast.data.atomic import write_all

log = logging.getLogger(__name__)


class Board:
    """Writes the rows of a run's log as scalars, each at once and on the calling thread.

    (PyTorch's SummaryWriter leaves the writing to a thread, which on a full disk dies with a traceback.) An error with
    the file ends TensorBoard for this run, with one warning, and not the training.

    Args:
        folder: Folder of the event files, one for each call.
        first: First step of the run; TensorBoard drops later points of earlier calls.
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
            log.warning("%s: TensorBoard's file cannot be written (%s); log.csv goes on", self._folder, error.strerror)
