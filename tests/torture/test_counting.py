"""What the torture counts as a kill."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = {
    "ended before": ("pass", 20.0),
    "killed": ("import time; time.sleep(60)", 1.0),
    "interrupted": ("import signal, sys, time; signal.signal(15, lambda *_: sys.exit(130)); time.sleep(60)", 1.5),
    "whole all the same": ("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(3)", 1.5),
    "error": ("import signal, sys, time; signal.signal(15, lambda *_: sys.exit(1)); time.sleep(60)", 1.5),
}


@pytest.mark.parametrize("outcome", PROGRAMS)
def test_only_what_a_signal_ended_is_a_kill(outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import harness
    import killed

    program, after = PROGRAMS[outcome]
    monkeypatch.setattr(
        killed,
        "start",
        lambda work, line: subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ),
    )
    tally = harness.Tally("a row")
    assert killed.end_early(tmp_path, ["score"], [signal.SIGTERM], after, tally, random.Random(0)) == outcome
    assert (outcome in killed.ENDED.values()) == (outcome in ("killed", "interrupted"))
    assert bool(tally.untidy) == (outcome == "error")
