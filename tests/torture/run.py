"""Kills, damaged files, damaged tables and full disks; prints one table of runs and outcomes (``make torture``).

A run counts as lost when, after all the kills and one undisturbed end, its output differs from that of a run that was
never disturbed; as untidy when a process showed a traceback or left an output that is neither old, whole nor absent.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

STUDY = """
title = "A study of seconds"
[data]
train = ["photos"]
test = {tests = "tests"}
[scoring]
patch = 32
scorers = ["bicubic"]
[training]
models = ["fsrcnn"]
updates = 30
seeds = 2
batch = 2
lr_patch = 12
save_every = 5
[training.options.fsrcnn]
features = 8
shrunk = 4
mappings = 1
[[arm]]
name = "des"
keep = [1.0, 0.5]
"""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
CODES = {0, 1, 130, *(-s for s in SIGNALS)}


@dataclass
class Tally:
    """One row of the table."""

    name: str
    runs: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    untidy: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def count(self, outcome: str) -> None:
        self.runs += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def line(self) -> str:
        what = ", ".join(f"{n} {k}" for k, n in sorted(self.outcomes.items()))
        seconds = time.monotonic() - self.began
        return f"{self.name:<24} {self.runs:>7} {len(self.lost):>5} {len(self.untidy):>7} {seconds:>7.0f}  {what}"


@dataclass
class Command:
    """A command line, how it goes on, and what its output is worth comparing."""

    name: str
    arguments: list[str]
    output: str
    resume: bool
    content: Callable[[Path], str]
    """A digest of the output; of files that may differ in times and places only what may not differ."""


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def of_file(path: Path) -> str:
    return digest(path.read_bytes())


def of_tree(folder: Path) -> str:
    # The trainers' configurations name the folder they lie in.
    suffixes = (".yml", ".toml", ".json")
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
    return digest(*((folder / n).read_bytes() for n in ("scores.parquet", "coreset.parquet", "report.html")))


def commands(work: Path) -> list[Command]:
    scores = ["--patch", "48", "--stride", "24", "--workers", "2"]
    training = ["--steps", "60", "--batch", "2", "--lr-patch", "12", "--save-every", "10", "--log-every", "7"]
    return [
        Command("score", ["score", "photos", *scores, "-o"], "s.parquet", True, of_file),
        Command("prune", ["prune", "photos", *scores, "-o"], "pruned", True, of_prune),
        Command("select", ["select", str(work / "all.parquet"), "--keep", "0.3", "-o"], "c.parquet", False, of_file),
        Command("export", ["export", str(work / "core.parquet"), "--to", "basicsr", "-o"], "pairs", True, of_tree),
        Command("train", ["train", "fsrcnn", "--data", "photos", *training, "-o"], "run", True, of_training),
        Command("study", ["study", "study.toml", "--jobs", "1", "-o"], "study", False, of_study),
    ]


def start(work: Path, arguments: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "srfast", *arguments],
        cwd=work,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(work: Path, arguments: Sequence[str]) -> tuple[int, str, float]:
    began = time.monotonic()
    process = start(work, arguments)
    err = process.communicate(timeout=600)[1]
    return process.returncode, err, time.monotonic() - began


def photographs(work: Path, count: int) -> None:
    """Textures that compress like photographs, so that no data set is needed."""
    rng = np.random.default_rng(0)
    for folder, n in (("photos", count), ("tests", 2)):
        (work / folder).mkdir(parents=True)
        for i in range(n):
            noise = Image.fromarray(rng.integers(0, 256, (24, 30, 3), np.uint8)).resize((300, 240), Image.BICUBIC)
            noise.save(work / folder / f"{i:03d}.png")


def kill(work: Path, wanted: int, rng: random.Random) -> list[Tally]:
    """Random signals at random moments, one to four a run, then one undisturbed end."""
    photographs(work, 40)
    (work / "study.toml").write_text(STUDY)
    for arguments in (
        ["score", "photos", "--patch", "48", "--stride", "6", "--scorer", "bicubic", "-o", "all.parquet"],
        ["select", "all.parquet", "--keep", "0.1", "-o", "core.parquet"],
    ):
        code, err, _ = finish(work, arguments)
        assert code == 0, err
    tallies = []
    every = commands(work)
    for command in every:
        tally = Tally(f"killed: {command.name}")
        reference = work / f"reference {command.output}"
        code, err, seconds = finish(work, [*command.arguments, str(reference)])
        assert code == 0, f"{command.name}: {err}"
        right = command.content(reference)
        while tally.runs < -(-wanted // len(every)):
            output = work / f"{tally.runs} {command.output}"
            line = [*command.arguments, str(output)]
            for _ in range(rng.randint(1, 4)):
                signals = [rng.choice(SIGNALS)]
                if signals[0] != signal.SIGKILL and rng.random() < 0.3:
                    signals.append(rng.choice(SIGNALS))
                tally.count(end_early(work, line, signals, rng.random() * seconds * 1.05, tally, rng))
                if command.resume:
                    line = [*command.arguments, str(output), "--resume"]
            code, err, _ = finish(work, line)
            if code or command.content(output) != right:
                tally.lost.append(f"{command.name}: {code} {err[-500:]}")
            litter = [p.name for p in work.rglob(".srfast-*")] + [p.name for p in work.glob("*.parts")]
            if litter:
                tally.untidy.append(f"{command.name} left {litter}")
            shutil.rmtree(output, ignore_errors=True) if output.is_dir() else output.unlink(missing_ok=True)
        tallies.append(tally)
        print(tally.line(), flush=True)
    return tallies


def end_early(
    work: Path, line: list[str], signals: list[signal.Signals], after: float, tally: Tally, rng: random.Random
) -> str:
    """Runs a command and signals it; how it ended."""
    process = start(work, line)
    try:
        _, err = process.communicate(timeout=after)
        return "ended before"
    except subprocess.TimeoutExpired:
        pass
    for number in signals:
        process.send_signal(number)
        time.sleep(rng.random() * 1.2 if len(signals) > 1 else 0)
    try:
        _, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        tally.untidy.append(f"{line[0]} did not end within two minutes of {[s.name for s in signals]}")
        return "hung"
    if process.returncode not in CODES or "Traceback" in err or "Fatal" in err:
        # Before srfast's first line, an interrupt is Python's to report.
        ours = "srfast/" in err or "Fatal" in err or process.returncode not in CODES
        if ours:
            tally.untidy.append(f"{line[0]} {[s.name for s in signals]}: {process.returncode} {err[-600:]}")
        return "traceback" if ours else "before the first line"
    return {130: "interrupted", 0: "ended before", 1: "error in a line"}.get(process.returncode, "killed")


def seeds() -> list[tuple[str, bytes]]:
    """Small valid files of six formats, several kinds of each."""
    rng = np.random.default_rng(1)
    photo = Image.fromarray(rng.integers(0, 256, (8, 10, 3), np.uint8)).resize((64, 48), Image.BICUBIC)
    kinds: list[tuple[str, str, Image.Image, dict[str, Any]]] = [
        *(("png", "PNG", i, {}) for i in (photo, photo.convert("L"), photo.convert("RGBA"), photo.convert("I;16"))),
        ("png", "PNG", photo.quantize(64), {"transparency": 3}),
        *(("jpg", "JPEG", photo, o) for o in ({"quality": 90}, {"quality": 60, "progressive": True})),
        ("jpg", "JPEG", photo.convert("CMYK"), {}),
        *(("webp", "WEBP", photo, o) for o in ({"lossless": True}, {"quality": 70})),
        ("webp", "WEBP", photo.convert("RGBA"), {"lossless": True}),
        *(("tif", "TIFF", photo, {"compression": c}) for c in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits", "raw")),
        *(("bmp", "BMP", i, {}) for i in (photo, photo.quantize(16), photo.convert("1"))),
        *(("gif", "GIF", i, {}) for i in (photo, photo.convert("L"))),
        ("gif", "GIF", photo, {"save_all": True, "append_images": [photo.rotate(90)]}),
    ]
    out = []
    for suffix, name, image, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, name, **options)
        out.append((suffix, buffer.getvalue()))
    return out


def mutate() -> Callable[[bytes, bytes, random.Random], bytes]:
    """The mutations of the tests."""
    path = Path(__file__).parents[1] / "scoring" / "test_fuzz.py"
    spec = importlib.util.spec_from_file_location("test_fuzz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[bytes, bytes, random.Random], bytes] = module.mutate
    return found


def mutated(work: Path, wanted: int, rng: random.Random) -> Tally:
    """Mutated images through ``score --skip-bad``, a thousand a run."""
    tally, damage, valid = Tally("mutated images"), mutate(), seeds()
    done = 0
    while done < wanted:
        count = min(1000, wanted - done)
        folder = work / f"mutated {done}"
        folder.mkdir(parents=True)
        for i in range(count):
            suffix, data = valid[i % len(valid)]
            (folder / f"{i:04d}.{suffix}").write_bytes(damage(data, rng.choice(valid)[1], rng))
        output = work / f"{done}.parquet"
        line = ["score", str(folder), "-o", str(output), "--patch", "24", "--scorer", "bicubic", "--skip-bad"]
        code, err, _ = finish(work, line)
        lines = err.splitlines()
        skipped = sum(e.startswith("srfast: skipped ") for e in lines)
        if code or not output.exists():
            tally.lost.append(f"{folder.name}: {code} {err[-600:]}")
        if stray := [e for e in lines if not e.startswith("srfast: ")]:
            tally.untidy.append(f"{folder.name}: {stray[:3]}")
        for outcome, n in (("refused with its name", skipped), ("read", count - skipped)):
            tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + n
        tally.runs += count
        done += count
        shutil.rmtree(folder)
    print(tally.line(), flush=True)
    return tally


def tables(work: Path, wanted: int, rng: random.Random) -> Tally:
    """Damaged score tables and core-sets: refused, or read as they were."""
    from srfast.coreset.selection import CoreSet, select
    from srfast.errors import InputError
    from srfast.scoring.pipeline import score
    from srfast.scoring.table import ScoreTable

    tally, damage = Tally("damaged tables"), mutate()
    folder = work / "few"
    folder.mkdir(parents=True)
    for i in range(3):
        (folder / f"{i}.png").write_bytes(seeds()[0][1])
    scores = score(folder, patch=24, stride=6, scorer="bicubic", output=work / "table.parquet")
    chosen = select(scores)
    chosen.write(work / "chosen.parquet")
    for i in range(wanted):
        read, name, right = ((ScoreTable.read, "table", scores), (CoreSet.read, "chosen", chosen))[i % 2]
        data = (work / f"{name}.parquet").read_bytes()
        path = work / "damaged.parquet"
        changed = bytearray(data)
        if i % 4 < 2:
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            changed = bytearray(damage(data, (work / "chosen.parquet").read_bytes(), rng))
        path.write_bytes(changed)
        try:
            found = read(path)
        except InputError:
            tally.count("refused")
        except BaseException as error:
            tally.count("other error")
            tally.untidy.append(f"{type(error).__name__}: {error}")
        else:
            other = chosen if found.table.num_rows == chosen.table.num_rows else right
            same = any(found.table.equals(t.table) and found.meta == t.meta for t in (right, other))
            tally.count("read as it was" if same else "read wrongly")
            if not same:
                tally.lost.append(f"table {i}")
    print(tally.line(), flush=True)
    return tally


def disks(work: Path, wanted: int, rng: random.Random) -> Tally:
    """Small disks that fill up, then grow: the run ends in one line, and goes on to the right output."""
    tally = Tally("full disks")
    every = [c for c in commands(work) if c.name in ("score", "select", "export", "train")]
    right = {c.name: c.content(work / f"reference {c.output}") for c in every}
    for i in range(wanted):
        command, disk = every[i % len(every)], work / f"disk {i}"
        disk.mkdir()
        size = rng.choice((4, 8, 16, 32, 64, 128, 256))
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "srfast-torture", str(disk)]
        if subprocess.run(mount, capture_output=True).returncode:
            tally.outcomes["not run: no right to mount a tmpfs"] = wanted
            break
        try:
            line = [*command.arguments, str(disk / command.output)]
            code, err, _ = finish(work, line)
            tally.count("full, in one line" if code else "it fitted")
            if code not in (0, 1) or "Traceback" in err or (code and len(err.splitlines()) != 1):
                tally.untidy.append(f"{command.name} on {size} KiB: {code} {err[-600:]}")
            subprocess.run(["mount", "-o", "remount,size=256m", str(disk)], check=True)
            if code:
                code, err, _ = finish(work, [*line, "--resume"] if command.resume else line)
            if code or command.content(disk / command.output) != right[command.name]:
                tally.lost.append(f"{command.name} on {size} KiB: {code} {err[-600:]}")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    print(tally.line(), flush=True)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--disks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    began = time.monotonic()
    rng = random.Random(asked.seed)
    print(f"{'what':<24} {'runs':>7} {'lost':>5} {'untidy':>7} {'seconds':>7}  outcomes", flush=True)
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        work = Path(name)
        tallies = [tables(work / "tables", asked.tables, rng), mutated(work / "files", asked.files, rng)]
        tallies += kill(work / "kills", asked.kills, rng)
        tallies.append(disks(work / "kills", asked.disks, rng))
    for tally in tallies:
        for text in [*(f"LOST {t}" for t in tally.lost), *(f"UNTIDY {t}" for t in tally.untidy)]:
            print(f"{tally.name}: {' '.join(text.split())}")
    lost = sum(len(t.lost) for t in tallies)
    kills = sum(t.runs for t in tallies if t.name.startswith("killed"))
    print(f"{kills} kills; {lost} lost; {time.monotonic() - began:.0f} s; seed {asked.seed}")
    sys.exit(1 if any(t.lost or t.untidy for t in tallies) else 0)


if __name__ == "__main__":
    main()
