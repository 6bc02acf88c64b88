"""The exhaustive torture: that it finds what is wrong, and a slice of it through srfast's own commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PLANTED = """
import ctypes, json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import events
from cases import Case
from forking import Launch

def whole(out, data):
    with open(out + ".parts", "wb", 0) as file:
        if file.write(data) != len(data):
            raise OSError
    os.replace(out + ".parts", out)

def in_place(out, data):
    with open(out, "wb", 0) as file:
        file.write(data)

def careless(out, data):
    try:
        with open(out + ".parts", "wb", 0) as file:
            file.write(data)
        os.replace(out + ".parts", out)
    except OSError:
        Path(out).unlink(missing_ok=True)

def messy(out, data):
    with open(out + str(os.getpid()) + ".parts", "wb", 0) as file:
        file.write(data)
    os.replace(file.name, out)

def together(out, data):
    with open(out + ".parts", "ab", 0) as file:
        file.write(data)
    if os.path.exists(file.name):
        os.replace(file.name, out)

def run(arguments):
    way, source, out = arguments
    try:
        globals()[way](out, Path(source).read_bytes())
    except OSError as error:
        print(f"srfast: error: {error.strerror}", file=sys.stderr)
        return 1
    return 0

Launch.shim, Launch.run = ctypes.CDLL(sys.argv[2]), staticmethod(run)
work = Path(sys.argv[3])
inputs = work / "inputs"
inputs.mkdir()
(inputs / "a").write_bytes(bytes(range(100)))
tallies = {}
for way in ("whole", "in_place", "careless", "messy", "together"):
    tally = events.torture(work, Case(way, [way, str(inputs / "a")], "out"), inputs, 1, 1)
    tallies[way] = [tally.events, tally.runs, tally.outcomes, tally.lost, tally.untidy]
(work / "found.json").write_text(json.dumps(tallies))
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    import shim

    path = shim.build(tmp_path)
    if path is None:
        pytest.skip("the shim needs Linux and a C compiler")
    return path


def test_it_finds_what_is_lost(library, tmp_path):
    """Programs that copy a file: aside and renamed; in place; saying nothing of errors; leaving temporary files; and
    sharing them."""
    work = tmp_path / "work"
    work.mkdir()
    line = [sys.executable, "-c", PLANTED, str(HERE), str(library), str(work)]
    done = subprocess.run(line, env={**os.environ, "LD_PRELOAD": str(library)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads((work / "found.json").read_text())
    events, runs, outcomes, lost, untidy = content["whole"]
    assert (lost, untidy) == ([], [])
    assert events >= 6  # open, stat, read and close of the one; open, stat, write, close and rename of the other
    assert runs > events
    assert outcomes["killed"] >= 4
    assert outcomes["failed"] >= events
    assert len(content["in_place"][3]) >= 3, "killed behind the opening, torn, failed"
    assert len(content["careless"][3]) >= 3, "exit code 0 without an output"
    assert not content["messy"][3]
    assert len(content["messy"][4]) >= 2, "what killed runs left"
    assert [text for text in content["together"][3] if "meet at" in text], "two runs wrote into one file"
    assert sum(n for how, n in outcomes.items() if how.startswith("met: ") and "whole" in how) >= 3


def test_a_slice_of_the_exhaustive_run_loses_nothing(library, tmp_path):
    import shim

    rows = tmp_path / "rows.json"
    only = "score/ over older,prune,select on disk,export basicsr,export lmdb"
    done = shim.run(tmp_path / "work", library, "--step", "47", "--jobs", "1", "--only", only, "--rows", str(rows))
    content = json.loads(rows.read_text())
    assert [(row["name"], row["lost"], row["untidy"]) for row in content] == [
        (name, [], []) for name in only.split(",")
    ]
    assert all(row["runs"] and row["events"] and row["step"] == 47 for row in content)
    assert sum(row["outcomes"].get("killed", 0) for row in content) > 2
    assert done.returncode == 0
