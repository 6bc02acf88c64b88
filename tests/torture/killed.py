"""Random signals at random moments, and disks that fill up; each run then goes on to its end, undisturbed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import Case, Tally, commands, finish, say, start

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENDED = {130: "interrupted", **{-s: "killed" for s in SIGNALS}}
"""Exit codes of processes that a signal, or its handler, ended."""
ON_DISKS = ("score", "select", "export", "train")


def wake() -> None:
    """Children get SIGINT and SIGHUP as a shell in the foreground gives them, even where this process ignores them."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def references(work: Path) -> dict[str, tuple[str, float]]:
    """Of each command the digest of a run that was never disturbed, and its seconds."""
    out = {}
    for command in commands(work):
        path = work / f"reference {command.output}"
        code, err, seconds = finish(work, [*command.arguments, str(path)])
        assert code == 0, f"{command.name}: {err}"
        out[command.name] = command.content(path), seconds
    return out


def kills(work: Path, right: dict[str, tuple[str, float]], wanted: int, jobs: int, seed: int) -> list[Tally]:
    """At least ``wanted`` processes that a signal ended, spread over all commands."""
    every = commands(work)
    # The slow ones first, so that no thread is left with them at the end.
    order = sorted(range(len(every)), key=lambda i: -right[every[i].name][1])
    with ThreadPoolExecutor(jobs) as pool:
        runs = {
            i: pool.submit(kill, work, every[i], *right[every[i].name], -(-wanted // len(every)), f"{seed} {i}")
            for i in order
        }
        return [runs[i].result() for i in range(len(every))]


def kill(work: Path, command: Case, right: str, seconds: float, wanted: int, seed: str) -> Tally:
    """Chains of one to four signalled launches and one undisturbed end, until ``wanted`` signals have hit."""
    tally, rng = Tally(f"killed: {command.name}", signalled=0), random.Random(seed)
    assert tally.signalled is not None
    room = work / f"killed {command.name}"
    room.mkdir()
    # Seconds that a launch takes where nothing disturbs it: a first one, and one that goes on.
    takes = {False: seconds, True: seconds}
    chain = 0
    while tally.signalled < wanted:
        if tally.runs >= 10 * wanted:
            tally.blame(f"only {tally.signalled} of {tally.runs} signals hit")
            break
        output = room / f"{chain} {command.output}"
        chain += 1
        line, again = [*command.arguments, str(output)], False
        for _ in range(min(rng.randint(1, 4), wanted - tally.signalled)):
            signals = [rng.choice(SIGNALS)]
            if signals[0] != signal.SIGKILL and rng.random() < 0.3:
                signals.append(rng.choice(SIGNALS))
            began = time.monotonic()
            outcome = end_early(work, line, signals, rng.uniform(0.05, 1) * takes[again], tally, rng)
            tally.count(outcome)
            tally.signalled += outcome in ENDED.values()
            took, was_again = time.monotonic() - began, again
            if command.again:
                line, again = [*command.arguments, str(output), *command.again], True
            if outcome == "ended before":
                takes[was_again] = (takes[was_again] + took) / 2
                break
        code, err, last = finish(work, line)
        if outcome != "ended before":
            takes[again] = (takes[again] + last) / 2
        if code or command.content(output) != right:
            tally.lose(f"{command.name}: {code} {err[-500:]}")
        if litter := [p.name for p in room.rglob(".srfast-*")] + [p.name for p in room.glob("*.parts")]:
            tally.blame(f"{command.name} left {litter}")
        shutil.rmtree(output) if output.is_dir() else output.unlink(missing_ok=True)
        say(f"  {command.name}: {tally.signalled} of {wanted} signalled, {tally.runs} launches")
    return tally.finish()


def end_early(
    work: Path, line: list[str], signals: list[signal.Signals], after: float, tally: Tally, rng: random.Random
) -> str:
    """Runs a command and signals it; how it ended."""
    process = start(work, line)
    try:
        process.communicate(timeout=after)
        return "ended before"
    except subprocess.TimeoutExpired:
        pass
    if process.poll() is not None:
        process.communicate()
        return "ended before"
    names = [s.name for s in signals]
    for number in signals:
        process.send_signal(number)
        time.sleep(rng.random() * 1.2 if len(signals) > 1 else 0)
    try:
        _, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        tally.blame(f"{line[0]} did not end within two minutes of {names}")
        return "hung"
    code = process.returncode
    if code not in {0, *ENDED} or "Fatal" in err or ("Traceback" in err and "srfast/" in err):
        tally.blame(f"{line[0]} {names}: {code} {err[-600:]}")
        return "error"
    return ENDED.get(code, "whole all the same")


def disks(work: Path, right: dict[str, tuple[str, float]], wanted: int, jobs: int, rng: random.Random) -> Tally:
    """Small disks that fill up, then grow: the run ends in one line, and goes on to the right output."""
    tally = Tally("full disks")
    every = [c for c in commands(work) if c.name in ON_DISKS]
    try:
        with ThreadPoolExecutor(jobs) as pool:
            while (missing := wanted - tally.outcomes.get("full, in one line", 0)) > 0 and tally.runs < 4 * wanted:
                tries = [(every[i % len(every)], tally.runs + i, rng.uniform(0.1, 0.9)) for i in range(missing)]
                for outcome in pool.map(lambda t: disk(work, *t, right, tally), tries):
                    tally.count(outcome)
                say(f"  full disks: {tally.outcomes.get('full, in one line', 0)} of {wanted}")
    except PermissionError:
        tally.outcomes["not run: no right to mount a tmpfs"] = wanted
    return tally.finish()


def size_of(path: Path) -> int:
    """KiB that a file or a folder takes on a disk of 4 KiB pages."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(-(-p.stat().st_size // 4096) for p in files) * 4


def disk(
    work: Path, command: Case, number: int, share: float, right: dict[str, tuple[str, float]], tally: Tally
) -> str:
    """One command on a disk that holds ``share`` of its output; how it ended."""
    place = work / f"disk {number}"
    place.mkdir()
    size = max(4, int(share * size_of(work / f"reference {command.output}")))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "srfast-torture", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        raise PermissionError
    try:
        line = [*command.arguments, str(place / command.output)]
        code, err, _ = finish(work, line)
        outcome = "full, in one line" if code else "it fitted"
        if code not in (0, 1) or "Traceback" in err or (code and len(err.splitlines()) != 1):
            outcome = "error"
            tally.blame(f"{command.name} on {size} KiB: {code} {err[-600:]}")
        subprocess.run(["mount", "-o", "remount,size=256m", str(place)], check=True)
        if code:
            code, err, _ = finish(work, [*line, *command.again])
        if code or command.content(place / command.output) != right[command.name][0]:
            tally.lose(f"{command.name} on {size} KiB: {code} {err[-600:]}")
    finally:
        subprocess.run(["umount", str(place)], check=True)
    return outcome
