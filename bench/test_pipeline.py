"""Files in, table out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import srfast
from bench.measure import peak_mib
from bench.test_scale import write_table
from srfast.data.grid import Grid
from srfast.data.images import ImageFile, find_images, read_rgb
from srfast.data.workers import ordered_map
from srfast.runtime.threads import cores
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.network import load_network
from srfast.scoring.settings import Mode


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_million_patches(benchmark: Any, bsds400: Path, tmp_path: Path, precision: str) -> None:
    """Stride 6 over 400 photographs, dense: JPEG files on disk to scores.parquet, in a process of its own."""
    output = tmp_path / "scores.parquet"
    command = [sys.executable, "-m", "srfast", "score", str(bsds400), "-o", str(output), "--mode", "dense"]
    command += ["--stride", "6", "--precision", precision]
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=3, iterations=1)
    table = srfast.ScoreTable.read(output)
    assert len(table) == 1_014_000
    benchmark.extra_info["patches"] = len(table)


def test_start(benchmark: Any, bsds400: Path, tmp_path: Path) -> None:
    """``srfast score`` of one photograph, in a process of its own: what there is before the first patch, mostly."""
    (tmp_path / "images").mkdir()
    first = find_images(bsds400)[0]
    (tmp_path / "images" / first.name).symlink_to(first.path)
    command = [sys.executable, "-m", "srfast", "score", str(tmp_path / "images"), "-o", str(tmp_path / "s.parquet")]
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=10, iterations=1)
    assert len(srfast.ScoreTable.read(tmp_path / "s.parquet")) > 0


@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_pipeline(beside: Any, bsds400: Path, tmp_path: Path, mode: Mode) -> None:
    """The whole job beside what it cannot do without, decoding and scoring each image, on the same threads.

    ``ratio_decode_and_score`` is its efficiency: the rest is the start, the rows and their merging.
    """
    files = find_images(bsds400)[:120]
    folder = tmp_path / "images"
    folder.mkdir()
    for file in files:
        (folder / file.name).symlink_to(file.path)
    engine = NativeEngine(load_network("srcnn", 2))
    score_one = engine.dense if mode == "dense" else engine.windows

    def one(file: ImageFile) -> None:
        image = read_rgb(file.path)
        score_one(image, Grid.over(image.shape[0], image.shape[1], 2, 96, 96))

    def decode_and_score() -> None:
        for _ in ordered_map(one, files, cores()):
            pass

    def whole() -> None:
        srfast.score(folder, mode=mode, output=tmp_path / "scores.parquet")

    def check() -> None:
        whole()
        assert len(srfast.ScoreTable.read(tmp_path / "scores.parquet").meta["images"]) == len(files)

    beside(whole, {"decode_and_score": decode_and_score}, check)


def test_memory(benchmark: Any, bsds400: Path, tmp_path: Path) -> None:
    """Peak resident memory of scoring 40 and 400 photographs, dense, stride 6."""
    script = (
        "import sys; from srfast.scoring.pipeline import ScoreArguments, write_scores;"
        "write_scores(sys.argv[1:], sys.stdin.read(), ScoreArguments(mode='dense', stride=6))"
    )
    files = [str(f.path) for f in find_images(bsds400)]

    def peak(n: int) -> float:
        return peak_mib(script, *files[:n], text=str(tmp_path / f"{n}.parquet"))

    benchmark.extra_info["peak_mib_40_images"] = peak(40)
    benchmark.extra_info["peak_mib_400_images"] = benchmark.pedantic(peak, args=(400,), rounds=1, iterations=1)


def test_select(benchmark: Any, tmp_path: Path) -> None:
    """A million rows in memory."""
    n = 1_000_000
    write_table(tmp_path / "scores.parquet", n)
    table = srfast.ScoreTable.read(tmp_path / "scores.parquet")
    coreset = benchmark.pedantic(lambda: srfast.select(table, drop_hardest=0.05), rounds=3, iterations=1)
    assert len(coreset) == n // 2
