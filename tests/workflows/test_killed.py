"""``srfast prune`` killed in any of its steps: what is there is whole, and --resume gives the undisturbed bytes."""

import signal
import subprocess
import sys

import pytest

import srfast
from srfast.coreset.selection import CoreSet
from srfast.scoring.table import ScoreTable
from srfast.workflows.pruning import DECIDED, FILES

OPTIONS = {"patch": 48, "stride": 24, "scorer": "bicubic"}
KILLED = """
import os, signal, sys
import srfast.data.atomic as atomic, srfast.data.files as files
name, source, output = sys.argv[1:]
flush = atomic._flush
def killed(path, flags):
    # Written aside, not yet renamed; then renamed, with the folder not yet flushed.
    if writing == [name] and (flags == os.O_RDONLY) == (sys.argv[1] in os.listdir(output)):
        os.kill(os.getpid(), signal.SIGKILL)
    flush(path, flags)
atomic_path, writing = atomic.atomic_path, []
import contextlib
@contextlib.contextmanager
def named(path, *args, **options):
    writing[:] = [path.name]
    with atomic_path(path, *args, **options) as temporary:
        yield temporary
atomic.atomic_path, files.atomic_path, atomic._flush = named, named, killed
import srfast
srfast.prune(source, output, patch=48, stride=24, scorer="bicubic", resume=True)
"""


@pytest.mark.parametrize("name", FILES)
def test_killed_while_a_file_is_written(name, photo_folder, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    # Into the same folder, since a report names its table and the list beside it.
    srfast.prune(photo_folder, out, **OPTIONS)
    out.rename(whole)
    names = list(FILES)
    line = [sys.executable, "-c", KILLED, name, str(photo_folder), str(out)]
    assert subprocess.run(line, cwd=tmp_path, check=False).returncode == -signal.SIGKILL
    there = [n for n in names if (out / n).exists()]
    assert there == names[: names.index(name)]
    for read, file in ((ScoreTable.read, "scores.parquet"), (CoreSet.read, "coreset.parquet")):
        if file in there:
            read(out / file)
    done = srfast.prune(photo_folder, out, resume=True, **OPTIONS)
    assert len(done.coreset)
    names = [*DECIDED, "rejects.csv"]
    for file in names:
        assert (out / file).read_bytes() == (whole / file).read_bytes(), file
    assert sorted(p.name for p in out.iterdir()) == sorted(names)
