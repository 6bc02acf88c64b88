"""Ctrl-C, SIGTERM and SIGHUP: the first signal ends the work at a point where it is whole, the second ends the process.

The command line imports this module before anything else, so it imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CODE = 130
"""The command line's exit code after an interrupt."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
APART = 0.5
"""Seconds within which several signals count as one, since a launcher forwards a Ctrl-C that a process already had."""

_IMPORT = "<frozen importlib._bootstrap>"

_installed = False
_first: float | None = None
_again = False
"""Whether the signal that arrives now is the first one, deferred."""
_waiting: list[Callable[[], object]] = []
"""One function for each body of ``finishing`` that runs now, called at the first signal."""
_flag: str | None = None
"""A file whose existence counts as the first signal."""


def install() -> None:
    """Takes the signals over for the command line; ignored ones (as under nohup) remain ignored."""
    global _installed
    _installed = True
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    # Raised inside a callback of C code, the interrupt is printed and lost; it then comes again.
    sys.unraisablehook = _unraisable
    # Raised while C code imports a module, the interrupt is printed and turned into an error of that code's own.
    sys.excepthook = _uncaught


def hand_back() -> None:
    """Gives the signals back to the system, since nothing is left to finish: the next one ends the process silently."""
    for number in SIGNALS:
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_DFL)


def interrupted() -> bool:
    """Whether a signal has come, or the file of ``obey`` exists."""
    return _first is not None or (_flag is not None and os.path.exists(_flag))


def obey(flag: str) -> None:
    """Takes the existence of a file for the first signal, in a process that another one ends in this way."""
    global _flag
    _flag = flag


@contextmanager
def kept_from_children() -> Iterator[None]:
    """Blocks the signals in the processes and threads that the body starts, for as long as these live.

    A signal of this process that comes meanwhile arrives at the end of the body. Windows has no such thing.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def finishing(tell: Callable[[], object] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Defers the first signal while the body runs; the callable that the body gets then returns True. ``tell`` is
    called at that signal, to notify other processes.

    The body should end as soon as its work is whole, after which KeyboardInterrupt is raised. A second signal ends the
    process under the command line, and raises KeyboardInterrupt elsewhere. In threads other than the main one, and in
    programs with handlers of their own, signals are left alone.
    """
    global _first
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    standard = () if _installed else (signal.default_int_handler, signal.SIG_DFL)
    old = {n: signal.signal(n, _handle) for n in SIGNALS if signal.getsignal(n) in standard}
    _waiting.append(tell)
    try:
        yield interrupted
    finally:
        stopped = interrupted()
        _waiting.remove(tell)
        for number, handler in old.items():
            signal.signal(number, handler)
        if old:
            _first = None
    if stopped:
        raise KeyboardInterrupt


def leave(code: int) -> None:
    """Ends the process at once, without the interpreter's clean-up, which working threads could make abort."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a closed pipe
            stream.flush()
    os._exit(code)


def _handle(number: int, frame: FrameType | None) -> None:
    global _first, _again
    now = time.monotonic()
    if _first is None or _again:
        _first, _again = _first or now, False
        if _waiting:
            for tell in tuple(_waiting):
                tell()
            return
        while frame is not None and frame.f_code.co_filename != _IMPORT:
            frame = frame.f_back
        if frame is None:
            raise KeyboardInterrupt
        # C++ that is being imported (torch) ends the process where an interrupt is raised in its initialisation.
        _put_off(number)
    elif not _installed:
        raise KeyboardInterrupt
    elif now - _first > APART:
        with suppress(OSError, ValueError, AttributeError):
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h\n")  # shows the cursor, which a progress bar hides
        os._exit(CODE)


def _put_off(number: int) -> None:
    def come_again() -> None:
        global _again
        if signal.getsignal(number) is _handle:
            _again = True
            # To the main thread: what it waits for in C (a sleep, a lock, a pipe) ends, and the handler runs.
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(threading.main_thread().ident or 0, number)
            else:
                signal.raise_signal(number)

    again = threading.Timer(0.05, come_again)
    again.daemon = True
    again.start()


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


def _unraisable(lost: Any) -> None:
    if isinstance(lost.exc_value, KeyboardInterrupt):
        taken = next((n for n in SIGNALS if signal.getsignal(n) is _handle), None)
        if taken is not None:
            _put_off(taken)
    elif not interrupted():  # what falls over on the way out is of no use to anybody
        sys.__unraisablehook__(lost)
