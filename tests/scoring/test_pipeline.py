"""The pipeline from files to a table: against a plain loop, shards, bad files, full disks, much data."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srfast
from srfast.data.images import read_rgb
from srfast.errors import InputError, RunError
from srfast.ops import reference
from srfast.scoring import per_image
from srfast.scoring.network import load_network
from srfast.scoring.parts import Parts
from srfast.scoring.table import ScoreTable, concatenate

Weights = Callable[[int], Path]


def plain_loop(folder: Path, scorer: Path, scale: int, patch: int, stride: int, mode: str) -> dict[tuple, tuple]:
    """(image, x, y) -> (loss, bicubic, sobel) of every patch, one after the other, in float64."""
    weights = load_network(scorer, scale).weights
    out = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".png", ".jpg")):
        image = torch.from_numpy(read_rgb(path))
        h, w = (side // scale * scale for side in image.shape[:2])
        image = image[None, :h, :w]
        maps = [reference.squared_error(image, net, scale, torch.float64)[0] for net in (weights, None)]
        gradient = reference.sobel_map(image)[0]
        for y in sorted({*range(0, h - patch + 1, stride), h - patch}):
            for x in sorted({*range(0, w - patch + 1, stride), w - patch}):
                window = (slice(y, y + patch), slice(x, x + patch))
                if mode == "dense":
                    scores = [m[window].mean().item() for m in (*maps, gradient)]
                else:
                    cut = image[:, window[0], window[1]]
                    scores = [reference.score_patches(cut, n, scale, torch.float64).item() for n in (weights, None)]
                    scores.append(reference.sobel(cut).item())
                out[path.relative_to(folder).as_posix(), x, y] = tuple(scores)
    return out


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_against_a_plain_loop(mode, scale, photo_folder, srcnn_weights):
    want = plain_loop(photo_folder, srcnn_weights(scale), scale, 48, 36, mode)
    how = {"scale": scale, "patch": 48, "stride": 36, "mode": mode, "scorer": srcnn_weights(scale)}
    for backend in ("native", "torch"):
        table = srfast.score(photo_folder, backend=backend, **how)
        keys = list(zip(*(table.column(c).tolist() for c in ("image", "x", "y")), strict=True))
        assert keys == sorted(want, key=lambda k: (k[0], k[2], k[1]))
        assert set(table.column("size")) == {48}
        for i, name in enumerate(("loss", "bicubic", "sobel")):
            # 1e-4 relative is the contract of fp32; the least loss of these photographs is far from zero.
            values = [want[k][i] for k in keys]
            np.testing.assert_allclose(table.column(name), values, rtol=1e-4, atol=1e-4, err_msg=f"{name}, {backend}")


def test_metadata(photo_folder, srcnn_weights):
    scorer = srcnn_weights(2)
    table = srfast.score(photo_folder, patch=48, scorer=scorer)
    stat = (photo_folder / "astronaut.png").stat()
    meta = table.meta
    network = load_network(scorer, 2)
    assert meta["images"]["astronaut.png"] == {
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "sha256": hashlib.sha256((photo_folder / "astronaut.png").read_bytes()).hexdigest(),
        "rows": 15,
    }
    assert sum(i["rows"] for i in meta["images"].values()) == len(table)
    assert meta["root"] == str(photo_folder)
    assert meta["scorer"] == {"name": network.name, "sha256": network.sha256}
    fixed = ("version", "scale", "patch", "stride", "mode", "boundary", "precision", "skipped", "small")
    assert {k: meta[k] for k in fixed} == {
        "version": 1, "scale": 2, "patch": 48, "stride": 48, "mode": "patch", "boundary": "symmetric",
        "precision": "fp32", "skipped": [], "small": [],
    }  # fmt: skip


def test_small_images_are_reported(photo_folder):
    Image.new("RGB", (3, 3)).save(photo_folder / "dot.png")
    Image.new("RGB", (49, 47)).save(photo_folder / "just too small.png")
    Image.new("RGB", (49, 48)).save(photo_folder / "just right.png")
    table = srfast.score(photo_folder, patch=48, scorer="bicubic")
    assert table.meta["small"] == [
        {"image": "dot.png", "height": 3, "width": 3},
        {"image": "just too small.png", "height": 47, "width": 49},
    ]
    assert table.column("image").tolist().count("just right.png") == 1


@pytest.mark.parametrize("large", [1, per_image.LARGE], ids=["all workers an image", "an image a worker"])
@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_workers_do_not_change_a_byte(mode, large, photo_folder, srcnn_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(per_image, "LARGE", large)
    options = {"patch": 48, "stride": 24, "mode": mode, "scorer": srcnn_weights(2), "output": tmp_path / "s.parquet"}
    written = set()
    for threads in (1, 2, 4, None):
        srfast.score(photo_folder, threads=threads, **options)
        written.add((tmp_path / "s.parquet").read_bytes())
    assert len(written) == 1


def test_shards_joined_are_the_undivided_run(photo_folder, srcnn_weights, tmp_path):
    options = {"patch": 48, "stride": 24, "scorer": srcnn_weights(2)}
    Image.new("RGB", (5, 5)).save(photo_folder / "dot.png")
    (photo_folder / "bad.png").write_bytes(b"")
    options["skip_bad"] = True
    whole = srfast.score(photo_folder, output=tmp_path / "whole.parquet", **options)
    for n in (2, 3, 6):
        paths = []
        for i in range(n):
            paths.append(tmp_path / f"{i} of {n}.parquet")
            srfast.score(photo_folder, output=paths[-1], shard=(i, n), **options)
        joined = concatenate([ScoreTable.read(p) for p in paths[::-1]])
        assert joined.table.equals(whole.table)
        assert joined.meta == whole.meta
        want, got = (srfast.select(t, keep=0.5, drop_hardest=0.05) for t in (whole, paths))
        assert got.table.equals(want.table)


def test_a_shard_without_patches_is_an_empty_table(photo_folder, tmp_path):
    """Another shard may have some: whether there is nothing to score shows only when they are joined."""
    Image.new("RGB", (5, 5)).save(photo_folder / "aaa.png")
    paths = [tmp_path / f"{i}.parquet" for i in range(9)]
    tables = [
        srfast.score(photo_folder, patch=48, scorer="bicubic", output=path, shard=(i, 9))
        for i, path in enumerate(paths)
    ]
    assert len(tables[0]) == len(tables[8]) == 0
    assert tables[0].meta["small"][0]["image"] == "aaa.png"
    assert len(srfast.select(paths, keep=1.0)) == len(srfast.score(photo_folder, patch=48, scorer="bicubic"))


@pytest.mark.parametrize(("name", "words"), [("dot.png", "1 smaller .*dot.png is 3 x 3"), ("bad.png", "1 unreadable")])
def test_nothing_to_score_is_an_error_that_says_why(name, words, tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "dot.png")
    if name == "bad.png":
        (tmp_path / "dot.png").rename(tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=f"nothing to score: .*{words}"):
        srfast.score(tmp_path, scorer="bicubic", output=tmp_path / "s.parquet", skip_bad=True)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_progress_is_told_of_every_image(photo_folder):
    calls: list[tuple[int, int, int]] = []
    table = srfast.score(photo_folder, patch=48, scorer="bicubic", progress=lambda *a: calls.append(a))
    assert [c[0] for c in calls] == [0, 1, 2, 3, 4]
    assert calls[-1] == (4, 4, len(table))


def test_a_full_disk_keeps_what_was_finished(photo_folder, tmp_path, monkeypatch):
    options = {"patch": 48, "scorer": "bicubic", "output": tmp_path / "s.parquet"}
    want = srfast.score(photo_folder, patch=48, scorer="bicubic")
    flush = Parts.flush
    monkeypatch.setattr("srfast.scoring.parts.ROWS", 1)

    def full(self):
        if self._next == 2:
            raise RunError("the disk is full")
        flush(self)

    monkeypatch.setattr(Parts, "flush", full)
    with pytest.raises(RunError, match="disk is full"):
        srfast.score(photo_folder, **options)
    monkeypatch.setattr(Parts, "flush", flush)
    calls: list[tuple[int, int, int]] = []
    table = srfast.score(photo_folder, resume=True, progress=lambda *a: calls.append(a), **options)
    assert calls[0][0] == 2
    assert table.table.equals(want.table)


LIMITED = """
import resource, sys
if sys.argv.pop(1) == "quota":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
from srfast.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("limit", ["disk", "quota"])
def test_a_disk_that_is_really_full(limit, photo_folder, tmp_path):
    """A file system of 64 KiB; and RLIMIT_FSIZE, which is what a quota looks like without privileges."""
    (folder := tmp_path / "disk").mkdir()
    if limit == "disk":
        mounting = [shutil.which("mount") or "false", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
        if subprocess.run(mounting, capture_output=True).returncode:
            pytest.skip("a tmpfs cannot be mounted here (needs root)")
    try:
        words = ["score", photo_folder, "-o", folder / "s", "--patch", "12", "--stride", "2", "--scorer", "bicubic"]
        line = [sys.executable, "-B", "-c", LIMITED, limit, *map(str, words)]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert done.stderr.startswith(f"srfast: error: {folder / 's'}")
        assert "the disk is full" in done.stderr
        assert os.strerror(errno.ENOSPC if limit == "disk" else errno.EFBIG) in done.stderr
        assert not (folder / "s").exists()
        assert not list(folder.rglob(".srfast-*"))
    finally:
        if limit == "disk":
            subprocess.run(["umount", str(folder)], check=True)


MEMORY = """
import resource, sys
import srfast
table = srfast.score(sys.argv[1], patch=96, stride=24, scorer="bicubic", threads=2)
print(len(table), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_number_of_images(tmp_path, photographs):
    peaks = []
    for n in (12, 120):
        folder = tmp_path / str(n)
        folder.mkdir()
        for i in range(n):
            Image.fromarray(np.roll(photographs["rocket"], 5 * i, 1)).save(folder / f"{i}.jpg", quality=80)
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(folder)], cwd=tmp_path, capture_output=True, text=True, check=True,
            timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        rows, peak = map(int, done.stdout.split())
        assert rows == n * 15 * 24
        peaks.append(peak)
    # 108 more images are 85 MB of pixels and 2 MB of table; the allocator's own noise is about 10 MB.
    assert peaks[1] - peaks[0] < 30_000, f"{peaks} KiB"
