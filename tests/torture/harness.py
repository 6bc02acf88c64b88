"""What the parts of the torture share: rows of the table, processes of srfast, commands, digests of their outputs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HEAD = (
    f"{'what':<24} {'events':>6} {'step':>4} {'runs':>7} {'lost':>5} {'untidy':>7} {'seconds':>7} "
    f"{'of CPU':>6}  outcomes"
)


@dataclass
class Tally:
    """One row of the table."""

    name: str
    runs: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    untidy: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    events: int | None = None
    """File events of an undisturbed run."""
    step: int | None = None
    """Every so many of the runs at them were made: with 1 all of the events were gone through, each way."""
    cpu: float = 0.0
    """Seconds of all cores, where they are known."""

    def count(self, outcome: str, times: int = 1) -> None:
        self.runs += times
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + times

    def lose(self, text: str) -> None:
        self.lost.append(text)
        say(f"  LOST {self.name}: {' '.join(text.split())}")

    def blame(self, text: str) -> None:
        self.untidy.append(text)
        say(f"  UNTIDY {self.name}: {' '.join(text.split())}")

    def finish(self) -> Tally:
        self.seconds = time.monotonic() - self.began
        say(self.line())
        return self

    def line(self) -> str:
        what = ", ".join(f"{n} {k}" for k, n in sorted(self.outcomes.items()))
        events, step = ("" if n is None else n for n in (self.events, self.step))
        cpu = f"{self.cpu:.0f}" if self.cpu else ""
        counts = f"{events:>6} {step:>4} {self.runs:>7} {len(self.lost):>5} {len(self.untidy):>7}"
        counts += f" {self.seconds:>7.0f} {cpu:>6}"
        return f"{self.name:<24} {counts}  {what}"


_speaking = threading.Lock()


def say(line: str) -> None:
    with _speaking:
        print(line, flush=True)


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def of_file(path: Path) -> str:
    return digest(path.read_bytes())


def of_tree(folder: Path) -> str:
    # The trainers' configurations name the folder they lie in.
    suffixes = (".yml", ".toml", ".json", ".py")
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name[0] != "." and p.suffix not in suffixes)
    return digest(*(str(p.relative_to(folder)).encode() + b"\0" + p.read_bytes() for p in files))


def of_training(folder: Path) -> str:
    rows = [line.split(",")[:5] for line in (folder / "log.csv").read_text().splitlines()]
    return digest((folder / "model.safetensors").read_bytes(), json.dumps(rows).encode())


def of_study(folder: Path) -> str:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "results.parquet")
    kept = [n for n in table.column_names if "seconds" not in n]
    return digest(json.dumps(table.select(kept).to_pylist(), sort_keys=True, default=str).encode())


def of_prune(folder: Path) -> str:
    """Commands on the report name the folder, which is another one in each run."""
    report = (folder / "report.html").read_bytes().replace(os.fsencode(folder), b"OUT")
    return digest(*((folder / n).read_bytes() for n in ("scores.parquet", "coreset.parquet")), report)


@dataclass(frozen=True)
class Case:
    """A command with an output, perhaps over an older one; without, what it prints is compared."""

    name: str
    arguments: list[str]
    output: str = ""
    content: Callable[[Path], str] = of_file
    again: list[str] = field(default_factory=list)
    """What is added to go on."""
    older: list[str] | None = None
    """Arguments of the run whose output is there before."""
    waits: bool = False
    """Whether another run for the same output may wait for a lock of this one, instead of saying that it is held."""
    torch: bool = False
    """Whether it loads torch, or reads what torch made."""
    says: str = ""
    """What it says, as a pattern, where it leaves something out with exit code 0."""
    grows: bool = False
    """Whether the output is a folder that fills while the command runs."""

    def line(self, folder: Path) -> list[str]:
        return [*self.arguments, f"{folder}/{self.output}"] if self.output else self.arguments


def finish(work: Path, arguments: Sequence[str]) -> tuple[int, str]:
    line, env = [sys.executable, "-m", "srfast", *arguments], {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, cwd=work, text=True, capture_output=True, env=env, timeout=600, check=False)
    return done.returncode, done.stderr
