"""Ctrl-C, SIGTERM and SIGHUP at any moment, once and twice."""

import os
import signal
import subprocess
import sys
import time

import pytest

from srfast.runtime.interrupts import finishing

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SCORE = ["score", "photos", "-o", "s.parquet", "--patch", "48", "--scorer", "bicubic"]


def start(*arguments, cwd, code=None):
    line = [sys.executable, *(["-m", "srfast"] if code is None else ["-c", code]), *map(str, arguments)]
    env, pipe = {**os.environ, "OMP_NUM_THREADS": "1"}, subprocess.PIPE
    return subprocess.Popen(line, cwd=cwd, text=True, stdout=pipe, stderr=pipe, env=env)


def until(stream, word="now"):
    assert stream.readline() == f"{word}\n"


SLOW = """
import sys, time
sys.argv[0] = "srfast"
from srfast import __main__ as entry
import srfast.scoring.pipeline as pipeline
add = pipeline.Parts.add
def slow(self, outcome):
    add(self, outcome)
    if outcome.file.name == "chelsea.jpg":
        print("now", file=sys.stderr, flush=True)
        for _ in range(WAIT):
            time.sleep(0.01)
pipeline.Parts.add = slow
entry.run()
"""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda s: s.name)
def test_the_first_signal_keeps_what_is_finished(number, photo_folder, tmp_path):
    process = start(*SCORE, cwd=tmp_path, code=SLOW.replace("WAIT", "100"))
    until(process.stderr)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == (
        "srfast: error: interrupted; what is finished is kept; the same command with --resume continues from there\n"
    )
    assert list((tmp_path / "s.parquet.parts").glob("part-*"))
    assert not (tmp_path / "s.parquet.parts" / "lock").exists()


def test_the_second_signal_ends_at_once_and_quietly(photo_folder, tmp_path):
    process = start(*SCORE, cwd=tmp_path, code=SLOW.replace("WAIT", "3000"))
    until(process.stderr)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)  # a launcher's copy of the first
    time.sleep(0.7)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "", "")
    resumed = start(*SCORE, "--resume", cwd=tmp_path)
    resumed.communicate(timeout=60)
    assert resumed.returncode == 0


def test_a_command_without_resume_does_not_name_it(tmp_path):
    code = """
import sys, time
sys.argv = ["srfast", "doctor"]
from srfast import __main__ as entry
import srfast.cli.doctor as doctor
def examine():
    print("now", file=sys.stderr, flush=True)
    time.sleep(30)
doctor.examine = examine
entry.run()
"""
    process = start(cwd=tmp_path, code=code)
    until(process.stderr)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "srfast: error: interrupted; no output is half-written\n")


def test_ignored_signals_stay_ignored(photo_folder, tmp_path):
    code = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + SLOW.replace("WAIT", "50")
    process = start(*SCORE, cwd=tmp_path, code=code)
    until(process.stderr)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_in_a_program_of_the_users():
    before = [signal.getsignal(s) for s in SIGNALS]

    def body(times):
        with finishing() as stopping:
            for i in range(100):
                if stopping():
                    return i
                if i >= 10:
                    for _ in range(times):
                        signal.raise_signal(signal.SIGTERM)
        return -1

    with pytest.raises(KeyboardInterrupt):
        body(1)
    with pytest.raises(KeyboardInterrupt):
        body(2)
    assert [signal.getsignal(s) for s in SIGNALS] == before


IMPORTING = """
import sys, time
from srfast.runtime import interrupts
interrupts.install()
sys.path.insert(0, ".")
try:
    import slow
    time.sleep(600)
except KeyboardInterrupt:
    print("interrupted", "slow" in sys.modules)
"""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda s: s.name)
def test_an_import_is_ended_first(number, tmp_path):
    """An interrupt in the initialisation of C++ (torch's) would end the process by SIGABRT. A second one ends it."""
    waits = "for _ in range({}):\n    time.sleep(0.01)\n"
    slow = f"import time\nprint('now', flush=True)\n{waits}print('imported', flush=True)"
    (tmp_path / "slow.py").write_text(slow.format(150))
    code = f"import signal\nsignal.signal({int(signal.SIGINT)}, signal.SIG_IGN)\n" if number != signal.SIGINT else ""
    process = start(cwd=tmp_path, code=code + IMPORTING)
    until(process.stdout)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)  # what was slept after the import ends too
    assert (process.returncode, out, err) == (0, "imported\ninterrupted True\n", "")
    (tmp_path / "slow.py").write_text(slow.format(4000))  # as long as a busy machine may take between the two signals
    process = start(cwd=tmp_path, code=code + IMPORTING)
    until(process.stdout)
    process.send_signal(number)
    time.sleep(0.7)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


def test_little_is_imported_before_signals_are_taken_over(tmp_path):
    code = "import sys\nbefore = set(sys.modules)\nimport srfast.__main__\nprint(*sorted(set(sys.modules) - before))"
    out, _ = start(cwd=tmp_path, code=code).communicate(timeout=60)
    assert "srfast.runtime.interrupts" in out.split()
    assert {"typing", "re", "click", "logging", "numpy"}.isdisjoint(out.split())
