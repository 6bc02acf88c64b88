"""What a file can do to the reader: foreign programs, pipes, sparse files, bombs, noise on stderr, memory."""

import io
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from srfast.cli import main
from srfast.data import workers
from srfast.data.images import image_size, read_image, read_rgb
from srfast.data.workers import claim, ordered_map
from srfast.errors import InputError
from srfast.scoring.pipeline import score

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 96\n%%EndComments\n(ran) print\n%%EOF\n"


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """refused(*arguments): the one line of a command that ends with exit code 2, in this process and a minute."""

    def run(*arguments: str | Path) -> str:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        err = capfd.readouterr().err
        assert (stop.value.code, err.count("\n")) == (2, 1), (arguments, err)
        return err

    def late(*_: Any) -> None:
        raise AssertionError("waits without end")

    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield run
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


def bomb() -> bytes:
    """A PNG whose header claims 50,000 x 50,000 pixels."""
    data = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    for chunk in (b"IHDR" + header, b"IDAT" + zlib.compress(bytes(1 << 20)), b"IEND"):
        data += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data


@pytest.mark.parametrize(
    ("content", "words"),
    [(POSTSCRIPT, "not an image in a known format"), (bomb(), "refused, the header claims too many pixels")],
    ids=["postscript", "bomb"],
)
def test_every_command_refuses_and_starts_nothing(content, words, photo_folder, tmp_path, refused, monkeypatch):
    """A program named gs, first on the path, would say when it was started."""
    (gs := tmp_path / "bin" / "gs").parent.mkdir()
    gs.write_text(f"#!/bin/sh\ntouch '{tmp_path / 'gs ran'}'\nexit 1\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", f"{gs.parent}:{os.environ['PATH']}")
    bad = photo_folder / "bad.png"
    bad.write_bytes(content)
    for read in (read_image, read_rgb, image_size):
        with pytest.raises(InputError, match=rf"bad\.png: {words}"):
            read(bad)
    for arguments in (
        ("score", photo_folder, "-o", tmp_path / "s.parquet", "--scorer", "bicubic"),
        ("eval", "bicubic", "--data", photo_folder),
        ("train", "fsrcnn", "--data", photo_folder, "--steps", "1", "-o", tmp_path / "run"),
    ):
        assert f"bad.png: {words}" in refused(*arguments)
    assert not (tmp_path / "gs ran").exists()


@pytest.mark.parametrize("kind", ["EPS", "ICO", "PCX", "TGA", "MSP", "SGI", "XBM"])
def test_other_formats_are_refused_whatever_the_suffix(kind, tmp_path):
    Image.init()
    buffer = io.BytesIO()
    mode = {"MSP": "1", "XBM": "1"}.get(kind, "RGB")
    Image.new(mode, (32, 32)).save(buffer, kind)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"a\.png: not an image in a known format"):
        read_rgb(tmp_path / "a.png")


def test_pipes_are_not_waited_for(photo_folder, tmp_path, refused):
    pipe, table, weights = (tmp_path / f"pipe.{suffix}" for suffix in ("png", "parquet", "pth"))
    for path in (pipe, table, weights):
        os.mkfifo(path)
    for arguments, name in (
        (("score", pipe, "-o", tmp_path / "s.parquet", "--scorer", "bicubic"), "pipe.png"),
        (("score", photo_folder, "-o", table, "--scorer", "bicubic"), "pipe.parquet"),
        (("select", table, "-o", tmp_path / "c.parquet"), "pipe.parquet"),
        (("train", "fsrcnn", "--data", pipe, "--steps", "1", "-o", tmp_path / "run"), "pipe.png"),
        (("train", "fsrcnn", "--data", table, "--steps", "1", "-o", tmp_path / "run"), "pipe.parquet"),
        (("eval", weights, "--data", photo_folder), "pipe.pth"),
    ):
        assert name in refused(*arguments)


