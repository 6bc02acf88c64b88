"""Bad input: values, images, tables, outputs and permissions end in one line that names them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srfast.scoring.metadata import KEY
from srfast.scoring.pipeline import score
from srfast.scoring.table import SCHEMA, ScoreTable

Run = Callable[..., tuple[int, str, str]]
Check = Callable[..., None]


# Bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--patch", "95"], "patch: expected a positive multiple of the scale 2, got 95"),
        (["--patch", "-96"], "patch: expected"),
        (["--stride", "7"], "stride: expected"),
        (["--stride", "0"], "stride: expected"),
        (["--shard", "5/2"], "shard: expected"),
        (["--shard", "0/0"], "shard: expected"),
        (["--scorer", "nothing.safetensors"], "scorer: expected"),
        (["--patch", "1200"], "nothing to score"),
    ],
)
def test_wrong_values_are_exit_code_2(
    options: list[str], words: str, photo_folder: Path, tmp_path: Path, run: Run, assert_one_line: Check
) -> None:
    result = run("score", photo_folder, "-o", tmp_path / "s.parquet", "--scorer", "bicubic", *options)
    assert_one_line(result, 2, words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lr", "inf"], "--lr: expected a finite learning rate above 0, got 'inf'"),
        (["--clip", "inf"], "--clip: expected a finite number of 0 or more, got inf"),
        (["--decay", "inf"], "--decay: expected a finite number of 0 or more, got inf"),
        (["--epochs", "inf"], "--epochs: expected a positive, finite number, got inf"),
        (["--epochs", "1e308"], "--epochs: expected a positive, finite number, got 1e+308"),
        (
            ["--seed", "9" * 23],
            f"--seed: expected a whole number of at least 0 and at most {2**63 - 1}, got {'9' * 23}",
        ),
    ],
)
def test_numbers_without_end_are_refused(
    options: list[str], words: str, photo_folder: Path, tmp_path: Path, run: Run, assert_one_line: Check
) -> None:
    length = [] if "--epochs" in options else ["--steps", "1"]
    result = run("train", "fsrcnn", "--data", photo_folder, "-o", tmp_path / "run", *length, *options)
    assert_one_line(result, 2, words)
    assert not (tmp_path / "run").exists()


def test_missing_paths_and_empty_folders(photo_folder: Path, tmp_path: Path, run: Run, assert_one_line: Check) -> None:
    (tmp_path / "empty").mkdir()
    for command in ("score", "prune"):
        for name, words in (("missing", "no such file or folder"), ("empty", "no image files found")):
            result = run(command, tmp_path / name, "-o", tmp_path / "out", "--scorer", "bicubic")
            assert_one_line(result, 2, tmp_path / name, words)
    for command, output in (("score", tmp_path / "no" / "s.parquet"), ("score", photo_folder)):
        assert_one_line(run(command, photo_folder, "-o", output, "--scorer", "bicubic"), 2, output)


BAD = {
    "truncated.png": ("cannot be decoded", lambda data: data[: len(data) // 2]),
    "text.png": ("not an image in a known format", lambda data: b"This is a text file.\n"),
    "empty.png": ("the file is empty (0 bytes)", lambda data: b""),
    "huge.png": (
        "the header claims too many pixels",
        lambda data: data[:16] + (100_000).to_bytes(4, "big") * 2 + data[24:],
    ),
    "<b onclick=x>.png": ("the file is empty", lambda data: b""),
    "naïve name.png": ("the file is empty", lambda data: b""),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_name_the_file_and_the_reason(
    name: str, photo_folder: Path, tmp_path: Path, run: Run, assert_one_line: Check
) -> None:
    words, damage = BAD[name]
    data = bytearray(damage((photo_folder / "astronaut.png").read_bytes()))
    if name == "huge.png":
        import zlib

        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (photo_folder / name).write_bytes(bytes(data))
    output = tmp_path / "s.parquet"
    arguments = ["score", photo_folder, "-o", output, "--patch", "48", "--scorer", "bicubic"]
    assert_one_line(run(*arguments), 2, photo_folder / name, words, "--skip-bad")
    assert not output.exists()
    code, out, err = run(*arguments, "--skip-bad")
    assert code == 0
    assert err.count("\n") == 1
    assert err.startswith("srfast: skipped ")
    assert name in err
    assert words in err
    assert [s["image"] for s in ScoreTable.read(output).meta["skipped"]] == [name]
    assert out.count("\n") == 1


def test_bad_tables_name_the_file_and_the_reason(
    photo_folder: Path, tmp_path: Path, run: Run, assert_one_line: Check
) -> None:
    run("score", photo_folder, "-o", tmp_path / "s.parquet", "--patch", "48", "--scorer", "bicubic")
    table = pq.read_table(tmp_path / "s.parquet")
    meta = json.loads(table.schema.metadata[KEY])
    outside = table.set_column(0, SCHEMA.field("image"), pa.array(["../../etc/shadow"] * len(table)))
    cases = {
        "other version": table.replace_schema_metadata({KEY: json.dumps({**meta, "version": 99}).encode()}),
        "written by srfast": table.replace_schema_metadata({}),
        "a path inside the root": outside,
    }
    for words, bad in cases.items():
        path = tmp_path / "bad table.parquet"
        pq.write_table(bad, path)
        words = "expected version 1" if words == "other version" else words
        for command in (["select", path, "-o", tmp_path / "c.parquet"], ["report", path, "-o", tmp_path / "r.html"]):
            assert_one_line(run(*command), 2, path, words)
    (tmp_path / "text.parquet").write_text("not parquet")
    assert_one_line(run("select", tmp_path / "text.parquet", "-o", tmp_path / "c.parquet"), 2, "not a readable parquet")
    assert_one_line(run("select", tmp_path / "no.parquet", "-o", tmp_path / "c.parquet"), 2, "no such file")
    assert_one_line(
        run("report", tmp_path / "s.parquet", "--coreset", tmp_path / "s.parquet", "-o", tmp_path / "r.html"),
        2,
        "core-set",
    )
    assert not (tmp_path / "c.parquet").exists()
    assert not (tmp_path / "r.html").exists()


@pytest.fixture
def unprivileged(srfast_command: Any) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line bound by file permissions, which root is not."""
    prefix = []
    if os.getuid() == 0:
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
        if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
            pytest.skip("root's privileges cannot be dropped here (setpriv of util-linux)")

    def call(*args: str | Path) -> tuple[int, str, str]:
        done = subprocess.run(
            [*prefix, sys.executable, "-B", "-m", "srfast", *map(str, args)], cwd=tempfile.gettempdir(),
            capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return call


def test_no_permission(unprivileged: Any, photo_folder: Path, tmp_path: Path, assert_one_line: Check) -> None:
    call, photos, folder = unprivileged, photo_folder, tmp_path
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    options = ["--patch", "48", "--scorer", "bicubic"]
    assert_one_line(call("score", photos, "-o", locked / "s.parquet", *options), 2, locked, "ermission")
    assert_one_line(call("prune", photos, "-o", locked / "new", *options), 2, locked, "ermission")
    assert list(locked.iterdir()) == []
    (photos / "astronaut.png").chmod(0o000)
    assert_one_line(call("score", photos, "-o", locked / "s.parquet", *options), 2, "ermission")
    (photos / "sub").chmod(0o000)
    assert_one_line(call("score", photos, "-o", locked / "s.parquet", *options), 2, photos / "sub", "ermission")
    (folder / "scores.parquet").write_bytes(b"")
    (folder / "scores.parquet").chmod(0o000)
    assert_one_line(
        call("select", folder / "scores.parquet", "-o", locked / "c.parquet"), 2, "scores.parquet", "ermission"
    )
    (photos / "sub").chmod(0o755)


# Messages for wrong input of the stranger kind: one line, the argument or the file, nothing of the inside.


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def line(run: Callable[..., tuple[int, str, str]]) -> Run:
    """line(*args) -> (exit code, stderr), which is one line."""

    def call(*args: str | Path) -> tuple[int, str]:
        code, _, err = run(*args)
        assert err.startswith("srfast: error: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert code
        return code, err

    return call


@pytest.mark.parametrize("shard", ["²/4", "1/²", "①/4", "-1/4", "1/0", "0x1/4", "1 /4 x"])
def test_shards_that_are_no_numbers(shard: str, photo_folder: Path, tmp_path: Path, line: Run) -> None:
    code, err = line("score", photo_folder, "-o", tmp_path / "s.parquet", "--scorer", "bicubic", "--shard", shard)
    assert code == 2
    assert "shard" in err
    assert "expected" in err


def test_proposals_are_similar_options(photo_folder: Path, tmp_path: Path, line: Run) -> None:
    code, err = line("onnx", "--lr", "x", "-o", tmp_path / "n.onnx")
    assert code == 2
    assert "--lr" in err
    assert "Did you mean" not in err
    _, err = line("score", photo_folder, "-o", tmp_path / "s.parquet", "--strid", "4")
    assert "--stride" in err


def test_a_core_set_does_not_replace_a_score_table(photo_folder: Path, tmp_path: Path, line: Run) -> None:
    scores, other = tmp_path / "s.parquet", tmp_path / "other.parquet"
    other.write_bytes(score(photo_folder, scorer="bicubic", patch=48, output=scores) and scores.read_bytes())
    assert "expected a core-set to replace, got a score table" in line("select", scores, "-o", other)[1]
    assert other.read_bytes() == scores.read_bytes()
