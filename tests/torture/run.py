"""File events, damaged files and tables, hostile input; prints one table of runs and outcomes (``make torture``).

Every file event of every command is gone through once each way (``events.py``); the rest is drawn at random.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# PYTHONSAFEPATH keeps a script's own folder off the path.
sys.path.insert(0, str(Path(__file__).parent))

import damaged
import fuzzed
import shim
from harness import HEAD, Tally, say


def events(work: Path, step: int, jobs: int) -> list[Tally]:
    """One row a command."""
    work.mkdir()
    library = shim.build(work)
    if library is None:
        return [Tally("file events", outcomes={"not run: needs Linux and a C compiler": 0})]
    rows = work / "rows.json"
    shim.run(work / "events", library, "--step", str(step), "--jobs", str(jobs), "--rows", str(rows))
    if not rows.exists():
        return [Tally("file events", lost=["they did not come to an end"])]
    return [Tally(**row) for row in json.loads(rows.read_text())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--step", type=int, default=1, help="every so many of the runs at file events")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="commands at a time")
    parser.add_argument("--fuzz", type=float, default=120, help="seconds of hostile input of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    rng = random.Random(options.seed)
    say(HEAD)
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        work = Path(name)
        tallies = [
            *events(work / "events", options.step, options.jobs),
            damaged.tables(work / "tables", options.tables, rng),
            damaged.mutated(work / "files", options.files, rng),
        ]
        with ThreadPoolExecutor(options.jobs) as pool:
            tallies += pool.map(lambda target: fuzzed.tally(target, options.fuzz, options.seed), fuzzed.TARGETS)
    say(HEAD)
    for tally in tallies:
        say(tally.line())
    disturbed = sum(t.runs for t in tallies if t.events is not None)
    cpu = sum(t.cpu for t in tallies)
    say(
        f"{sum(t.events or 0 for t in tallies)} file events of undisturbed runs, gone through in {disturbed} runs, "
        f"{cpu:.0f} s of CPU time"
    )
    lost, untidy = sum(len(t.lost) for t in tallies), sum(len(t.untidy) for t in tallies)
    say(f"{lost} lost; {untidy} untidy; {time.monotonic() - began:.0f} s; seed {options.seed}")
    sys.exit(1 if lost or untidy else 0)


if __name__ == "__main__":
    main()
