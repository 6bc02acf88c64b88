"""Progress of long work: a bar in a terminal or a notebook, and elsewhere a line every 30 seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Progress = Callable[[int, int, int], None]
"""A function that is called with (parts of the work done, parts in all, smaller units that this run has done)."""
EVERY = 30.0
"""Seconds between two lines, if no bar is shown."""


def clock(seconds: float) -> str:
    """Seconds as text for a person: 40 s, 21 min, 3 h 30 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Lines:
    """Writes a line every ``EVERY`` seconds until it is closed, on stderr for None, so that a log shows that the work
    continues."""

    def __init__(self, line: Callable[[], str], write: Callable[[str], None] | None = None) -> None:
        over = threading.Event()
        self.close = over.set

        def watch() -> None:
            while not over.wait(EVERY):
                with suppress(OSError):  # a closed pipe ends no work
                    write(line()) if write else print(f"srfast: {line()}", file=sys.stderr, flush=True)

        threading.Thread(target=watch, name="srfast-progress", daemon=True).start()


class Bar:
    """A progress bar in a terminal or a notebook, and elsewhere lines on stderr, also while one part takes long."""

    def __init__(self, title: str, parts: str) -> None:
        from rich.console import Console

        self._title, self._parts = title, parts
        self._done = self._total = self._first = 0
        self._text = ""
        self._began = time.monotonic()
        self._bar: Any = None
        console = Console(stderr=True)
        if console.is_terminal or console.is_jupyter:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as RichBar

            self._bar = RichBar(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TextColumn(parts + "  {task.fields[text]}"), TimeElapsedColumn(), TimeRemainingColumn(),
                console=console, transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task(title, total=None, text="")
            self._bar.start()
        self.close = self._bar.stop if self._bar else Lines(self.line).close

    @property
    def drawn(self) -> bool:
        """Whether a bar is shown, and not lines."""
        return self._bar is not None

    def update(self, done: int, total: int, text: str = "") -> None:
        """Records how much is done now."""
        if not self._total:
            self._first = done
        self._done, self._total, self._text = done, total, text
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, text=text)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def line(self) -> str:
        """The progress as one line of text."""
        done = self._done - self._first
        left = f", about {clock(self.seconds / done * (self._total - self._done))} left" if done else ""
        text = f", {self._text}" if self._text else ""
        of = f"{self._done:,} of {self._total:,} {self._parts}" if self._total else "starting"
        return f"{self._title}: {of}{text}, {clock(self.seconds)}{left}"


@contextmanager
def shown(progress: Progress | bool | None, title: str, unit: str, parts: str = "images") -> Iterator[Progress]:
    """The function to call with progress: the caller's own, that of a bar for True, or one that does nothing. The bar
    of a work such as "scoring" counts ``parts``, and shows the rate of the smaller ``unit``."""
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda done, total, small: None
        return
    bar = Bar(title, parts)

    def update(done: int, total: int, small: int) -> None:
        bar.update(done, total, f"{small / bar.seconds:,.0f} {unit}/s" if small and bar.seconds > 0.5 else "")

    try:
        yield update
    finally:
        bar.close()
