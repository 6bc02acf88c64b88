"""Every file event of every command: the run ends there, or the event fails; then it is run again, and compared.

Runs under the shim (``fault.c``); a process that has everything imported forks for each run. The events of each command
are counted in a run that is not disturbed; then, for each of them, one run for each of ``PLANS``: it is killed before
the event or in the middle of a write, sees it fail with EIO, or with ENOSPC from there on, or stops before it while
another run for the same output is begun. Another one goes on from what is there (from the same bytes under the same
names only once). Lost is what differs from the undisturbed output then, what the first run left under the output's name
if that is neither the older output nor the new one, a wrong output with exit code 0, and, where two met, an output of
neither. Untidy is a traceback, a hang, more than one line of error, and temporary files that are left in the end.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from cases import Case, cases, prepare
from forking import FAIL, FILL, FREES, KILL, LIMIT, LOOKS, PAUSE, TAKES, TEAR, WRITES, Launch, load
from harness import Tally, digest, of_file, say

PLANS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "kill": (KILL, 0, (TAKES, WRITES, FREES)),
    "tear": (TEAR, 0, (WRITES,)),
    "EIO": (FAIL, errno.EIO, (LOOKS, TAKES, WRITES, FREES)),
    "ENOSPC": (FAIL, errno.ENOSPC, (TAKES, WRITES)),
    "fill": (FILL, errno.ENOSPC, (WRITES,)),
    "meet": (PAUSE, 0, (LOOKS, TAKES, WRITES, FREES)),
}
"""Name -> what the shim does, the error, and at which kinds of events."""
_ENDS = ("tear", "fill", "meet")
"""Of the same call on the same file many times in a row, as where a file is written, only at the first and the last."""
_MEETS = 1.0
"""Seconds after which the run that is stopped goes on, where the other one may wait for it."""
_BLOCK = 16
"""Runs in a row that one worker takes, as what they leave is often the same."""
_NOISE = ("Traceback", "Exception ignored", "Error ignored", "terminate called", "Fatal", "Aborted")


@dataclass
class Room:
    """Where one worker runs its case; the same paths for all of its runs."""

    inputs: Path
    folder: Path
    case: Case
    known: dict[str, Verdict] = field(init=False)
    """What came of going on, by what was there."""

    def __post_init__(self) -> None:
        self.work, self.out, self._older = self.folder / "work", self.folder / "work" / "out", self.folder / "older"
        self.output, self.known = self.out / self.case.output, {}
        shutil.rmtree(self.folder, ignore_errors=True)
        # Runs of other workers draw the same names.
        (self.folder / "tmp").mkdir(parents=True)
        tempfile.tempdir = str(self.folder / "tmp")
        if self.case.older is not None:
            self._older.mkdir(parents=True)
            code, _, err = Launch([*self.case.older, f"{self._older}/{self.case.output}"]).end()
            assert code == 0, err

    def clean(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        if self.case.older is not None:
            shutil.copytree(self._older, self.out)
        else:
            self.out.mkdir(parents=True)

    def start(self, **how: Any) -> Launch:
        return Launch(self.case.line(self.out), roots=[self.inputs, self.work], draws="first", **how)

    def again(self, *more: str) -> tuple[int | str, str, str]:
        return Launch([*self.case.line(self.out), *more], draws="again").end()

    def other(self) -> Launch:
        """Another run for the same output."""
        older = self.case.older
        line = self.case.line(self.out) if older is None else [*older, str(self.output)]
        return Launch(line, draws="other")

    def state(self, pid: int) -> str:
        """What is there, but for the number of the process that left it."""
        said, parts = str(pid).encode(), []
        for path in sorted(self.out.rglob("*")):
            about = path.lstat()
            parts += [os.fsencode(path.relative_to(self.out)), str(about.st_mode).encode()]
            parts += [path.read_bytes()] if path.is_file() else []
        return digest(*(part.replace(said, b"PID") for part in parts))

    def content(self, out: str) -> str | None:
        """None: absent. One that cannot be read is a sentence."""
        if not self.case.output:
            return digest(out.encode()) if out else None
        if not self.output.exists():
            return None
        try:
            return self.case.content(self.output)
        except FileNotFoundError as error:
            return f"an output without {error.filename}"
        except Exception as error:
            return f"an unreadable output: {type(error).__name__} {error}"

    def litter(self) -> list[str]:
        """Temporary files and locks of srfast, and folders of parts."""
        left = []
        for path in self.out.rglob("*"):
            temporary = path.name.startswith((".srfast-", ".export-")) or path.name.endswith(".parts")
            if temporary and path.name != ".srfast-rejects":  # which an audit keeps
                left.append(str(path.relative_to(self.out)))
        return left


@dataclass
class Right:
    """What an undisturbed run does."""

    new: str
    old: str | None
    kinds: list[int]
    """Of its events."""
    names: list[str]


@dataclass
class Verdict:
    """What a disturbed run and the one after it came to."""

    outcome: str
    lost: list[str] = field(default_factory=list)
    untidy: list[str] = field(default_factory=list)


def undisturbed(room: Room) -> Right:
    room.clean()
    old = room.content("")
    trace = room.folder / "trace"
    code, out, err = room.start(trace=trace).end()
    assert code == 0, f"{room.case.name}: {code} {err}"
    events = [line.split(" ", 3) for line in trace.read_text().splitlines()]
    new = room.content(out)
    assert new is not None, room.case.name
    assert " " not in new, f"{room.case.name}: {new}"
    assert not room.litter(), room.litter()
    short = [e[3].replace(str(room.out), "OUT").replace(str(room.inputs), "IN") for e in events]
    return Right(new, old, [int(e[2]) for e in events], [f"{e[1]} {n}" for e, n in zip(events, short, strict=True)])


def disturb(room: Room, right: Right, plan: str, event: int) -> Verdict:
    what, error, _ = PLANS[plan]
    room.clean()
    launch = room.start(what=what, event=event, error=error)
    where = f"{room.case.name}: {plan} at {event} ({right.names[event]})"
    verdict = meet(room, right, launch) if plan == "meet" else fail(room, right, launch)
    verdict.lost = [f"{where}: {text}" for text in verdict.lost]
    verdict.untidy = [f"{where}: {text}" for text in verdict.untidy]
    return verdict


def fail(room: Room, right: Right, launch: Launch) -> Verdict:
    case = room.case
    code, out, err = launch.end()
    verdict = Verdict({0: "whole all the same", -9: "killed", 1: "failed", 2: "refused"}.get(code, str(code)))  # type: ignore[arg-type]
    if code != -9:
        verdict.untidy += _noise(code, err)
    there = room.content(out)
    if code == 0:
        if there != right.new and case.says and re.search(case.says, out + err):
            verdict.outcome = "less, and said so"
        elif there != right.new:
            verdict.lost.append(f"exit code 0 with {_named(there, right)}; {err[-300:]}")
        return verdict
    if case.output and not case.grows and there not in (right.old, right.new):
        verdict.lost.append(f"then there is {_named(there, right)}; {code} {err[-300:]}")
    state = room.state(launch.pid)
    if state not in room.known:
        room.known[state] = go_on(room, right)
    last = room.known[state]
    return Verdict(verdict.outcome + last.outcome, verdict.lost + last.lost, verdict.untidy + last.untidy)


def go_on(room: Room, right: Right) -> Verdict:
    """The run after the disturbed one."""
    verdict, more = Verdict(""), room.case.again
    code, out, err = room.again(*more)
    if code == 2 and more and "leave out --resume" in err and not any(room.out.rglob("*.parts/part-*")):
        verdict.outcome = " before it began"
        code, out, err = room.again()
    last = room.content(out)
    if code != 0 or last != right.new:
        verdict.lost.append(f"at last {code} with {_named(last, right)}; {err[-500:]}")
    elif litter := room.litter():
        verdict.untidy.append(f"left {litter}")
    return verdict


def meet(room: Room, right: Right, launch: Launch) -> Verdict:
    """Two runs for one output: one of them at least comes to its end, and the output is that of one of them."""
    outcomes = []
    if launch.stops():
        other = room.other()
        other.ends_within(_MEETS if room.case.waits else LIMIT)
        launch.goes_on()
        outcomes.append(other)
    ends = [one.end() for one in (launch, *outcomes)]
    codes = [code for code, _, _ in ends]
    verdict = Verdict(f"met: {' and '.join({0: 'whole', 1: 'failed', 2: 'refused'}.get(c, str(c)) for c in codes)}")  # type: ignore[arg-type]
    for code, _, err in ends:
        verdict.untidy += _noise(code, err)
    there = room.content(ends[codes.index(0)][1] if 0 in codes else "")
    if 0 not in codes or there not in (right.new, right.old if len(codes) > 1 else None) or there is None:
        verdict.lost.append(f"{codes} with {_named(there, right)}; {[err[-300:] for _, _, err in ends]}")
    elif litter := room.litter():
        verdict.untidy.append(f"two runs left {litter}")
    return verdict


def _noise(code: int | str, err: str) -> list[str]:
    """What is wrong with the end of a run that was not killed."""
    loud = any(word in err for word in _NOISE) or (code in (1, 2) and err.count("srfast: error: ") != 1)
    return [f"{code} {err[-700:]}"] if code not in (0, 1, 2) or loud else []


def _named(content: str | None, right: Right) -> str:
    known = {None: "nothing", right.old: "the older output", right.new: "the new output"}
    return known.get(content, content if content and " " in content else "another output")


def torture(work: Path, case: Case, inputs: Path, step: int, jobs: int) -> Tally:
    """One case, its events shared out among forked workers."""
    began = time.monotonic()
    before = _state(inputs)
    right = undisturbed(Room(inputs, work / "0", case))

    def asked(plan: str, event: int) -> bool:
        if plan == "meet" and not (case.output and " OUT/" in right.names[event]):
            return False
        return plan not in _ENDS or right.names[event - 1 : event + 2] != [right.names[event]] * 3

    todo = [(p, i) for i, kind in enumerate(right.kinds) for p in PLANS if kind in PLANS[p][2] and asked(p, i)]
    # A different part for each case, where only a part is requested.
    todo = todo[sum(map(ord, case.name)) % step :: step]
    tally = Tally(case.name, events=len(right.kinds), step=step, began=began)
    read, write = os.pipe()
    workers = []
    for worker in range(jobs):
        workers.append(os.fork())
        if workers[-1] == 0:
            try:
                room = Room(inputs, work / str(worker), case)
                for i, (plan, event) in enumerate(todo):
                    if i // _BLOCK % jobs == worker:
                        os.write(write, (json.dumps(vars(disturb(room, right, plan, event))) + "\n").encode())
            except BaseException as error:
                say(f"  a worker of {case.name} ended: {error!r}")
            finally:
                os._exit(0)
    os.close(write)
    outcomes: Counter[str] = Counter()
    with open(read) as lines:
        for line in lines:
            verdict = Verdict(**json.loads(line))
            outcomes[verdict.outcome] += 1
            for text in verdict.lost:
                tally.lose(text)
            for text in verdict.untidy:
                tally.blame(text)
    for worker in workers:
        used = os.wait4(worker, 0)[2]
        tally.cpu += used.ru_utime + used.ru_stime
    for outcome, times in outcomes.items():
        tally.count(outcome, times)
    if tally.runs != len(todo):
        tally.blame(f"{case.name}: {tally.runs} of {len(todo)} runs came to an end")
    if _state(inputs) != before:
        tally.lose(f"{case.name}: an input has changed")
    return tally.finish()


def _state(folder: Path) -> dict[str, tuple[int, int, str]]:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_mode, of_file(p)) for p in files}


def group(work: Path, some: list[Case], inputs: Path, step: int, jobs: int) -> list[Tally]:
    """Cases that import the same, in a process of their own."""
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            places = [(case, work / "loading" / case.name.replace("/", "-")) for case in some]
            for _, room in places:
                room.mkdir(parents=True)
            before = [[*c.older, f"{room}/{c.output}"] for c, room in places if c.older is not None]
            load([*before, *(c.line(room) for c, room in places)], work)
            outcomes = [torture(work, c, inputs, step, jobs) for c in some]
            with open(write, "w") as out:
                json.dump([vars(t) for t in outcomes], out)
        except BaseException as error:
            say(f"  {', '.join(c.name for c in some)} ended: {error!r}")
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as rows:
        text = rows.read()
    os.wait()
    return [Tally(**row) for row in json.loads(text)] if text else [Tally("events", lost=["did not come to an end"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--shim", required=True)
    parser.add_argument("--step", type=int, default=1, help="every so many of the runs")
    parser.add_argument("--only", default="", help="commands, by comma")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rows", type=Path, help="where the rows go, as JSON")
    options = parser.parse_args()
    Launch.shim = ctypes.CDLL(options.shim)
    work = options.work.resolve()
    inputs = work / "inputs"
    inputs.mkdir(parents=True)
    began = time.monotonic()
    chosen = [c for c in cases(inputs) if not options.only or c.name in options.only.split(",")]
    import srfast.scoring.pipeline  # noqa: F401  (what every command imports)

    groups = [some for torch in (False, True) if (some := [c for c in chosen if c.torch == torch])]
    prepare(inputs, any(c.torch for c in chosen))
    tallies = [tally for some in groups for tally in group(work, some, inputs, options.step, options.jobs)]
    if options.rows:
        options.rows.write_text(json.dumps([vars(t) for t in tallies]))
    lost, untidy = sum(len(t.lost) for t in tallies), sum(len(t.untidy) for t in tallies)
    runs, events = sum(t.runs for t in tallies), sum(t.events or 0 for t in tallies)
    spent = os.times()
    cpu = spent.user + spent.system + spent.children_user + spent.children_system
    took = f"{time.monotonic() - began:.0f} s, {cpu:.0f} s of CPU time"
    say(f"{events} events; {runs} runs; {lost} lost; {untidy} untidy; {took}")
    sys.exit(1 if lost or untidy else 0)


if __name__ == "__main__":
    main()
