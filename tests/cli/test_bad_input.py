"""Bad input: values, images, tables, outputs and permissions end in one line that names them."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srfast.scoring.metadata import KEY
from srfast.scoring.table import SCHEMA, ScoreTable

REFUSED = {
    "frobnicate": "No such command 'frobnicate'",
    "scor photos": "No such command 'scor'; did you mean score",
    "zzz": "No such command 'zzz'; expected one of prune, score",
    "--nothing": "No such option",
    "score": "Missing argument",
    "score x": "Missing option",
    "score x -o s.parquet --scale 7": "--scale",
    "score x -o s.parquet --scale two": "--scale",
    "score x -o s.parquet --mode whole": "--mode",
    "score x -o s.parquet --backend jax": "--backend",
    "score x -o s.parquet --workers 0": "threads: expected a whole number of at least 1, got 0",
    **{f"score photos -o s.parquet --scorer bicubic --shard {shard}": "shard: expected" for shard in
       ("2", "a/b", "5/2", "0/0", "²/4", "1/²", "①/4", "-1/4", "1/0", "0x1/4")},
    "score photos -o s.parquet --scorer bicubic --patch 95": "patch: expected a positive multiple of the scale",
    "score photos -o s.parquet --scorer bicubic --patch -96": "patch: expected",
    "score photos -o s.parquet --scorer bicubic --patch 1200": "nothing to score",
    "score photos -o s.parquet --scorer bicubic --stride 7": "stride: expected",
    "score photos -o s.parquet --scorer bicubic --stride 0": "stride: expected",
    "score photos -o s.parquet --scorer nothing.safetensors": "scorer: expected",
    "score photos -o s.parquet --strid 4": "--stride",
    "select x -o c.parquet --order up": "--order",
    "select x -o c.parquet --keep half": "--keep",
    "select x -o c.parquet --keep 50": "keep: expected a fraction",
    "select x -o c.parquet --window 0.5": "--window",
    "select x -o c.parquet --per-image all": "--per-image",
    "prune x": "Missing option",
    "doctor extra": "unexpected extra argument",
    "train fsrcnn --data photos -o run --steps 1 --lr inf": "--lr: expected a finite learning rate above 0, got 'inf'",
    "train fsrcnn --data photos -o run --steps 1 --clip inf": "--clip: expected a finite number",
    "train fsrcnn --data photos -o run --steps 1 --decay inf": "--decay: expected a finite number",
    "train fsrcnn --data photos -o run --epochs inf": "--epochs: expected a positive, finite number, got inf",
    "train fsrcnn --data photos -o run --epochs 1e308": "--epochs: expected a positive, finite number, got 1e+308",
    f"train fsrcnn --data photos -o run --steps 1 --seed {'9' * 23}": f"--seed: expected .* at most {2**63 - 1}",
    "score photos -o s.csv": "s.csv: a score table is a parquet file; expected a name ending in .parquet",
    "eval photos --data photos": "photos without model.safetensors",
    "stats no.parquet": "no.parquet: no such file",
    "join no.parquet x.csv -o o.parquet": "no.parquet: no such file",
    "dedup a.parquet b.parquet -o o.parquet": "test images come after --against",
    "dedup no.parquet -o o.parquet": "no.parquet: no such file",
    "influence no.parquet --target . -o o.parquet": "no.parquet: no such file",
    "influence a.parquet -o o.parquet": "--target",
}  # fmt: skip
"""Command line -> what its one line has, as a pattern."""


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_refused(line, photo_folder, tmp_path, run, assert_one_line, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*line.split())
    assert_one_line(result, 2)
    assert re.search(REFUSED[line].replace("+", r"\+"), result[2]), result[2]
    assert os.listdir(tmp_path) == ["photos"]


def test_missing_paths_and_empty_folders(photo_folder, tmp_path, run, assert_one_line):
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
    "huge.png": ("the header claims too many pixels", lambda d: d[:16] + (100_000).to_bytes(4, "big") * 2 + d[24:]),
    "<b onclick=x>.png": ("the file is empty", lambda data: b""),
    "naïve name.png": ("the file is empty", lambda data: b""),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_name_the_file_and_the_reason(name, photo_folder, tmp_path, run, assert_one_line):
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
    assert (code, err.count("\n"), out.count("\n")) == (0, 1, 1)
    assert re.match(f"srfast: skipped .*{re.escape(name)}.*{re.escape(words)}", err)
    assert [s["image"] for s in ScoreTable.read(output).meta["skipped"]] == [name]


def test_bad_tables_name_the_file_and_the_reason(photo_folder, tmp_path, run, assert_one_line):
    run("score", photo_folder, "-o", tmp_path / "s.parquet", "--patch", "48", "--scorer", "bicubic")
    table, path = pq.read_table(tmp_path / "s.parquet"), tmp_path / "bad table.parquet"
    meta = json.loads(table.schema.metadata[KEY])
    outside = table.set_column(0, SCHEMA.field("image"), pa.array(["../../etc/shadow"] * len(table)))
    for words, bad in (
        ("expected version 1", table.replace_schema_metadata({KEY: json.dumps({**meta, "version": 99}).encode()})),
        ("written by srfast", table.replace_schema_metadata({})),
        ("a path inside the root", outside),
        ("not a readable parquet", b"not parquet"),
    ):
        path.write_bytes(bad) if isinstance(bad, bytes) else pq.write_table(bad, path)
        for command in (["select", path, "-o", tmp_path / "out"], ["report", path, "-o", tmp_path / "out"]):
            assert_one_line(run(*command), 2, path, words)
    line = ("report", tmp_path / "s.parquet", "--coreset", tmp_path / "s.parquet", "-o", tmp_path / "out")
    assert_one_line(run(*line), 2, "core-set")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def unprivileged():
    """Runs the command line bound by file permissions, which root is not."""
    prefix = []
    if os.getuid() == 0:
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
        if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
            pytest.skip("root's privileges cannot be dropped here (setpriv of util-linux)")

    def call(*args):
        done = subprocess.run(
            [*prefix, sys.executable, "-B", "-m", "srfast", *map(str, args)], cwd=tempfile.gettempdir(),
            capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return call


def test_no_permission(unprivileged, photo_folder, tmp_path, assert_one_line):
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
    result = call("select", folder / "scores.parquet", "-o", locked / "c.parquet")
    assert_one_line(result, 2, "scores.parquet", "ermission")
    (photos / "sub").chmod(0o755)
