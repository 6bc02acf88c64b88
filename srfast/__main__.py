"""``python -m srfast`` and the command ``srfast``."""

from __future__ import annotations

import sys

from srfast.data import interrupts


def run() -> None:
    """Runs the command line; signals that come before it, in it and after it end in one line or in none."""
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


if __name__ == "__main__":
    run()
