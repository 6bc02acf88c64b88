"""``python -m srfast`` and the command ``srfast``."""

from __future__ import annotations

import os
import sys

from srfast.runtime import interrupts


def run() -> None:
    """Runs the command line. A signal ends it with one line or silently, even while Python loads or shuts down."""
    _open_streams()
    _spare_memory()
    interrupts.install()
    code: int | str | None = 0
    try:
        try:
            from srfast.cli import main

            main()
        except SystemExit as stop:
            code = stop.code
        interrupts.hand_back()
    except KeyboardInterrupt:
        code = interrupts.CODE
        sys.stderr.write("srfast: error: interrupted\n")
    if interrupts.interrupted():
        interrupts.leave(code if isinstance(code, int) else interrupts.CODE)
    sys.exit(code)


def _spare_memory() -> None:
    """Uses the system's memory allocator for Arrow where memory is limited (``ulimit -v``), since Arrow's own
    allocators reserve much and abort the process when they cannot, and keeps one of them from starting a thread on
    import."""
    try:
        import resource

        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
            os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    except ImportError:  # not on Windows
        pass


def _open_streams() -> None:
    """Opens streams that the shell closed (``2>&-``) to nowhere, since the next file would get their number and
    output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False, encoding="utf-8"))


if __name__ == "__main__":
    run()
