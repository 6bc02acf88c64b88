"""Parts of a run: one process at a time, and no row of another run, setting or image in the table."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import srfast
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


class Stop(Exception):
    pass


def stopped(folder: Path, output: Path, after: int = 2, **options: Any) -> None:
    """A run that ends after some images; its parts stay."""

    def progress(done: int, _total: int, _patches: int) -> None:
        if done == after:
            raise Stop

    with pytest.raises(Stop):
        score(folder, output=output, progress=progress, **{**OPTIONS, **options})


@pytest.mark.parametrize("options", [[], ["--resume"], ["--stride", "24"]])
def test_a_second_run_ends_in_one_line_that_names_the_first(
    options: list[str], photo_folder: Path, tmp_path: Path, srfast_command: Callable[..., Any]
) -> None:
    output = tmp_path / "s.parquet"
    alone = score(photo_folder, output=tmp_path / "alone.parquet", **OPTIONS)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", WAITING, photo_folder, output], cwd=tmp_path, **pipes) as first:
        assert first.stdout is not None
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


def test_two_runs_of_one_process(photo_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "s.parquet"
    seen = []

    def progress(done: int, _total: int, _patches: int) -> None:
        if done == 1:
            with pytest.raises(RunError, match=f"process {os.getpid()} on"):
                score(photo_folder, output=output, **OPTIONS)
            seen.append(done)

    score(photo_folder, output=output, progress=progress, **OPTIONS)
    assert seen == [1]


def parts_of(output: Path) -> list[Path]:
    return sorted(output.with_name(output.name + ".parts").glob("part-*"))


def test_part_names_do_not_repeat(photo_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "s.parquet"
    names = []
    for _ in range(2):
        stopped(photo_folder, output)
        names += [p.name for p in parts_of(output)]
    assert len(set(names)) == 2


def test_a_part_of_other_settings_is_not_merged(photo_folder: Path, tmp_path: Path) -> None:
    """A part that is exchanged for one of another run between its indexing and the merge."""
    output, other = tmp_path / "s.parquet", tmp_path / "o.parquet"
    stopped(photo_folder, output)
    stopped(photo_folder, other, stride=24)
    [part], [foreign] = parts_of(output), parts_of(other)

    def exchange(done: int, total: int, _patches: int) -> None:
        if done == total:
            part.write_bytes(foreign.read_bytes())

    with pytest.raises(RunError, match=rf"{part.name}: has been changed or damaged"):
        score(photo_folder, output=output, resume=True, progress=exchange, **OPTIONS)
    assert not output.exists()


def test_rows_of_another_image_are_not_merged(photo_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "s.parquet"
    stopped(photo_folder, output)
    [part] = parts_of(output)
    table = pq.read_table(part)

    def reverse(done: int, total: int, _patches: int) -> None:
        if done == total:
            pq.write_table(table.take(pa.array(range(len(table) - 1, -1, -1))), part)

    with pytest.raises(RunError, match="has been changed or damaged"):
        score(photo_folder, output=output, resume=True, progress=reverse, **OPTIONS)


@pytest.mark.parametrize("damage", ["cut", "flipped", "rows", "empty"])
def test_damaged_parts_are_scored_again(damage: str, photo_folder: Path, tmp_path: Path) -> None:
    output, alone = tmp_path / "s.parquet", tmp_path / "alone.parquet"
    score(photo_folder, output=alone, **OPTIONS)
    stopped(photo_folder, output)
    [part] = parts_of(output)
    data = bytearray(part.read_bytes())
    if damage == "cut":
        part.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        part.write_bytes(b"")
    elif damage == "flipped":
        table = pq.read_table(part)
        pq.write_table(table, part, compression="none", use_dictionary=False, write_page_checksum=True)
        data = bytearray(part.read_bytes())
        at = data.index(table.column("loss").to_numpy().tobytes()[:64]) + 10
        data[at] ^= 4
        part.write_bytes(data)
    else:
        pq.write_table(pq.read_table(part).slice(1), part)
    score(photo_folder, output=output, resume=True, **OPTIONS)
    assert output.read_bytes() == alone.read_bytes()


def test_a_joined_column_is_not_lost_by_resuming(photo_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "s.parquet"
    table = score(photo_folder, output=output, **OPTIONS)
    extra = table.table.append_column("quality", pa.array([1.0] * len(table)))
    ScoreTable(extra, table.meta).write(output)
    before = output.read_bytes()
    with pytest.raises(InputError, match="scoring would lose its column 'quality'"):
        score(photo_folder, output=output, resume=True, **OPTIONS)
    assert output.read_bytes() == before


def test_the_lock_is_free_after_an_error(photo_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "s.parquet"
    stopped(photo_folder, output)
    with pytest.raises(InputError, match=r"stride: .* was scored with"):
        score(photo_folder, output=output, resume=True, **{**OPTIONS, "stride": 24})
    score(photo_folder, output=output, resume=True, **OPTIONS)
    srfast.select(ScoreTable.read(output))
