"""Closed streams, names that would move a terminal's cursor, little memory, texts that take for ever: one line each."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from srfast.coreset.joining import read_table
from srfast.data import toml

ODD = "a\x1b]0;owned\x07\x1b[2J\u202e\x9b31m.png"


def shell(line, cwd):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["sh", "-c", line, "sh", sys.executable], cwd=cwd, env=env, capture_output=True, check=False, timeout=120
    )


def test_a_closed_stderr(photo_folder, tmp_path):
    command = "$1 -m srfast score photos -o s.parquet --scorer bicubic --patch 48"
    done = shell(f"{command} 2>&-", tmp_path)
    assert (done.returncode, b"patches of 4 images" in done.stdout) == (0, True)
    (photo_folder / "bad.png").write_bytes(b"no image")
    assert shell(f"{command} 2>&-", tmp_path).returncode == 2
    assert shell(f"{command} --skip-bad <&- >&- 2>&-", tmp_path).returncode == 0


def test_names_do_not_reach_the_terminal_as_they_are(tmp_path, srfast_command):
    folder, pixels = tmp_path / "photos", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    folder.mkdir()
    for name in (ODD, "[bold]b.png", "good\nsrfast: done.png"):
        Image.fromarray(pixels).save(folder / name)
    bad = f"bad 9.00\u202fPM  {ODD}\nsrfast: done.png"
    (folder / bad).touch()
    Image.fromarray(pixels[:9]).save(folder / "small\nsrfast: done.png")
    run = lambda *line: srfast_command(*line, cwd=tmp_path)  # noqa: E731
    line = ("score", folder, "-o", f"{ODD}.parquet", "--scorer", "bicubic", "--patch", "48")
    refused, skipped = run(*line), run(*line, "--skip-bad")
    assert (refused.returncode, skipped.returncode) == (2, 0)
    shown = r"a\x1b]0;owned\x07\x1b[2J\u202e\x9b31m.png"
    assert f"bad 9.00\u202fPM  {shown} srfast: done.png: the file is empty" in refused.stderr
    assert len(skipped.stderr.splitlines()) == 2
    (tmp_path / "own.csv").write_text('image,"q\x1b[31m"\n"[bold]b.png",1\n')
    assert run("join", f"{ODD}.parquet", "own.csv", "-o", "j.parquet").returncode == 0
    for name in (bad, "small\nsrfast: done.png"):
        (folder / name).unlink()
    stats, evaluated = run("stats", "j.parquet"), run("eval", "bicubic", "--data", folder)
    for done in (stats, evaluated):
        assert done.returncode == 0, done.stderr
        assert r"a\x1b]0;owned\x07" in done.stdout.replace("\n", "")
        assert "[bold]b.png" in done.stdout
    assert r"good\nsrfast: done.png" in stats.stdout
    for said in (refused.stderr, skipped.stderr, skipped.stdout, stats.stdout, evaluated.stdout):
        assert not set(said) & set("\x1b\x07\x9b\u202e")
        assert "\nsrfast: done" not in said


@pytest.mark.parametrize(
    "line", ["a" + "\t" * 200_000 + "x", "a" + " ," * 100_000, "," * 200_000, "\t1" * 100_000 + "x"]
)
def test_a_line_of_separators(line, tmp_path, refused):
    path = tmp_path / "scores.txt"
    path.write_text(line + "\n")
    refused("line 1: expected a name and a number", read_table, path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 30_000 + "]" * 30_000, "not TOML"),
        ("a = " + "9" * 10_000, "not TOML"),
        ("a" + ".a" * 100_000 + " = 1", "refused, expected at most"),
        ("a = \x00", "not TOML"),
    ],
)
def test_toml_of_depth_size_and_digits(text, words, tmp_path, refused):
    path = tmp_path / "study.toml"
    path.write_text(text)
    refused(rf"study\.toml: {words}", toml.parse, path)


def test_a_pipe_as_a_study(tmp_path, srfast_command):
    os.mkfifo(tmp_path / "study.toml")
    done = srfast_command("study", "study.toml", "-o", "out", cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert "expected a study, got a named pipe" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space")
def test_little_memory_is_said_in_one_line(photo_folder, tmp_path):
    assert shell("$1 -m srfast score photos -o s.parquet --scorer bicubic --patch 48", tmp_path).returncode == 0
    rng = random.Random(0)
    for limit in (*rng.sample(range(160_000, 460_000, 10_000), 3), *rng.sample(range(600_000, 900_000, 10_000), 2)):
        done = shell(f"ulimit -v {limit}; $1 -m srfast select s.parquet -o c{limit}.parquet", tmp_path)
        assert done.returncode in (0, 1, 2), (limit, done)
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"srfast: error: ") <= 1, (limit, done)