def test_a_sparse_file_of_terabytes(tmp_path):
    path = tmp_path / "sparse.png"
    with open(path, "wb") as file:
        try:
            file.truncate(9 << 40)
        except OSError:
            pytest.skip("this file system has no files of 9 TB")
    with pytest.raises(InputError, match=r"sparse\.png: refused, expected a file of at most 2 GiB"):
        read_rgb(path)
    os.truncate(path, 1 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"sparse\.png: not an image"):
        read_rgb(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "zeros are not read before the header"


LARGE = """
import resource, sys
import numpy as np
from PIL import Image
from srfast.data.images import read_rgb
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_rgb(sys.argv[1])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_a_large_image_takes_eight_bytes_a_pixel(mode, tmp_path):
    """Pillow's 4 and the array's 3, a strip of each, and the file."""
    side = 5000
    image = Image.new("RGB", (side, side), (200, 30, 90)).convert(mode)
    path = tmp_path / "large.png"
    image.save(path, compress_level=1)
    done = subprocess.run([sys.executable, "-c", LARGE, path], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert int(done.stdout) < side * side * 8 + (64 << 20)


def test_what_a_tiff_says_is_not_on_stderr(tmp_path, srfast_command):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (96, 96, 3), np.uint8))
    noise.save(folder / "good.tif", compression="tiff_lzw")
    for i, compression in enumerate(("tiff_lzw", "tiff_deflate", "jpeg", "packbits")):
        buffer = io.BytesIO()
        noise.save(buffer, "TIFF", compression=compression)
        data = bytearray(buffer.getvalue())
        data[200:900] = rng.bytes(700)
        (folder / f"bad{i}.tif").write_bytes(data)
    (folder / "samples.tif").write_bytes(tiff(100, 100, samples=65535))
    done = srfast_command(
        "score", folder, "-o", tmp_path / "s.parquet", "--scorer", "bicubic", "--skip-bad", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for line in done.stderr.splitlines():
        assert line.startswith("srfast: "), line


def tiff(width: int, height: int, samples: int = 1, tile: int = 0, entries: int = 1) -> bytes:
    """A TIFF of one strip or tile of zeros, whatever its header claims; its second directory is the first again."""
    data = zlib.compress(bytes(1 << 20))
    places = [(324, entries), (325, entries)] if tile else [(273, entries), (279, entries)]
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 277: samples}
    tags |= {322: tile, 323: tile} if tile else {278: height}
    start = 8 + 2 + 12 * (len(tags) + 2) + 4
    every = [*((t, 1, v) for t, v in tags.items()), (*places[0], start), (*places[1], len(data))]
    body = b"".join(struct.pack("<HHII", t, 4, n, v) for t, n, v in sorted(every))
    return b"II*\0" + struct.pack("<IH", 8, len(every)) + body + struct.pack("<I", 8) + data


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"width": 60_000, "height": 60_000}, "too many pixels"),
        ({"width": 2**31 - 1, "height": 1}, "too many pixels"),
        ({"width": 1, "height": 2**31 - 1}, "too many pixels"),
        ({"width": 0, "height": 100}, "not an image"),
        ({"width": 100, "height": 100, "samples": 65535}, "not an image"),
        ({"width": 100, "height": 100, "tile": 2**31 - 16}, "cannot be decoded"),
        ({"width": 100, "height": 100, "entries": 2**31 - 1}, ""),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tiff_bombs(claims, reason, tmp_path):
    path = tmp_path / "bomb.tif"
    path.write_bytes(tiff(**claims))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=rf"bomb\.tif: .*{reason}"):
        read_rgb(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    path.write_bytes(tiff(100, 100))
    assert read_rgb(path).shape == (100, 100, 3), "a directory that leads back to itself is not followed"


def test_a_parquet_file_of_more_rows_than_memory(photo_folder, tmp_path, refused, monkeypatch):
    scores, own = tmp_path / "s.parquet", tmp_path / "own.parquet"
    score(photo_folder, patch=48, scorer="bicubic", output=scores)
    pq.write_table(pa.table({"image": pa.repeat("a.png", 1 << 21), "x": pa.repeat(1.0, 1 << 21)}), own)
    assert own.stat().st_size < 20_000
    monkeypatch.setattr("srfast.data.parquet._memory", lambda: 1 << 23)
    line = refused("join", scores, own, "-o", tmp_path / "j.parquet")
    assert "own.parquet: refused, its 2,097,152 rows would take 24 MiB of memory; this machine has 8" in line
    monkeypatch.setattr("srfast.data.parquet._memory", lambda: 100)
    for arguments in (
        ("select", scores, "-o", tmp_path / "c.parquet"),
        ("train", "fsrcnn", "--data", scores, "--steps", "1", "-o", tmp_path / "run"),
    ):
        assert "s.parquet: refused, its " in refused(*arguments)


def test_bytes_in_flight_are_bounded():
    """Not the number of images: eight threads over large and small items."""
    sizes = [10, 60, 10, 10, 90, 40, 40, 200, 10, 10, 50, 50] * 4
    flying, peak, guard = [0], [0], threading.Lock()

    def decode(size):
        claim(size)
        with guard:
            flying[0] += size
            peak[0] = max(peak[0], flying[0])
        time.sleep(0.002)
        return np.zeros(size, np.uint8)

    seen = []
    for size, array in ordered_map(decode, sizes, 8, budget=100):
        assert len(array) == size
        seen.append(size)
        time.sleep(0.001)
        with guard:
            flying[0] -= size
    assert seen == sizes
    assert peak[0] <= 100 + 200 + 10, "the budget, the largest item, and one that its consumer holds"


def test_closing_frees_those_who_wait():
    started = threading.Event()

    def decode(size):
        started.set()
        claim(size)
        return np.zeros(size, np.uint8)

    results = ordered_map(decode, [100] * 50, 4, budget=100)
    next(results)
    closing = threading.Thread(target=results.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
    assert threading.active_count() < 50


def test_errors_and_small_results_do_not_block_those_behind(monkeypatch):
    def decode(size):
        claim(100)
        if size == 3:
            raise InputError("bad")
        return np.zeros(1 if size == 4 else 100, np.uint8)

    with pytest.raises(InputError, match="bad"):
        list(ordered_map(decode, range(10), 4, budget=100))
    assert [len(r) for _, r in ordered_map(decode, [4] * 20, 4, budget=100)] == [1] * 20  # their bytes are free at once
    monkeypatch.setenv("SRFAST_DECODE_MB", "5")
    assert workers.Budget(workers=64).limit == 5 << 20
    monkeypatch.setenv("SRFAST_DECODE_MB", "x")
    with pytest.raises(InputError, match="SRFAST_DECODE_MB: expected a whole number of at least 0, got 'x'"):
        list(ordered_map(str, [1], 1))


@pytest.mark.parametrize("count", [2, 64, 128])
def test_every_worker_is_at_work(count):
    """20 of 64 workers scored 2040 x 1404 PNG files, since a task held what its decoder had taken: a barrier stands for
    scoring, which lasts longer than decoding."""
    together = threading.Barrier(count)
    file, pixels = 6 << 20, 2040 * 1404

    def task(_):
        with workers.decoding() as keep:
            claim(file + 3 * pixels)
            claim(4 * pixels)
            keep(3 * pixels)
        return together.wait(timeout=60)

    seen = list(ordered_map(task, range(2 * count), count))
    assert [item for item, _ in seen] == list(range(2 * count))
    assert sorted(place for _, place in seen) == sorted([*range(count)] * 2)


def test_reading_gives_back_what_it_took(photo_folder):
    def task(path):
        image = read_rgb(path)
        return int(workers._current.share.bytes), image.nbytes

    paths = sorted(p for p in photo_folder.rglob("*.*") if p.is_file())
    Image.open(paths[0]).convert("L").save(photo_folder / "gray.png")
    for _, (held, size) in ordered_map(task, [*paths, photo_folder / "gray.png"], 2):
        assert held == size
