"""Commands in forked processes that have everything imported, under the shim that lets file events end them or fail."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import importlib
import io
import itertools
import os
import secrets
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COUNT, KILL, TEAR, FAIL, FILL, PAUSE = range(6)
"""What the shim does (``fault.c``)."""
LOOKS, TAKES, WRITES, FREES = range(4)
"""Kinds of events."""
LIMIT = 600.0  # seconds after which a run hangs, on a machine that may be busy
_BEGAN = time.time_ns()


class Launch:
    """A command in a forked process; with ``roots`` the file events below them count, and one of them may fail.

    ``draws`` tells runs apart that are there together: random names are drawn from it, and the clock stands still, so
    that the same run leaves the same bytes.
    """

    shim: Any = None
    run: Callable[[list[str]], int]
    """The command line: arguments to exit code."""

    def __init__(self, arguments: list[str], *, roots: list[Path] | None = None, what: int = COUNT, event: int = -1,
                 error: int = 0, trace: Path | None = None, modules: Path | None = None,
                 draws: str = "") -> None:  # fmt: skip
        self._out, self._err = os.memfd_create("stdout"), os.memfd_create("stderr")
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                _repeat(draws)
                os.dup2(os.open(os.devnull, os.O_RDWR), 0)
                os.dup2(self._out, 1)
                os.dup2(self._err, 2)
                sys.stdout, sys.stderr = (io.TextIOWrapper(open(n, "wb", 0), write_through=True) for n in (1, 2))
                log = -1 if trace is None else os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
                if roots is not None:
                    paths = "\n".join(map(str, roots)).encode()
                    self.shim.fault_arm(paths, what, ctypes.c_long(event), error, log)
                code = type(self).run(arguments)
                if modules is not None:
                    modules.write_text("\n".join(sys.modules))
            finally:
                if self.shim is not None:
                    self.shim.fault_disarm()
                os._exit(code)

    def stops(self) -> bool:
        """Waits until it is paused, or has ended."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            self._status = status
        return self._status is None

    def goes_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends by itself in that time."""
        pid = os.pidfd_open(self.pid)
        ended = select.select([pid], [], [], seconds)[0]
        os.close(pid)
        return bool(ended)

    def end(self) -> tuple[int | str, str, str]:
        """Exit code, or "hung"; what was said on stdout and on stderr."""
        hung, status = False, self._status
        if status is None:
            hung = not self.ends_within(LIMIT)
            if hung:
                os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
        texts = []
        for descriptor in (self._out, self._err):
            texts.append(os.pread(descriptor, 1 << 20, 0).decode(errors="replace"))
            os.close(descriptor)
        return "hung" if hung else os.waitstatus_to_exitcode(status), texts[0], texts[1]


def _repeat(draws: str) -> None:
    count = itertools.count()
    secrets.token_hex = lambda n=16: hashlib.sha256(f"{draws} {next(count)}".encode()).hexdigest()[: 2 * n]
    time.perf_counter = lambda: 0.0
    time.time, time.time_ns = (lambda: _BEGAN / 1e9), (lambda: _BEGAN)


def _main(arguments: list[str]) -> int:
    from srfast.cli import main

    try:
        main(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        return 71
    return 0


Launch.run = staticmethod(_main)


def load(lines: list[list[str]], room: Path) -> None:
    """Imports whatever these command lines import, so that it is there in each fork."""
    for line in lines:
        listed = room / "modules"
        code, _, err = Launch(line, modules=listed).end()
        assert code == 0, f"{line}: {err}"
        for name in listed.read_text().splitlines():
            if name not in sys.modules:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
