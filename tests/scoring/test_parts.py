"""Parts of a run: one process at a time, and no row of another run, setting or image in the table."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srfast.errors import InputError, RunError
from srfast.scoring.pipeline import score
from srfast.scoring.table import ScoreTable

OPTIONS: dict[str, Any] = {"patch": 48, "scorer": "bicubic", "threads": 1}
WAITING = """
import sys
from srfast.scoring import pipeline
def wait(done, total, patches):
    if done == 2:
        print("two", flush=True)
        sys.stdin.readline()
pipeline.score(sys.argv[1], patch=48, scorer="bicubic", output=sys.argv[2], progress=wait, threads=1)
"""


@pytest.mark.parametrize("options", [[], ["--resume"], ["--stride", "24"]])
def test_a_second_run_ends_in_one_line_that_names_the_first(options, photo_folder, tmp_path, srfast_command):
    output = tmp_path / "s.parquet"
    alone = score(photo_folder, output=tmp_path / "alone.parquet", **OPTIONS)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", WAITING, photo_folder, output], cwd=tmp_path, **pipes) as first:
        assert first.stdout.readline() == "two\n"
        second = srfast_command(
            *("score", photo_folder, "-o", output, "--patch", "48", "--scorer", "bicubic", *options), cwd=tmp_path
        )
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert f"s.parquet: process {first.pid} on " in second.stderr
        first.communicate("\n", timeout=60)
        assert first.returncode == 0
    assert output.read_bytes() == (tmp_path / "alone.parquet").read_bytes()
    assert len(alone) == len(ScoreTable.read(output))
    assert not (tmp_path / "s.parquet.parts").exists()


def test_two_runs_of_one_process(photo_folder, tmp_path):
    output = tmp_path / "s.parquet"
    seen = []

    def progress(done, _total, _patches):
        if done == 1:
            with pytest.raises(RunError, match=f"process {os.getpid()} on"):
                score(photo_folder, output=output, **OPTIONS)
            seen.append(done)

    score(photo_folder, output=output, progress=progress, **OPTIONS)
    assert seen == [1]


@pytest.fixture
def stopped(interrupted: Callable[..., None]) -> Callable[..., None]:
    """A run that ends after two images; its parts stay."""
    return lambda folder, output, **options: interrupted(
        score, folder, output=output, after=2, **{**OPTIONS, **options}
    )


def parts_of(output: Path) -> list[Path]:
    return sorted(output.with_name(output.name + ".parts").glob("part-*"))


def test_a_part_that_is_exchanged_before_the_merge_is_not_merged(photo_folder, tmp_path, stopped):
    output, names = tmp_path / "s.parquet", []
    for _ in range(2):
        stopped(photo_folder, output)
        [part] = parts_of(output)
        names.append(part.name)
    assert names[0] != names[1], "names of parts do not repeat"
    table = pq.read_table(part)

    def exchange(done, total, _patches):
        if done == total:
            pq.write_table(table.take(pa.array(range(len(table) - 1, -1, -1))), part)

    with pytest.raises(InputError, match=r"stride: .* was scored with"):
        score(photo_folder, output=output, resume=True, **{**OPTIONS, "stride": 24})
    with pytest.raises(RunError, match=rf"{part.name}: has been changed or damaged"):  # the lock was free again
        score(photo_folder, output=output, resume=True, progress=exchange, **OPTIONS)
    assert not output.exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "rows", "empty"])
def test_damaged_parts_are_scored_again(damage, photo_folder, tmp_path, stopped):
    output, alone = tmp_path / "s.parquet", tmp_path / "alone.parquet"
    score(photo_folder, output=alone, **OPTIONS)
    stopped(photo_folder, output)
    [part] = parts_of(output)
    data = part.read_bytes()
    if damage == "rows":
        pq.write_table(pq.read_table(part).slice(1), part)
    else:
        flipped = data[:100] + bytes([data[100] ^ 4]) + data[101:]
        part.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "flipped": flipped}[damage])
    score(photo_folder, output=output, resume=True, **OPTIONS)
    assert output.read_bytes() == alone.read_bytes()


def test_a_joined_column_is_not_lost_by_resuming(photo_folder, tmp_path):
    output = tmp_path / "s.parquet"
    table = score(photo_folder, output=output, **OPTIONS)
    extra = table.table.append_column("quality", pa.array([1.0] * len(table)))
    ScoreTable(extra, table.meta).write(output)
    before = output.read_bytes()
    with pytest.raises(InputError, match="scoring would lose its column 'quality'"):
        score(photo_folder, output=output, resume=True, **OPTIONS)
    assert output.read_bytes() == before
