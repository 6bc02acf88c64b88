"""``srfast train`` as a command: several processes, interruption, messages."""

import csv
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import srfast
from srfast import evaluate, models
from srfast.cli.train import command
from srfast.data.packed import SUFFIX
from srfast.errors import InputError
from srfast.models.loading import load_state
from srfast.training import host


def rows_of(run: Path) -> list[dict[str, str]]:
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def weights(run: Path) -> dict[str, Tensor]:
    return load_state(run / "model.safetensors")


COMMAND = ["train", "fsrcnn", "--steps", "6", "--batch", "4", "--lr-patch", "24", "--threads", "1", "--log-every", "1"]
COMMAND += ["--optimizer", "adam"]


def test_the_command_says_when_it_leaves_busy_cores_alone(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(host, "idle_threads", lambda: 1)
    taken: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    start = COMMAND.index("--threads")
    options = [*COMMAND[1:start], *COMMAND[start + 2 :], "--data", str(photo_folder)]
    run = CliRunner().invoke(command, [*options, "-o", str(tmp_path / "a")])
    assert run.exit_code == 0, run.output
    assert run.stderr.splitlines()[0] == "threads: 1 of 4, since other processes are busy; --threads N takes N"
    for i, more in enumerate((["--threads", "4"], ["--quiet"])):
        run = CliRunner().invoke(command, [*options, "-o", str(tmp_path / f"b{i}"), *more])
        assert run.exit_code == 0, run.output
        assert "threads:" not in run.stderr
    assert taken == [1, 4, 1]


def test_two_processes_train_as_one_and_go_on(photo_folder, tmp_path, srfast_command):
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    line = [*launch, "-m", "srfast", *COMMAND, "--data", photo_folder, "-o", tmp_path / "two", "--save-every", "3"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    for more in ([], ["--resume", "--steps", "8"]):
        one = srfast_command(*COMMAND, "--data", photo_folder, "-o", tmp_path / "one", *more, cwd=tmp_path)
        assert one.returncode == 0, one.stderr
        two = subprocess.run([*line, *more], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
        assert two.returncode == 0, two.stderr
    a, b = weights(tmp_path / "one"), weights(tmp_path / "two")
    for k in a:
        # The mean of two half batches' gradients instead of one batch's: other rounding, and Adam divides by
        # the gradient's own size.
        assert torch.allclose(a[k], b[k], atol=2e-5), k
    rows = [rows_of(tmp_path / n) for n in ("one", "two")]
    assert [r["step"] for r in rows[1]] == [str(i) for i in range(1, 9)]
    assert [float(r["loss"]) for r in rows[1]] == pytest.approx([float(r["loss"]) for r in rows[0]], rel=1e-3)
    assert len(torch.load(tmp_path / "two" / "last.pt", weights_only=True)["rng"]) == 2


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("nonsense --steps 1", "nonsense"), ("srcnn", "steps"), ("srcnn --steps 1 --epochs 1", "steps"),
        ("srcnn --steps 1 --match-steps", "match_steps"), ("srcnn --epochs 1 --match-steps", "match_steps"),
        *((f"srcnn --steps 1 --{option} {value}", word) for option, value, word in (
            ("rescale", "2", "rescale"), ("option", "blocks", "option"), ("lr-factor", "conv3", "lr_factors"),
            ("grow", "2", "grow"), ("weight-decay", "0.1", "weight_decay"), ("loss-border", "16", "lr_patch"),
            ("init", "none.pth", "none.pth"),
        )),
    ],
)  # fmt: skip
def test_bad_command_lines(photo_folder, tmp_path, line, word):
    result = CliRunner().invoke(command, [*line.split(), "--data", str(photo_folder), "-o", str(tmp_path / "run")])
    assert isinstance(result.exception, InputError)
    assert word in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_epochs_say_at_the_start_what_they_are(photo_folder, tmp_path):
    line = ["FSRCNN", "--recipe", "paper", "--epochs", "0.05", "--batch", "8", "--data", str(photo_folder)]
    line += ["--eval-data", str(photo_folder), "--eval-protocol", "rgb", "--eval-ssim", "skimage"]
    line += ["--lr-factor", "body=0", "--loss-border", "2", "--threads", "1", "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(command, line)
    assert result.exit_code == 0, result.output
    match = re.search(r"epochs: 0\.05 x (\d+) patches, a crop each, in batches of 8: (\d+) steps", result.stderr)
    assert match
    patches, steps = int(match[1]), int(match[2])
    assert steps == math.ceil(0.05 * patches / 8)
    expected = evaluate(tmp_path / "run" / "model.safetensors", photo_folder, 2, "rgb", window="skimage")
    assert f"PSNR {expected.psnr:.2f} dB, SSIM {expected.ssim:.4f}" in result.stderr
    torch.manual_seed(0)
    fresh, trained = models.create("fsrcnn").state_dict(), weights(tmp_path / "run")
    assert {k for k in fresh if not torch.equal(fresh[k], trained[k])} == {"deconv.weight", "deconv.bias"}


def test_the_command_reports_what_it_reached(photo_folder, tmp_path, srfast_command):
    line = [*COMMAND, "--data", photo_folder, "--eval-data", photo_folder, "--rescale", "0.8", "-o", "run"]
    done = srfast_command(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "6 steps" in done.stderr
    assert "dB" in done.stderr
    again = srfast_command(*line, cwd=tmp_path)
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "already holds a run" in again.stderr
    (tmp_path / "run" / "last.pt").write_bytes(b"broken")
    broken = srfast_command(*line, "--resume", cwd=tmp_path)
    assert broken.returncode == 2
    assert broken.stderr.startswith("srfast: error: ")
    assert broken.stderr.count("\n") == 1


def test_weights_do_not_depend_on_where_the_pixels_are(photo_folder, tmp_path, monkeypatch):
    """From the packed patches of a core-set, and from its images where nothing may be packed."""
    coreset = srfast.select(srfast.score(photo_folder, patch=24, stride=24, scorer="bicubic"), keep=1.0)
    how: dict[str, Any] = {"scale": 2, "batch": 4, "lr_patch": 10, "steps": 6, "threads": 1}
    monkeypatch.setenv("SRFAST_CACHE", str(tmp_path / "cache"))
    srfast.train("fsrcnn", coreset, tmp_path / "packed", **how)
    assert [file.suffix for file in (tmp_path / "cache").iterdir()].count(SUFFIX) == 1
    monkeypatch.setenv("SRFAST_CACHE_GB", "0")
    srfast.train("fsrcnn", coreset, tmp_path / "planes", **how)
    packed, planes = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("packed", "planes"))
    assert packed == planes


@pytest.mark.parametrize(
    ("busy", "threads"),
    [((0,) * 4, 4), ((5, 10, 5, 10), 4), ((100, 0, 0, 0), 3), ((50,) * 4, 2), ((100,) * 4, 1), (None, 4)],
)
def test_busy_cores_are_left_alone(monkeypatch, busy, threads):
    """By /proc/stat before and after a time of which each core works some hundredths; 3 and 4 are not this process's.
    What cannot be read counts for nothing, and a stated number is taken."""

    def stat(part):
        cores = dict(zip((0, 1, 2, 5, 3, 4), (*busy, 0, 0), strict=True)).items()
        rows = [f"cpu{i} {1000 + part * b} 0 0 {part * (100 - b)} 0 0 0 0 0 0" for i, b in cores]
        return "\n".join(["cpu  1 2 3 4 5 6 7 8 9 10", *rows, "ctxt 5", ""])

    readings = iter([stat(0), stat(1)] if busy else ["cpu0 many"])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(host, "_SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(host, "_STAT", SimpleNamespace(read_text=lambda encoding: next(readings)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _: {0, 1, 2, 5}, raising=False)
    assert host.idle_threads() == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert host.idle_threads() == 4


def test_other_systems_have_no_such_allocator(monkeypatch):
    def missing(_: object) -> object:
        raise TypeError  # Windows

    monkeypatch.setattr(host.ctypes, "CDLL", missing)
    host.keep_freed_memory()
    monkeypatch.setattr(host.ctypes, "CDLL", lambda _: object())
    host.keep_freed_memory()
